//! The log: to stderr, filtered by `--log` or `TIDEGATE_LOG`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Logs what passes `filter` from now on.
pub(crate) fn start(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::builder().parse(filter).map_err(|error| {
        Failure::usage(format!("\"{filter}\" is no log filter"))
            .detail(error)
            .hint("write error, warn, info, debug or trace, or a filter such as info,tidegate_worker=debug")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}
