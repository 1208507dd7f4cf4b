//! The upload gate: what a stranger's bytes must pass before they become a plugin, cheapest check first.
//!
//! A refusal says what was found, where, and what to do. No check panics whatever the bytes are, and everything that
//! runs code of the component runs it under [`Limits::tight`](crate::Limits::tight) with nothing granted.

use crate::bindings::tidegate::connect::types::Payload;
use crate::engine::Engine;
use crate::error::CallError;
use crate::instance::{InstanceSpec, PredicateInstance, TransformInstance};
use crate::limits::{Budget, BudgetLimits, Limits};
use crate::plugin::{Kinds, LoadError, Plugin};
use std::collections::BTreeSet;
use std::fmt;
use tidegate_config::describe;
use tidegate_config::{Encoding, Kind};
use wasmparser::{Chunk, Encoding as WasmEncoding, Parser, Payload as Section, Validator, WasmFeatures};

/// The contract's package and the version that this engine speaks.
const PACKAGE: &str = "tidegate:connect";
const VERSION: &str = "0.1.0";
/// Interfaces that a plugin may export besides `plugin`.
const KINDS: [&str; 5] = ["source", "sink", "transform", "predicate", "converter"];
/// What the host offers of the contract.
const IMPORTS: [&str; 8] = ["types", "log", "metrics", "schemas", "offsets", "sink-context", "http", "net"];
/// What the host offers of WASI 0.2.
const WASI: [&str; 6] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// A component that passed.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub plugin: Plugin,
    /// What it described itself as.
    pub description: tidegate_config::Plugin,
}

/// Where in the gate a component was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Size,
    /// It is not a valid component.
    Format,
    /// It does not have the interfaces of a plugin.
    World,
    Compile,
    /// It does not describe itself as it should.
    Describe,
    /// It does not answer an empty batch as it should.
    Probe,
    /// Nothing is wrong with the component: try again, or see to the machine.
    Machine,
}

/// Why a component was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub stage: Stage,
    /// What is wrong and where, all of it.
    pub problems: Vec<String>,
    /// What to do about it.
    pub hint: String,
}

impl Refusal {
    fn new(stage: Stage, problem: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal { stage, problems: vec![problem.into()], hint: hint.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.problems.join("\n"))?;
        if !self.hint.is_empty() {
            write!(f, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

pub(crate) async fn check(engine: &Engine, bytes: &[u8]) -> Result<Accepted, Refusal> {
    check_size(bytes.len(), engine.inner().max_component)?;
    check_format(bytes)?;
    check_world(&interfaces(bytes)?)?;
    let plugin = engine.load(bytes).await.map_err(refuse_load)?;
    let description = describe::read(plugin.description()).map_err(|error| Refusal {
        stage: Stage::Describe,
        problems: error.problems.iter().map(|problem| format!("describe: {problem}")).collect(),
        hint: "wit/README.md shows the document that describe answers".to_owned(),
    })?;
    check_kinds(plugin.kinds(), &description)?;
    probe(&plugin, &description).await?;
    Ok(Accepted { plugin, description })
}

fn check_size(size: usize, max: usize) -> Result<(), Refusal> {
    if size <= max {
        return Ok(());
    }
    Err(Refusal::new(
        Stage::Size,
        format!("the component has {size} bytes, {max} are allowed"),
        "build it in release mode and strip it",
    ))
}

/// What kind of file this is, then a full validation under the features of this engine.
fn check_format(bytes: &[u8]) -> Result<(), Refusal> {
    let refuse = |problem: String, hint: &str| Err(Refusal::new(Stage::Format, problem, hint));
    match Parser::new(0).parse(bytes, true) {
        Ok(Chunk::Parsed { payload: Section::Version { encoding: WasmEncoding::Component, .. }, .. }) => {}
        Ok(Chunk::Parsed { payload: Section::Version { encoding: WasmEncoding::Module, .. }, .. }) => {
            return refuse(
                "this is a core WebAssembly module, not a component".to_owned(),
                "build for wasm32-wasip2, or make a component of it with `wasm-tools component new`",
            );
        }
        _ => {
            return refuse(
                "this is not a WebAssembly component: it does not begin as one does".to_owned(),
                "upload the .wasm file that the build made",
            );
        }
    }
    let lane = WasmFeatures::default() - WasmFeatures::CM_ASYNC;
    let Err(error) = Validator::new_with_features(lane).validate_all(bytes) else { return Ok(()) };
    if Validator::new_with_features(WasmFeatures::default()).validate_all(bytes).is_ok() {
        return refuse(
            format!("the component uses component-model async: {} (at byte {})", error.message(), error.offset()),
            "rebuild it for WASI 0.2: target wasm32-wasip2, or --sync with componentize-qjs",
        );
    }
    refuse(
        format!("the component is damaged or not valid: {} (at byte {})", error.message(), error.offset()),
        "upload the file as the build made it; if it is, rebuild it with a current toolchain",
    )
}

/// Names of the interfaces that a component imports and exports.
#[derive(Debug, Default)]
struct Interfaces {
    imports: Vec<String>,
    exports: Vec<String>,
}

fn interfaces(bytes: &[u8]) -> Result<Interfaces, Refusal> {
    let mut found = Interfaces::default();
    let mut depth = 0_usize;
    let damaged = |error: wasmparser::BinaryReaderError| {
        Refusal::new(
            Stage::Format,
            format!("the component is damaged: {error}"),
            "upload the file as the build made it",
        )
    };
    for section in Parser::new(0).parse_all(bytes) {
        match section.map_err(damaged)? {
            Section::ModuleSection { .. } | Section::ComponentSection { .. } => depth += 1,
            Section::End(_) => depth = depth.saturating_sub(1),
            Section::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    found.imports.push(import.map_err(damaged)?.name.name.to_owned());
                }
            }
            Section::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    found.exports.push(export.map_err(damaged)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Whether a version is one that a host of [`VERSION`] serves: the same minor version while the major one is 0.
fn is_served(version: &str) -> bool {
    let line = |version: &str| version.split('.').take(2).collect::<Vec<_>>().join(".");
    line(version) == line(VERSION)
}

/// Every interface that is missing, unknown or of another version, at once.
fn check_world(found: &Interfaces) -> Result<(), Refusal> {
    let mut problems = Vec::new();
    let mut exported = BTreeSet::new();
    for name in &found.exports {
        let Some((interface, version)) = name.strip_prefix(PACKAGE).and_then(contract_name) else { continue };
        if is_served(version) {
            exported.insert(interface);
        } else {
            problems.push(format!("it exports \"{name}\", this worker speaks version {VERSION} of the contract"));
        }
    }
    if problems.is_empty() {
        if !exported.contains("plugin") {
            problems.push(format!("it does not export \"{PACKAGE}/plugin@{VERSION}\", which every plugin has"));
        }
        if !KINDS.iter().any(|kind| exported.contains(kind)) {
            problems.push(format!("it exports none of {}", KINDS.map(|kind| format!("\"{kind}\"")).join(", ")));
        }
    }
    for name in &found.imports {
        if let Some((interface, version)) = name.strip_prefix(PACKAGE).and_then(contract_name) {
            if !IMPORTS.contains(&interface) || !is_served(version) {
                problems.push(format!("it imports \"{name}\", which this worker does not have"));
            }
        } else if name.starts_with("wasi:http/") {
            problems.push(format!(
                "it imports \"{name}\": HTTP is \"{PACKAGE}/http\" here (componentize-js: add -d http -d fetch-event)"
            ));
        } else if !(WASI.iter().any(|prefix| name.starts_with(prefix)) && name.contains("@0.2.")) {
            problems.push(format!("it imports \"{name}\", which this worker does not have"));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Refusal {
        stage: Stage::World,
        problems,
        hint: format!("build it against a world of {PACKAGE}@{VERSION} (wit/worlds.wit), such as source-plugin"),
    })
}

/// `/source@0.1.0` to its interface and version.
fn contract_name(rest: &str) -> Option<(&str, &str)> {
    rest.strip_prefix('/')?.split_once('@')
}

fn refuse_load(error: LoadError) -> Refusal {
    match error {
        LoadError::Refused(why) => Refusal::new(
            Stage::World,
            format!("it does not fit the contract: {why}"),
            format!("build it against the WIT files of {PACKAGE}@{VERSION}"),
        ),
        LoadError::NotCompiled(why) => {
            Refusal::new(Stage::Compile, why, "rebuild it with a current toolchain for WASI 0.2 (wasm32-wasip2)")
        }
        LoadError::OverLimit(why) => {
            Refusal::new(Stage::Compile, why, "make the component smaller, or split its largest functions")
        }
        LoadError::Busy => Refusal::new(Stage::Machine, error.to_string(), "try again in a minute"),
        LoadError::Broken(why) => Refusal::new(Stage::Machine, why, "see the worker's log"),
        LoadError::Describe(error) => Refusal::new(
            Stage::Describe,
            with_trace("describe", &error),
            "describe answers a constant text and needs no grant, no clock and little memory",
        ),
    }
}

fn with_trace(what: &str, error: &CallError) -> String {
    match error.trace() {
        Some(trace) => format!("{what}: {error}\n{trace}"),
        None => format!("{what}: {error}"),
    }
}

/// What it says it is must be what it exports.
fn check_kinds(kinds: Kinds, description: &tidegate_config::Plugin) -> Result<(), Refusal> {
    let mut problems = Vec::new();
    for definition in &description.definitions {
        let (is_there, interface) = match definition.kind {
            Kind::Source => (kinds.source, "source"),
            Kind::Sink => (kinds.sink, "sink"),
            Kind::Transform => (kinds.transform, "transform"),
            Kind::Predicate => (kinds.predicate, "predicate"),
            Kind::Converter | Kind::HeaderConverter => (kinds.converter, "converter"),
        };
        if !is_there {
            problems.push(format!(
                "\"{}\" is described as a {interface}, but \"{PACKAGE}/{interface}@{VERSION}\" is not exported",
                definition.name
            ));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let hint = "export the interface, or take the definition out of describe".to_owned();
    Err(Refusal { stage: Stage::Describe, problems, hint })
}

/// Gives transforms and predicates that can be configured without settings a batch of no records.
async fn probe(plugin: &Plugin, description: &tidegate_config::Plugin) -> Result<(), Refusal> {
    let refuse = |definition: &str, what: String| {
        Refusal::new(
            Stage::Probe,
            format!("\"{definition}\" does not answer a batch without records: {what}"),
            "wit/BATCH.md specifies what crosses; the SDK's test harness shows the same call",
        )
    };
    for definition in &description.definitions {
        let nobody = Budget::worker(BudgetLimits::default());
        let spec = InstanceSpec {
            limits: Limits::tight(),
            ..InstanceSpec::new(&format!("check of {}", definition.name), &definition.name, nobody)
        };
        let columns = |columns: usize| match definition.encoding {
            Encoding::Json => Payload::Json(format!("{{\"count\":0,\"columns\":[{}]}}", vec!["[]"; columns].join(","))),
            _ => Payload::Arena(empty_columns(columns)),
        };
        let configured = |error: &CallError| !error.ends_instance();
        match definition.kind {
            Kind::Transform => {
                let made = TransformInstance::new(plugin, &spec).await;
                let mut instance = made.map_err(|error| refuse(&definition.name, with_trace("making it", &error)))?;
                match instance.configure(&Vec::new()).await {
                    Ok(plan) => {
                        let answer = instance.apply(&columns(plan.read.len())).await;
                        let edits = answer.map_err(|error| refuse(&definition.name, with_trace("apply", &error)))?;
                        check_empty_edits(&edits).map_err(|what| refuse(&definition.name, what))?;
                    }
                    // It needs settings, which is its good right.
                    Err(error) if configured(&error) => {}
                    Err(error) => return Err(refuse(&definition.name, with_trace("configure", &error))),
                }
            }
            Kind::Predicate => {
                let made = PredicateInstance::new(plugin, &spec).await;
                let mut instance = made.map_err(|error| refuse(&definition.name, with_trace("making it", &error)))?;
                match instance.configure(&Vec::new()).await {
                    Ok(plan) => {
                        let answer = instance.test(&columns(plan.read.len())).await;
                        let bits = answer.map_err(|error| refuse(&definition.name, with_trace("test", &error)))?;
                        if !bits.is_empty() {
                            let what = format!("test answered {} bytes instead of none", bits.len());
                            return Err(refuse(&definition.name, what));
                        }
                    }
                    Err(error) if configured(&error) => {}
                    Err(error) => return Err(refuse(&definition.name, with_trace("configure", &error))),
                }
            }
            Kind::Source | Kind::Sink | Kind::Converter | Kind::HeaderConverter => {}
        }
    }
    Ok(())
}

/// Columns of no records, as `wit/BATCH.md` lays them out.
fn empty_columns(columns: usize) -> Vec<u8> {
    const LENGTH: u32 = 32;
    let mut arena = Vec::with_capacity(LENGTH as usize);
    arena.extend_from_slice(b"TGC1");
    arena.extend_from_slice(&1_u16.to_le_bytes());
    arena.extend_from_slice(&u16::try_from(columns).unwrap_or(u16::MAX).to_le_bytes());
    for word in [0, LENGTH, 0, 0, 0, 0] {
        arena.extend_from_slice(&u32::to_le_bytes(word));
    }
    arena
}

fn check_empty_edits(edits: &Payload) -> Result<(), String> {
    match edits {
        Payload::Json(text) => {
            let object: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(text);
            object.map(drop).map_err(|error| format!("apply answered no JSON object: {error}"))
        }
        Payload::Arena(arena) => {
            let word =
                |at: usize| arena.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
            match (arena.get(..4), word(8), word(12)) {
                (Some(b"TGE1"), Some(0), Some(length)) if length as usize == arena.len() => Ok(()),
                _ => Err("apply answered bytes that are not edits of no records".to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(imports: &[&str], exports: &[&str]) -> Result<(), Refusal> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        check_world(&Interfaces { imports: names(imports), exports: names(exports) })
    }

    #[test]
    fn a_plugin_exports_plugin_and_a_kind() {
        let good = ["tidegate:connect/plugin@0.1.0", "tidegate:connect/sink@0.1.3", "init"];
        let imports = ["wasi:cli/stderr@0.2.6", "tidegate:connect/log@0.1.0"];
        assert_eq!(world(&imports, &good), Ok(()));
        let refusal = world(&[], &["wasi:cli/run@0.2.0"]).unwrap_err();
        assert_eq!(refusal.problems.len(), 2);
        assert!(refusal.to_string().contains("does not export \"tidegate:connect/plugin@0.1.0\""), "{refusal}");
    }

    #[test]
    fn other_versions_and_unknown_imports_are_named() {
        let refusal = world(
            &["wasi:http/types@0.2.0", "wasi:keyvalue/store@0.2.0", "wasi:cli/run@0.3.0"],
            &["tidegate:connect/plugin@0.2.0", "tidegate:connect/source@0.1.0"],
        )
        .unwrap_err();
        assert_eq!(refusal.problems.len(), 4, "{refusal}");
        assert!(refusal.problems[0].contains("speaks version 0.1.0"), "{refusal}");
        assert!(refusal.problems[1].contains("-d http"), "{refusal}");
    }

    #[test]
    fn what_is_described_must_be_exported() {
        let text = r#"{"name":"x","version":"1","definitions":[{"kind":"sink","name":"S","config":[]}]}"#;
        let description = describe::read(text).unwrap();
        assert_eq!(check_kinds(Kinds { sink: true, ..Kinds::default() }, &description), Ok(()));
        let refusal = check_kinds(Kinds { source: true, ..Kinds::default() }, &description).unwrap_err();
        assert!(refusal.to_string().contains("\"tidegate:connect/sink@0.1.0\" is not exported"), "{refusal}");
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        let text = |bytes: &[u8]| check_format(bytes).unwrap_err().to_string();
        assert!(text(b"\0asm\x01\0\0\0").contains("core WebAssembly module"));
        assert!(text(b"\x7fELF").contains("not a WebAssembly component"));
        assert!(text(b"").contains("not a WebAssembly component"));
        assert!(text(b"\0asm\x0d\0\x01\0\xff\xff").contains("damaged or not valid"));
    }

    #[test]
    fn empty_columns_have_the_length_they_state() {
        let arena = empty_columns(3);
        assert_eq!((arena.len(), &arena[12..16]), (32, &32_u32.to_le_bytes()[..]));
    }
}
