//! Reads `.properties` files.

use std::path::Path;

use tidegate_config::{Settings, properties};

use crate::failure::Failure;
use crate::output;

/// Reads a file whose name comes from the command line; what is odd in it is warned about.
pub(crate) fn read(path: &Path) -> Result<Settings, Failure> {
    parse(path, &read_bytes(path)?)
}

/// As [`read`], of bytes that were read from `path`.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Settings, Failure> {
    let read = properties::parse(bytes).map_err(|error| {
        Failure::usage(format!("\"{}\" is no properties file", path.display())).detail(&error).hint(error.hint())
    })?;
    for warning in &read.warnings {
        output::warn(format_args!("{}: {warning}", path.display()));
    }
    Ok(read.settings)
}

/// The bytes of a file whose name comes from the command line.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::usage(format!("the file \"{}\" cannot be read", path.display())).detail(error))
}
