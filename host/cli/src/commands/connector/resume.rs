//! `tidegate connector resume`.

use clap::Args;
use reqwest::Method;

use super::Named;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    connector: Named,
}

impl Resume {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.connector.act(Method::PUT, Some("resume"), "resumed").await
    }
}
