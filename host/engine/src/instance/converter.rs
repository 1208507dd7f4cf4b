//! Instances that act for a converter of keys, values or header values.

use super::{Config, Core, InstanceSpec, Recycle, call, call_plain, common};
use crate::bindings::exports::tidegate::connect::converter::Guest;
use crate::bindings::tidegate::connect::types::{Payload, Problem};
use crate::error::CallError;
use crate::limits::Budget;
use crate::plugin::Plugin;

/// A converter in its sandbox. `wit/converter.wit` is its contract.
pub struct ConverterInstance {
    core: Core,
    guest: Guest,
    definition: String,
}

common!(ConverterInstance, converter, converter, false);

impl ConverterInstance {
    pub async fn validate(&mut self, config: &Config) -> Result<Vec<Problem>, CallError> {
        call_plain!(self, "converter.validate", call_validate, config)
    }

    pub async fn configure(&mut self, config: &Config, is_key: bool) -> Result<(), CallError> {
        call!(self, "converter.configure", call_configure, config, is_key)
    }

    pub async fn to_connect(&mut self, batch: &Payload) -> Result<Payload, CallError> {
        call!(self, "converter.to-connect", call_to_connect, batch)
    }

    pub async fn from_connect(&mut self, batch: &Payload) -> Result<Payload, CallError> {
        call!(self, "converter.from-connect", call_from_connect, batch)
    }
}
