//! `offsets`: the committed source offsets of the connector.

use super::HostState;
use crate::bindings::tidegate::connect::offsets::Host;
use crate::bindings::tidegate::connect::types::Error;

impl Host for HostState {
    async fn load(&mut self, partitions: Vec<String>) -> Result<Vec<Option<String>>, Error> {
        match &self.hooks.offsets {
            Some(offsets) => offsets.load(partitions).await,
            None => Ok(vec![None; partitions.len()]),
        }
    }
}
