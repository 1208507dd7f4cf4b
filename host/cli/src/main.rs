//! `tidegate`, the program: reads arguments and environment, wires the crates together, exits with 0, 1 or 2.
//!
//! A command is a file in `commands/`. Those that run a worker hand an [`app::Launch`] to [`app::App`], where all parts are
//! put together; those that talk to a running worker go through [`rest::Rest`]. Nothing else in the workspace reads the
//! environment, exits the process or prints.

mod commands;

mod app;
mod backend;
mod data_dir;
mod kafka;
mod loading;
mod shutdown;

mod connector_file;
mod rest;
mod settings_file;

mod failure;
mod logging;
mod output;

use std::process::ExitCode;

use clap::Parser;

/// Moves data between Apache Kafka and other systems, through WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = true)]
struct Args {
    /// What is logged to stderr: a level, or a filter such as `info,tidegate_worker=debug`.
    #[arg(long, env = "TIDEGATE_LOG", global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    if app::is_compiler() {
        return tidegate_engine::compile_child_main();
    }
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            failure.exit_code()
        }
    }
}

fn run(args: Args) -> Result<(), failure::Failure> {
    logging::start(args.log.as_deref().unwrap_or(args.command.log_filter()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failure::Failure::new("the program cannot start").detail(error))?;
    let outcome = runtime.block_on(args.command.run());
    // Nobody waits for what is left: threads of clients that were told to stop, a compiler that is no longer needed.
    runtime.shutdown_background();
    outcome
}
