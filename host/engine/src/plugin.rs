//! A component that is compiled and linked, and knows which kinds it offers.

use crate::bindings::exports::tidegate::connect::{converter, plugin, predicate, sink, source, transform};
use crate::compile::CompileError;
use crate::engine::Engine;
use crate::error::CallError;
use crate::host::HostState;
use crate::instance::{Core, InstanceSpec};
use crate::limits::{Budget, BudgetLimits, Limits};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;
use wasmtime::component::{Component, InstancePre};

/// The SHA-256 of a component, which is its identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// From 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Digest> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).ok()?;
        Some(Digest(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The interfaces that a component exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds {
    pub source: bool,
    pub sink: bool,
    pub transform: bool,
    pub predicate: bool,
    /// Converters and header converters share an interface.
    pub converter: bool,
}

/// Why a component is not a plugin that runs here.
#[derive(Debug)]
pub enum LoadError {
    /// It does not fit the contract.
    Refused(String),
    /// The compiler does not take it.
    NotCompiled(String),
    /// Compiling it needs more than it may use.
    OverLimit(String),
    /// Too many components wait to be compiled; try again.
    Busy,
    /// Something is wrong with this machine.
    Broken(String),
    /// It failed to describe itself.
    Describe(CallError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Refused(why) => write!(f, "the component does not fit the contract: {why}"),
            LoadError::NotCompiled(why) => write!(f, "the component cannot be compiled: {why}"),
            LoadError::OverLimit(why) => write!(f, "the component is too much to compile: {why}"),
            LoadError::Busy => write!(f, "too many plugins are waiting to be compiled"),
            LoadError::Broken(why) => write!(f, "{why}"),
            LoadError::Describe(error) => write!(f, "the plugin cannot describe itself: {error}"),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<CompileError> for LoadError {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Refused(why) => LoadError::NotCompiled(why),
            CompileError::OverLimit(why) => LoadError::OverLimit(why),
            CompileError::Busy => LoadError::Busy,
            CompileError::Broken(why) => LoadError::Broken(why),
        }
    }
}

/// A component that is ready to be instantiated. Clones are the same plugin.
#[derive(Clone)]
pub struct Plugin {
    engine: Engine,
    parts: Arc<PluginParts>,
}

pub(crate) struct PluginParts {
    digest: Digest,
    imports: Vec<String>,
    description: String,
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) source: Option<source::GuestIndices>,
    pub(crate) sink: Option<sink::GuestIndices>,
    pub(crate) transform: Option<transform::GuestIndices>,
    pub(crate) predicate: Option<predicate::GuestIndices>,
    pub(crate) converter: Option<converter::GuestIndices>,
}

/// The indices of an interface's functions: none when the component does not export it, an error when what it exports
/// is not what the contract says.
macro_rules! find {
    ($parts:ident, $core:ident, $kind:ident) => {
        let name = concat!("tidegate:connect/", stringify!($kind), "@0.1.0");
        if $parts.pre.component().get_export_index(None, name).is_some() {
            let refused =
                |why: &dyn fmt::Display| LoadError::Refused(format!("its export \"{name}\" does not match: {why}"));
            let indices = $kind::GuestIndices::new(&$parts.pre).map_err(|error| refused(&error.root_cause()))?;
            $core.load(|store, instance| indices.load(store, instance)).map_err(|error| refused(&error))?;
            $parts.$kind = Some(indices);
        }
    };
}

impl PluginParts {
    /// Finds the kinds that the component exports and checks the type of every function, in an instance of it.
    fn find_kinds(&mut self, core: &mut Core) -> Result<(), LoadError> {
        find!(self, core, source);
        find!(self, core, sink);
        find!(self, core, transform);
        find!(self, core, predicate);
        find!(self, core, converter);
        Ok(())
    }
}

impl Plugin {
    /// Links a component and asks it to describe itself, under tight limits and with nothing granted.
    pub(crate) async fn link(engine: &Engine, digest: Digest, component: Component) -> Result<Plugin, LoadError> {
        let refused = |error: wasmtime::Error| LoadError::Refused(format!("{error:#}"));
        let imports =
            component.component_type().imports(&engine.inner().wasm).map(|(name, _)| name.to_owned()).collect();
        let pre = engine.inner().linker.instantiate_pre(&component).map_err(refused)?;
        let plugin_indices = plugin::GuestIndices::new(&pre).map_err(refused)?;
        let mut parts = PluginParts {
            digest,
            imports,
            description: String::new(),
            source: None,
            sink: None,
            transform: None,
            predicate: None,
            converter: None,
            pre,
        };
        let nobody = Budget::worker(BudgetLimits::default());
        let spec = InstanceSpec { limits: Limits::tight(), ..InstanceSpec::new(&digest.to_string(), "", nobody) };
        let mut core = Core::new(engine, &parts.pre, &spec, false).await.map_err(LoadError::Describe)?;
        let guest = core.load(|store, instance| plugin_indices.load(store, instance)).map_err(LoadError::Describe)?;
        let begun = core.begin("describe").map_err(LoadError::Describe)?;
        let answer = begun.run(guest.call_describe(core.store()?)).await;
        parts.description = core.finish(begun, answer.map(|done| done.map(Ok))).map_err(LoadError::Describe)?;
        parts.find_kinds(&mut core)?;
        Ok(Plugin { engine: engine.clone(), parts: Arc::new(parts) })
    }

    pub(crate) fn from_parts(engine: Engine, parts: Arc<PluginParts>) -> Plugin {
        Plugin { engine, parts }
    }

    pub(crate) fn parts(&self) -> &Arc<PluginParts> {
        &self.parts
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn digest(&self) -> Digest {
        self.parts.digest
    }

    /// The JSON document that `describe` answered, as it came.
    pub fn description(&self) -> &str {
        &self.parts.description
    }

    /// The interfaces that the component imports, which an operator may read as what it would like to reach.
    pub fn imports(&self) -> &[String] {
        &self.parts.imports
    }

    pub fn kinds(&self) -> Kinds {
        Kinds {
            source: self.parts.source.is_some(),
            sink: self.parts.sink.is_some(),
            transform: self.parts.transform.is_some(),
            predicate: self.parts.predicate.is_some(),
            converter: self.parts.converter.is_some(),
        }
    }
}

impl From<CallError> for LoadError {
    fn from(error: CallError) -> Self {
        LoadError::Describe(error)
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {} {:?}", self.parts.digest, self.kinds())
    }
}
