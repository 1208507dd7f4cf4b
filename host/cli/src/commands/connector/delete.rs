//! `tidegate connector delete`.

use clap::Args;
use reqwest::Method;

use super::Named;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    connector: Named,
}

impl Delete {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.connector.act(Method::DELETE, None, "deleted").await
    }
}
