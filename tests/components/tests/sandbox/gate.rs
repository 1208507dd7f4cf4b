//! The upload gate and the cache of compiled code.

use crate::harness::{compiler, describing, engine, guest, kept, plugin, wait};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tidegate_engine::{CompileLimits, CompilerCommand, Engine, EngineConfig, Kinds, Refusal, Stage, StartError};

fn refuse(bytes: &[u8]) -> Refusal {
    wait(engine().check(bytes)).expect_err("it is refused")
}

#[track_caller]
fn check(bytes: &[u8], stage: Stage, expected: &str) {
    let refusal = refuse(bytes);
    assert!(refusal.stage == stage && refusal.to_string().contains(expected), "{:?}: {refusal}", refusal.stage);
    assert!(!refusal.hint.is_empty(), "it says what to do");
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("text of a component")
}

/// A transform without functions.
const TRANSFORM: &str = r#"(instance $transform) (export "tidegate:connect/transform@0.1.0" (instance $transform))"#;

#[test]
fn a_good_plugin_is_accepted_with_what_it_says() {
    let accepted = wait(engine().check(guest())).unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(accepted.description.name, "misbehaving");
    assert_eq!(accepted.description.definitions.len(), 4);
    let kinds = Kinds { source: true, sink: true, transform: true, predicate: true, converter: false };
    assert_eq!(accepted.plugin.kinds(), kinds);
    assert!(accepted.plugin.imports().iter().any(|import| import.starts_with("tidegate:connect/net@")));
}

#[test]
fn what_is_no_component_is_named() {
    check(b"", Stage::Format, "not a WebAssembly component");
    check(b"PK\x03\x04", Stage::Format, "not a WebAssembly component");
    check(&component("(module)"), Stage::Format, "core WebAssembly module");
}

#[test]
fn truncated_and_random_bytes_are_refused_without_a_crash() {
    for cut in (0..guest().len()).step_by(guest().len() / 50) {
        assert_eq!(refuse(&guest()[..cut]).stage, Stage::Format, "cut at {cut}");
    }
    // A xorshift from a fixed seed: the same bytes every time.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..200 {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        bytes.extend((0..next() % 200).map(|_| next() as u8));
        refuse(&bytes);
        let mut damaged = guest()[..4_000.min(guest().len())].to_vec();
        let at = next() as usize % damaged.len();
        damaged[at] ^= next() as u8 | 1;
        refuse(&damaged);
    }
}

#[test]
fn component_model_async_is_told_how_to_rebuild() {
    let bytes = component("(component (type (stream u8)))");
    check(&bytes, Stage::Format, "component-model async");
    assert!(refuse(&bytes).hint.contains("--sync"));
}

#[test]
fn a_component_of_another_world_gets_a_report() {
    let refusal = refuse(&component(
        r#"(component
            (import "wasi:http/types@0.2.0" (instance))
            (import "acme:bus/queue@1.0.0" (instance))
            (instance $run)
            (export "wasi:cli/run@0.2.0" (instance $run)))"#,
    ));
    assert_eq!(refusal.stage, Stage::World);
    let expected = [
        "does not export \"tidegate:connect/plugin@0.1.0\"",
        "exports none of \"source\"",
        "HTTP is \"tidegate:connect/http\" here",
        "imports \"acme:bus/queue@1.0.0\"",
    ];
    for (problem, expected) in refusal.problems.iter().zip(expected) {
        assert!(problem.contains(expected), "{refusal}");
    }
}

#[test]
fn a_component_must_describe_itself_and_match_the_contract() {
    // Its transform is an interface without functions.
    check(&describing(TRANSFORM, "", ""), Stage::World, "\"tidegate:connect/transform@0.1.0\" does not match");
    check(&describing(TRANSFORM, "", "unreachable"), Stage::Describe, "crashed in \"describe\"");
    check(&describing(TRANSFORM, "", "(loop $again (br $again))"), Stage::Describe, "processor time");
}

/// An engine with a cache of its own.
fn engine_at(cache: &Path, change: impl FnOnce(&mut EngineConfig)) -> Result<Engine, StartError> {
    let mut config = EngineConfig { max_instances: 10, threads: 1, ..EngineConfig::new(compiler(), cache.to_owned()) };
    change(&mut config);
    Engine::start(config)
}

#[test]
fn size_and_compiling_are_limited() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cwasm");
    let small = engine_at(&cache, |config| config.max_component = 1_000).unwrap();
    let refusal = small.handle().block_on(small.check(guest())).unwrap_err();
    assert!(refusal.stage == Stage::Size && refusal.hint.contains("release mode"), "{refusal}");
    let starved = CompileLimits { address_space: 30 << 20, ..CompileLimits::default() };
    let starved = engine_at(&cache, |config| config.compile = starved).unwrap();
    let refusal = starved.handle().block_on(starved.check(guest())).unwrap_err();
    assert_eq!(refusal.stage, Stage::Compile, "{refusal}");
    let slow = CompileLimits { wall: Duration::from_millis(1), ..CompileLimits::default() };
    let slow = engine_at(&cache, |config| config.compile = slow).unwrap();
    let refusal = slow.handle().block_on(slow.check(guest())).unwrap_err();
    assert!(refusal.stage == Stage::Compile && refusal.to_string().contains("took longer"), "{refusal}");
    let absent = CompilerCommand { program: "/nonexistent/compiler".into(), args: Vec::new() };
    let absent = engine_at(&cache, |config| config.compiler = absent).unwrap();
    let refusal = absent.handle().block_on(absent.check(guest())).unwrap_err();
    assert_eq!(refusal.stage, Stage::Machine, "{refusal}");
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn damaged_code_is_made_again() {
    // The code that the shared engine made, in a directory of this test's.
    plugin();
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let digest = plugin().digest().to_string();
    for entry in fs::read_dir(kept().join("cwasm")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with(&digest) {
            fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
        }
    }
    let code = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let code = code.into_iter().find(|path| path.extension().is_some_and(|end| end == "cwasm")).expect("compiled code");
    assert_eq!(fs::metadata(&code).unwrap().permissions().mode() & 0o777, 0o600);
    let whole = fs::read(&code).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&code, &damaged).unwrap();
    let engine = engine_at(directory.path(), |_| {}).unwrap();
    engine.handle().block_on(engine.load(guest())).unwrap();
    assert_eq!(fs::read(&code).unwrap(), whole);
}

#[test]
fn a_directory_that_others_write_to_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let refused = engine_at(directory.path(), |_| {}).map(drop).expect_err("it is refused");
    assert!(refused.to_string().contains("must belong to this user alone"), "{refused}");
}
