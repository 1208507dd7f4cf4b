//! The data directory: everything a process keeps, and the lock that keeps a second process out.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::failure::Failure;

const LOCK_FILE: &str = "lock";

/// A data directory that belongs to this process. The lock goes with the value, and with the process however it ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    /// Whether this process made it.
    is_new: bool,
    _lock: File,
}

impl DataDir {
    /// Takes the directory, making it if it is not there.
    pub(crate) fn open(root: &Path) -> Result<DataDir, Failure> {
        let unusable = |error: io::Error| unusable(root, &error);
        let is_new = !root.exists();
        fs::create_dir_all(root).map_err(unusable)?;
        let root = root.canonicalize().map_err(unusable)?;
        let options = File::options().create(true).truncate(false).write(true).to_owned();
        let lock = options.open(root.join(LOCK_FILE)).map_err(unusable)?;
        lock_file(&root, &lock)?;
        Ok(DataDir { root, is_new, _lock: lock })
    }

    /// Fails if another process has the directory. Makes nothing.
    pub(crate) fn check_free(root: &Path) -> Result<(), Failure> {
        match File::options().write(true).open(root.join(LOCK_FILE)) {
            Ok(lock) => lock_file(root, &lock),
            Err(_) => Ok(()),
        }
    }

    /// Undoes [`DataDir::open`] for a process that does not come up: a directory it made goes again.
    pub(crate) fn discard(self) {
        if self.is_new
            && let Err(error) = fs::remove_dir_all(&self.root)
        {
            tracing::warn!(directory = %self.root.display(), "a new data directory is left behind: {error}");
        }
    }

    /// A folder within, made if it is not there.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.path(name);
        fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
        Ok(folder)
    }

    /// A path within; nothing is made.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

fn lock_file(root: &Path, lock: &File) -> Result<(), Failure> {
    match flock(lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => {
            Err(Failure::new(format!("the data directory \"{}\" is in use by another process", root.display()))
                .hint("stop that process, or name another directory with --data-dir"))
        }
        Err(error) => Err(unusable(root, &error.into())),
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("the data directory \"{}\" cannot be used", path.display())).detail(error);
    match error.kind() {
        ErrorKind::PermissionDenied => failure.hint("give this user the right to write there, or use --data-dir"),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => failure.hint("name a directory with --data-dir"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::DataDir;

    #[test]
    fn a_second_process_is_kept_out_until_the_first_has_gone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        DataDir::check_free(&root).unwrap();
        let first = DataDir::open(&root).unwrap();
        let refused = DataDir::open(&root).unwrap_err().to_string();
        assert!(refused.contains("in use by another process"), "{refused}");
        assert_eq!(DataDir::check_free(&root).unwrap_err().to_string(), refused);
        drop(first);
        DataDir::open(&root).unwrap();
    }

    #[test]
    fn only_a_directory_that_was_made_here_is_discarded() {
        let dir = tempfile::tempdir().unwrap();
        DataDir::open(dir.path()).unwrap().discard();
        assert!(dir.path().exists());
        let new = dir.path().join("a/b");
        DataDir::open(&new).unwrap().discard();
        assert!(!new.exists());
    }
}
