//! An instance: a plugin in a store of its own, with its limits, grants and hooks.
//!
//! `core.rs` owns the store and keeps every call within its bounds; the files below give the functions of one kind each.

mod converter;
mod core;
mod sink;
mod source;
mod transform;

pub use converter::ConverterInstance;
pub(crate) use core::Core;
pub use core::Recycle;
pub use sink::SinkInstance;
pub use source::SourceInstance;
pub use transform::{PredicateInstance, TransformInstance};

use crate::hooks::Hooks;
use crate::limits::{Budget, Limits};
use tidegate_config::grant::Grants;

/// A configuration as the operator wrote it: unique keys in their order, secrets resolved.
pub type Config = Vec<(String, String)>;

/// What an instance is made from.
#[derive(Clone)]
pub struct InstanceSpec {
    /// Names the instance in budgets and errors, e.g. `orders-0`.
    pub name: String,
    /// The definition that the instance acts for; passed with every call.
    pub definition: String,
    pub limits: Limits,
    /// The connector's budget; the instance's own node is made below it.
    pub budget: Budget,
    pub hooks: Hooks,
    /// What the instance may reach. The policy on them has been applied.
    pub grants: Grants,
    /// Whether private addresses are refused even where a granted name leads to one.
    pub deny_private_networks: bool,
    /// Where the worker's relative paths start. A guest finds granted paths below it by their relative names too.
    pub directory: Option<String>,
}

impl InstanceSpec {
    /// With the default limits and hooks, nothing granted, private networks refused.
    pub fn new(name: &str, definition: &str, budget: Budget) -> InstanceSpec {
        InstanceSpec {
            name: name.to_owned(),
            definition: definition.to_owned(),
            limits: Limits::default(),
            budget,
            hooks: Hooks::default(),
            grants: Grants::default(),
            deny_private_networks: true,
            directory: None,
        }
    }
}

/// Calls a function of the guest's within the bounds of a call: marks the call, runs it against the wall clock, explains
/// its failure. `$name` is the function's name in the contract.
macro_rules! call {
    ($self:ident, $name:literal, $function:ident $(, $argument:expr)*) => {{
        let begun = $self.core.begin($name)?;
        call!($self, begun, run $function $(, $argument)*)
    }};
    ($self:ident, $begun:ident, run $function:ident $(, $argument:expr)*) => {{
        let answer = $begun.run($self.guest.$function($self.core.store()?, &$self.definition $(, $argument)*)).await;
        $self.core.finish($begun, answer)
    }};
}

/// As `call!`, for functions that cannot answer an error.
macro_rules! call_plain {
    ($self:ident, $name:literal, $function:ident $(, $argument:expr)*) => {{
        let begun = $self.core.begin($name)?;
        let answer = begun.run($self.guest.$function($self.core.store()?, &$self.definition $(, $argument)*)).await;
        $self.core.finish(begun, answer.map(|done| done.map(Ok)))
    }};
}

/// What instances of all kinds have: how they are made and what they used.
macro_rules! common {
    ($instance:ident, $kind:ident, $indices:ident, $is_sink:literal) => {
        impl $instance {
            /// Makes an instance of a plugin that has this kind.
            pub async fn new(plugin: &Plugin, spec: &InstanceSpec) -> Result<Self, CallError> {
                let parts = plugin.parts();
                let Some(indices) = parts.$indices.as_ref() else {
                    return Err(CallError::Unavailable(format!(
                        "the plugin {} has no {}",
                        plugin.digest(),
                        stringify!($kind)
                    )));
                };
                let mut core = Core::new(plugin.engine(), &parts.pre, spec, $is_sink).await?;
                let guest = core.load(|store, instance| indices.load(store, instance))?;
                Ok($instance { core, guest, definition: spec.definition.clone() })
            }

            /// What the instance has used: memory in bytes and its peak, processor time in ticks.
            pub fn budget(&self) -> &Budget {
                self.core.budget()
            }

            /// Why the instance should be drained and replaced, if it should.
            pub fn wants_recycling(&self) -> Option<Recycle> {
                self.core.wants_recycling()
            }

            /// Whether an earlier call has ended the instance.
            pub fn is_gone(&self) -> bool {
                self.core.is_gone()
            }

            /// What the guest printed last, at most 4 KiB.
            pub fn output(&self) -> String {
                self.core.output()
            }
        }
    };
}

pub(crate) use {call, call_plain, common};
