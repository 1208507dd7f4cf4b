//! Compiled code on disk, by the component's digest and the engine's compatibility hash.
//!
//! Compiled code is trusted as the program itself is, so nothing is taken from a directory that others can write to, and
//! an entry that does not match the hash written beside it is thrown away and made again.

use crate::compile::{CompileError, Compiler};
use crate::mapped;
use crate::plugin::Digest;
use rustix::process::geteuid;
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Makes names of files that are not complete yet unique within the process.
static NEXT_FILE: AtomicU64 = AtomicU64::new(0);

pub(crate) struct Cache {
    directory: PathBuf,
    compatibility: String,
}

impl Cache {
    /// Opens the directory, or makes it for this user alone.
    pub(crate) fn open(directory: &Path, engine: &Engine) -> io::Result<Cache> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let directory = directory.canonicalize()?;
        let found = fs::metadata(&directory)?;
        if found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("the directory \"{}\" of compiled code must belong to this user alone", directory.display()),
            ));
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Cache { directory, compatibility: format!("{:016x}", hasher.finish()) })
    }

    fn entry(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{digest}-{}.cwasm", self.compatibility))
    }

    /// Whether there is an entry, good or not.
    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        self.entry(digest).exists()
    }

    /// The code of a component: from the cache, or compiled into it.
    pub(crate) async fn component(
        &self,
        engine: &Engine,
        compiler: &Compiler,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<Component, CompileError> {
        if let Some(component) = self.load(engine, digest) {
            return Ok(component);
        }
        let entry = self.entry(digest);
        let temporary = self.directory.join(format!(
            "{digest}.{}.{}.tmp",
            std::process::id(),
            NEXT_FILE.fetch_add(1, Ordering::Relaxed)
        ));
        let made = compiler.compile(bytes, &temporary, || entry.exists()).await;
        let kept = made.and_then(|()| match temporary.exists() {
            true => self.keep(&temporary, &entry).map_err(|error| {
                CompileError::Broken(format!("cannot keep compiled code in \"{}\": {error}", self.directory.display()))
            }),
            false => Ok(()),
        });
        if kept.is_err() {
            // Usually there is nothing to remove: the child did not get that far.
            let _ = fs::remove_file(&temporary);
        }
        kept?;
        self.load(engine, digest).ok_or_else(|| {
            CompileError::Broken(format!("the compiled code in \"{}\" cannot be loaded", self.directory.display()))
        })
    }

    /// The hash first, so that an entry never stands without one.
    fn keep(&self, temporary: &Path, entry: &Path) -> io::Result<()> {
        let hash = hash_of(temporary)?;
        let hash_temporary = temporary.with_extension("sha256.tmp");
        fs::write(&hash_temporary, &hash)?;
        fs::rename(&hash_temporary, entry.with_extension("sha256"))?;
        fs::rename(temporary, entry)
    }

    /// The entry if it is whole; one that is damaged is removed.
    fn load(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let entry = self.entry(digest);
        let hash_file = entry.with_extension("sha256");
        let hash = hash_of(&entry).ok()?;
        let is_whole = fs::read_to_string(&hash_file).is_ok_and(|written| written == hash);
        match is_whole.then(|| mapped::component(engine, &entry)) {
            Some(Ok(component)) => Some(component),
            damaged => {
                let why = damaged.and_then(Result::err).map_or("it has changed".to_owned(), |why| why.to_string());
                tracing::warn!(entry = %entry.display(), why, "compiled code is made again");
                let _ = fs::remove_file(&entry);
                let _ = fs::remove_file(&hash_file);
                None
            }
        }
    }
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hex::encode(hasher.finalize()))
}
