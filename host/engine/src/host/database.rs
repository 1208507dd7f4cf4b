//! The locks of an SQLite database that is granted to a guest.
//!
//! WASI has no locks, so SQLite in a guest locks with its `unix-dotfile` protocol: it makes a directory `<database>.lock` and
//! removes it. A directory would survive a crash and tell nothing to programs outside. The host therefore answers those two
//! calls itself: what is held meanwhile is SQLite's own lock on the file, the one that every other process with the
//! database open respects. It ends with the instance or the process, however they end.
//!
//! Who may write takes all of SQLite's lock bytes for itself; who may read shares them with other readers, and waits for
//! a writer that has begun, for the guest could not tell its journal from one that a crash left behind.

#![allow(unsafe_code, reason = "locks on a range for an open file are reached through libc only")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use tidegate_config::grant::journal_of;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

/// Where SQLite's lock bytes begin (`PENDING_BYTE`), and how many they are: pending, reserved, and 510 shared ones.
const LOCK_START: i64 = 0x4000_0000;
const LOCK_BYTES: i64 = 512;

/// A database and whether this instance holds it.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    journal: PathBuf,
    lock_name: PathBuf,
    may_write: bool,
    /// Dropping the file ends the lock.
    held: Option<File>,
}

impl Database {
    pub(super) fn new(path: PathBuf, may_write: bool) -> Database {
        let text = path.to_string_lossy();
        let journal = PathBuf::from(journal_of(&text));
        let lock_name = PathBuf::from(format!("{text}.lock"));
        Database { path, journal, lock_name, may_write, held: None }
    }

    pub(super) fn journal(&self) -> &Path {
        &self.journal
    }

    /// The directory that the guest believes to make.
    pub(super) fn lock_name(&self) -> &Path {
        &self.lock_name
    }

    /// Takes the lock, or says that somebody else has it (`exist`, which SQLite reads as busy). Never waits.
    pub(super) fn lock(&mut self) -> Result<(), ErrorCode> {
        if self.held.is_some() {
            return Err(ErrorCode::Exist);
        }
        let file = OpenOptions::new()
            .read(true)
            .write(self.may_write)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&self.path)
            .map_err(|_| ErrorCode::NoEntry)?;
        match set_lock(&file, self.may_write) {
            Ok(()) => {
                self.held = Some(file);
                Ok(())
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Err(ErrorCode::Exist),
            // A file system without locks: nothing could keep two writers apart.
            Err(_) => Err(ErrorCode::Unsupported),
        }
    }

    pub(super) fn unlock(&mut self) {
        self.held = None;
    }
}

/// Makes the name of a journal that has just been made outlive a loss of power: a guest cannot open the directory that the
/// name stands in.
pub(super) fn make_name_durable(journal: &Path) -> Result<(), ErrorCode> {
    let synced = journal.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all());
    synced.map_err(|_| ErrorCode::Io)
}

/// Locks SQLite's bytes for this open file, not for the process: two instances in one worker keep each other out too.
fn set_lock(file: &File, exclusive: bool) -> io::Result<()> {
    // SAFETY: `flock` is a plain struct of integers, for which all zeros is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = if exclusive { libc::F_WRLCK } else { libc::F_RDLCK } as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = LOCK_START;
    lock.l_len = LOCK_BYTES;
    // SAFETY: the descriptor is open as long as `file` lives, and the kernel reads the struct during the call only.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(may_write: bool, directory: &tempfile::TempDir) -> Database {
        let path = directory.path().join("x.db");
        OpenOptions::new().create(true).append(true).open(&path).unwrap();
        Database::new(path, may_write)
    }

    #[test]
    fn a_writer_keeps_everybody_out_until_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let (mut first, mut second) = (database(true, &directory), database(true, &directory));
        let mut reader = database(false, &directory);
        first.lock().unwrap();
        assert_eq!(second.lock(), Err(ErrorCode::Exist));
        assert_eq!(reader.lock(), Err(ErrorCode::Exist));
        drop(first);
        second.lock().unwrap();
    }

    #[test]
    fn readers_share_and_keep_writers_out() {
        let directory = tempfile::tempdir().unwrap();
        let (mut first, mut second) = (database(false, &directory), database(false, &directory));
        let mut writer = database(true, &directory);
        first.lock().unwrap();
        second.lock().unwrap();
        assert_eq!(writer.lock(), Err(ErrorCode::Exist));
        first.unlock();
        second.unlock();
        writer.lock().unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_the_database_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        std::fs::write(directory.path().join("other"), "").unwrap();
        std::os::unix::fs::symlink("other", &path).unwrap();
        assert_eq!(Database::new(path, true).lock(), Err(ErrorCode::NoEntry));
    }
}
