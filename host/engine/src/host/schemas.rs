//! `schemas`: the table of the task, of which an instance may fill so many entries.

use super::HostState;
use crate::bindings::tidegate::connect::schemas::Host;
use std::collections::HashSet;

/// Longest text of a schema, in bytes.
const TEXT_MAX: usize = 1 << 20;

/// Numbers that the instance has been given.
#[derive(Default)]
pub(crate) struct Defined(HashSet<u32>);

impl Host for HostState {
    fn define(&mut self, schema: String) -> Result<u32, String> {
        if schema.len() > TEXT_MAX {
            return Err(format!("the schema has {} bytes, {TEXT_MAX} are allowed", schema.len()));
        }
        if self.schemas.0.len() >= self.limits.schemas {
            return Err(format!("{} schemas are defined, no more are allowed", self.schemas.0.len()));
        }
        let number = self.hooks.schemas.define(&schema)?;
        self.schemas.0.insert(number);
        Ok(number)
    }

    fn describe(&mut self, id: u32) -> Option<String> {
        self.hooks.schemas.describe(id)
    }
}
