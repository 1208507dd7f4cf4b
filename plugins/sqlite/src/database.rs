//! Opening a database, and what its errors mean for a task.

use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::File;
use std::io::Read as _;
use std::time::Duration;
use tidegate_sdk::Error;

/// How long a call waits for another program to let go of the database.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Which key names the file, in errors.
const PATH_KEY: &str = "db.path";

/// Opens a database to write; one that is not there is made.
pub(crate) fn open_to_write(path: &str) -> Result<Connection, Error> {
    refuse_wal(path)?;
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    // The journal stays where it is, empty: making and removing it each time costs more than the rest of a small commit.
    connection.pragma_update(None, "journal_mode", "truncate").map_err(|error| opening_failed(path, &error))?;
    Ok(connection)
}

/// Opens a database that is there, to read.
pub(crate) fn open_to_read(path: &str) -> Result<Connection, Error> {
    refuse_wal(path)?;
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(path: &str, flags: OpenFlags) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .and_then(|connection| {
            connection.busy_timeout(BUSY_WAIT)?;
            // The first look at the file: what is no database says so here.
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            Ok(connection)
        })
        .map_err(|error| opening_failed(path, &error))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn opening_failed(path: &str, error: &rusqlite::Error) -> Error {
    match task_error(error) {
        Error::Fatal(message) => Error::invalid_config(PATH_KEY, format!("\"{path}\" cannot be opened: {message}")),
        other => other,
    }
}

/// The write-ahead log needs memory that is shared between processes, which a sandbox does not have.
fn refuse_wal(path: &str) -> Result<(), Error> {
    let mut header = [0; 20];
    let is_wal = File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok() && header[18] == 2;
    if is_wal {
        return Err(Error::invalid_config(
            PATH_KEY,
            format!(
                "\"{path}\" is in WAL mode, which cannot be used from a sandbox: its memory would have to be shared; run \
                 PRAGMA journal_mode=DELETE on it once, with every other program closed"
            ),
        ));
    }
    Ok(())
}

/// What an error that is not about a record means for the task.
pub(crate) fn task_error(error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::retriable(format!("the database is in use by another program: {error}"))
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::DiskFull | ErrorCode::OperationInterrupted) => {
            Error::connection_lost(format!("the database cannot be used now: {error}"))
        }
        _ => Error::fatal(error),
    }
}

/// Whether an error is about what is written, so that another record may be fine.
pub(crate) fn is_about_a_record(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                // SQL that does not fit the table: no such column, no unique index for an upsert.
                | ErrorCode::Unknown
        )
    )
}
