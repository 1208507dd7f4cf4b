//! Instances that act for one step of a chain: a transform, or the predicate before it.

use super::{Config, Core, InstanceSpec, Recycle, call, call_plain, common};
use crate::bindings::exports::tidegate::connect::{predicate, transform};
use crate::bindings::tidegate::connect::types::{Payload, Place, Plan, Problem};
use crate::error::CallError;
use crate::limits::Budget;
use crate::plugin::Plugin;

/// A transform in its sandbox. `wit/transform.wit` is its contract.
pub struct TransformInstance {
    core: Core,
    guest: transform::Guest,
    definition: String,
}

common!(TransformInstance, transform, transform, false);

impl TransformInstance {
    pub async fn validate(&mut self, config: &Config) -> Result<Vec<Problem>, CallError> {
        call_plain!(self, "transform.validate", call_validate, config)
    }

    pub async fn configure(&mut self, config: &Config) -> Result<Plan, CallError> {
        call!(self, "transform.configure", call_configure, config)
    }

    pub async fn reshape(&mut self, place: Place, schema: &str) -> Result<Option<String>, CallError> {
        call!(self, "transform.reshape", call_reshape, place, schema)
    }

    pub async fn apply(&mut self, columns: &Payload) -> Result<Payload, CallError> {
        call!(self, "transform.apply", call_apply, columns)
    }
}

/// A predicate in its sandbox. `wit/transform.wit` is its contract.
pub struct PredicateInstance {
    core: Core,
    guest: predicate::Guest,
    definition: String,
}

common!(PredicateInstance, predicate, predicate, false);

impl PredicateInstance {
    pub async fn validate(&mut self, config: &Config) -> Result<Vec<Problem>, CallError> {
        call_plain!(self, "predicate.validate", call_validate, config)
    }

    pub async fn configure(&mut self, config: &Config) -> Result<Plan, CallError> {
        call!(self, "predicate.configure", call_configure, config)
    }

    /// One bit per record, not checked for its length.
    pub async fn test(&mut self, columns: &Payload) -> Result<Vec<u8>, CallError> {
        call!(self, "predicate.test", call_test, columns)
    }
}
