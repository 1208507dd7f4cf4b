//! `tidegate connector pause`.

use clap::Args;
use reqwest::Method;

use super::Named;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    connector: Named,
}

impl Pause {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.connector.act(Method::PUT, Some("pause"), "paused").await
    }
}
