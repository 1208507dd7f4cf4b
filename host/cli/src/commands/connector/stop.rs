//! `tidegate connector stop`.

use clap::Args;
use reqwest::Method;

use super::Named;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Stop {
    #[command(flatten)]
    connector: Named,
}

impl Stop {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.connector.act(Method::PUT, Some("stop"), "stopped").await
    }
}
