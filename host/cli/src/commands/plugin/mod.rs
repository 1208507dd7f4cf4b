//! `tidegate plugin`: from an empty folder to a plugin in a running worker, one file per verb.

mod build;
mod check;
mod list;
mod new;
mod push;

use std::path::Path;

use clap::Subcommand;

use super::UrlArg;
use crate::failure::Failure;

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the folder of a new plugin.
    New(new::New),
    /// Build a plugin's folder into a component.
    Build(build::Build),
    /// Check a component as a worker would at its door.
    Check(check::Check),
    /// Upload a component to a running worker.
    Push(push::Push),
    /// Show the plugins of a running worker.
    List(list::List),
}

impl Command {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self {
            Command::New(new) => new.run(),
            Command::Build(build) => build.run(),
            Command::Check(check) => check.run().await,
            Command::Push(push) => push.run().await,
            Command::List(list) => list.run().await,
        }
    }
}

/// The component in a file.
pub(crate) fn read_component(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::usage(format!("the component \"{}\" cannot be read", path.display())).detail(error))
}
