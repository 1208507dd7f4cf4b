//! `wasi:filesystem` under grants of paths.
//!
//! A granted directory is preopened under its real name. A granted file has no descriptor of its own in WASI, so its
//! parent is preopened under its real name and every call that takes a path is let through for that one name only. The
//! check is by text, before WASI's own: `..`, absolute paths and unknown names are refused, links are not followed at
//! the end of a path, none can be made, and what is opened for reading only cannot be written or touched. WASI confines
//! the rest to the preopened directory.
//!
//! A path that is an SQLite database is granted with its journal and with its locks (`database.rs`).

use super::database::{self, Database};
use super::{HostState, file_reads, file_writes};
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use tidegate_config::grant::Grants;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// The paths of an instance and what it has opened under them.
#[derive(Default)]
pub(crate) struct Files {
    granted: Vec<GrantedPath>,
    databases: Vec<Database>,
    /// Where each name that the guest knows a preopened directory by really is.
    preopened: HashMap<String, PathBuf>,
    open: HashMap<u32, Open>,
}

struct GrantedPath {
    path: PathBuf,
    is_directory: bool,
    may_write: bool,
}

/// What a descriptor of the guest's stands for.
#[derive(Clone)]
struct Open {
    path: PathBuf,
    /// Opened for writing, under a grant to write.
    may_write: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Access {
    Read,
    Write,
}

impl Files {
    /// Preopens what is granted. What is not there is reported and left out: the guest then finds no such file.
    /// `directory` is where relative paths start; a guest finds paths below it by their relative names too.
    pub(crate) fn preopen(
        wasi: &mut WasiCtxBuilder,
        grants: &Grants,
        directory: Option<&str>,
        report: impl Fn(&str),
    ) -> Files {
        let mut files = Files::default();
        let reads = grants.read_paths.iter().map(|granted| (granted, false));
        let writes = grants.write_paths.iter().map(|granted| (granted, true));
        let mut parents: Vec<(PathBuf, bool)> = Vec::new();
        for (granted, may_write) in reads.chain(writes) {
            let path = PathBuf::from(&granted.target);
            let is_directory = path.symlink_metadata().is_ok_and(|found| found.is_dir());
            let preopened = if is_directory { Some(path.as_path()) } else { path.parent() };
            if let Some(parent) = preopened {
                match parents.iter_mut().find(|(known, _)| known == parent) {
                    Some((_, writes)) => *writes |= may_write,
                    None => parents.push((parent.to_owned(), may_write)),
                }
            }
            if !is_directory && grants.databases.iter().any(|database| database.target == granted.target) {
                let database = Database::new(path.clone(), may_write);
                files.granted.push(GrantedPath { path: database.journal().to_owned(), is_directory, may_write });
                files.databases.push(database);
            }
            files.granted.push(GrantedPath { path, is_directory, may_write });
        }
        for (parent, may_write) in parents {
            let perms = if may_write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            let relative = directory.and_then(|directory| parent.strip_prefix(directory).ok()).map(|rest| match rest {
                rest if rest.as_os_str().is_empty() => ".".to_owned(),
                rest => rest.to_string_lossy().into_owned(),
            });
            for name in [Some(parent.to_string_lossy().into_owned()), relative].into_iter().flatten() {
                match wasi.preopened_dir(&parent, &name, perms) {
                    Ok(_) => drop(files.preopened.insert(name, parent.clone())),
                    Err(error) => report(&format!("the directory \"{}\" cannot be opened: {error}", parent.display())),
                }
            }
        }
        files
    }

    /// Whether a path may be used so.
    fn allows(&self, path: &Path, access: Access) -> bool {
        self.granted.iter().any(|granted| {
            let is_it = path == granted.path || (granted.is_directory && path.starts_with(&granted.path));
            is_it && (granted.may_write || access == Access::Read)
        })
    }

    /// The real path of a name below a descriptor, if it may be used so.
    fn path_below(&self, descriptor: u32, name: &str, access: Access) -> Result<PathBuf, Option<PathBuf>> {
        let path = self.named(descriptor, name)?;
        if self.allows(&path, access) { Ok(path) } else { Err(Some(path)) }
    }

    /// The real path of a name below a descriptor, whether it is granted or not.
    fn named(&self, descriptor: u32, name: &str) -> Result<PathBuf, Option<PathBuf>> {
        let Some(open) = self.open.get(&descriptor) else { return Err(None) };
        let mut path = open.path.clone();
        for part in Path::new(name).components() {
            match part {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(Some(path.join(name))),
            }
        }
        Ok(path)
    }

    /// The database whose lock has this name, if the name is that of one.
    fn lock(&mut self, descriptor: u32, name: &str) -> Option<&mut Database> {
        let path = self.named(descriptor, name).ok()?;
        self.databases.iter_mut().find(|database| database.lock_name() == path)
    }

    /// Whether an open descriptor may be used so: its path is granted, or lies under a granted directory.
    fn allows_open(&self, descriptor: u32, access: Access) -> bool {
        self.open
            .get(&descriptor)
            .is_some_and(|open| self.allows(&open.path, access) && (access == Access::Read || open.may_write))
    }
}

/// WASI's view with ours before it.
pub(crate) struct GuardedFiles<'a>(&'a mut HostState);

struct Guarded;

impl HasData for Guarded {
    type Data<'a> = GuardedFiles<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    types::add_to_linker::<HostState, Guarded>(linker, |state| GuardedFiles(state))?;
    preopens::add_to_linker::<HostState, Guarded>(linker, |state| GuardedFiles(state))
}

impl GuardedFiles<'_> {
    fn wasi(&mut self) -> WasiFilesystemCtxView<'_> {
        self.0.filesystem()
    }

    /// Lets a call with a path through, or refuses it with a line in the log.
    fn check(&mut self, descriptor: &Resource<Descriptor>, name: &str, access: Access) -> FsResult<PathBuf> {
        self.0.files.path_below(descriptor.rep(), name, access).map_err(|path| {
            let shown = path.unwrap_or_else(|| PathBuf::from(name));
            self.0.denied(&format!(
                "the path \"{}\" is not granted {}; a key of type path-read or path-write must name it",
                shown.display(),
                if access == Access::Read { "for reading" } else { "for writing" },
            ));
            types::ErrorCode::NotPermitted.into()
        })
    }

    fn check_open(&self, descriptor: &Resource<Descriptor>, access: Access) -> FsResult<()> {
        if self.0.files.allows_open(descriptor.rep(), access) {
            Ok(())
        } else {
            Err(types::ErrorCode::NotPermitted.into())
        }
    }
}

/// Links at the end of a path are never followed.
fn no_follow() -> types::PathFlags {
    types::PathFlags::empty()
}

impl preopens::Host for GuardedFiles<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let directories = preopens::Host::get_directories(&mut self.wasi())?;
        let files = &mut self.0.files;
        for (descriptor, name) in &directories {
            if let Some(path) = files.preopened.get(name) {
                files.open.insert(descriptor.rep(), Open { path: path.clone(), may_write: true });
            }
        }
        Ok(directories)
    }
}

impl types::Host for GuardedFiles<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<types::ErrorCode> {
        self.wasi().convert_error_code(error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<types::ErrorCode>> {
        self.wasi().filesystem_error_code(error)
    }
}

impl types::HostDescriptor for GuardedFiles<'_> {
    async fn open_at(
        &mut self,
        directory: Resource<Descriptor>,
        _path_flags: types::PathFlags,
        name: String,
        open_flags: types::OpenFlags,
        flags: types::DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let writing = types::DescriptorFlags::WRITE | types::DescriptorFlags::MUTATE_DIRECTORY;
        let makes = open_flags.intersects(types::OpenFlags::CREATE | types::OpenFlags::TRUNCATE);
        let may_write = makes || flags.intersects(writing);
        // A directory is opened with "may mutate" by habit; what is done in it is checked then.
        let opens_directory = open_flags.contains(types::OpenFlags::DIRECTORY);
        let access = if may_write && !opens_directory { Access::Write } else { Access::Read };
        let path = self.check(&directory, &name, access)?;
        let is_new_journal = makes
            && self.0.files.databases.iter().any(|database| database.journal() == path)
            && path.symlink_metadata().is_err();
        let opened = self.wasi().open_at(directory, no_follow(), name, open_flags, flags).await?;
        if is_new_journal {
            database::make_name_durable(&path)?;
        }
        self.0.files.open.insert(opened.rep(), Open { path, may_write });
        Ok(opened)
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.0.files.open.remove(&descriptor.rep());
        types::HostDescriptor::drop(&mut self.wasi(), descriptor)
    }

    async fn stat_at(
        &mut self,
        directory: Resource<Descriptor>,
        _path_flags: types::PathFlags,
        name: String,
    ) -> FsResult<types::DescriptorStat> {
        if self.0.files.lock(directory.rep(), &name).is_some() {
            return Err(types::ErrorCode::NoEntry.into());
        }
        self.check(&directory, &name, Access::Read)?;
        self.wasi().stat_at(directory, no_follow(), name).await
    }

    async fn metadata_hash_at(
        &mut self,
        directory: Resource<Descriptor>,
        _path_flags: types::PathFlags,
        name: String,
    ) -> FsResult<types::MetadataHashValue> {
        self.check(&directory, &name, Access::Read)?;
        self.wasi().metadata_hash_at(directory, no_follow(), name).await
    }

    async fn set_times_at(
        &mut self,
        directory: Resource<Descriptor>,
        _path_flags: types::PathFlags,
        name: String,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        if self.0.files.lock(directory.rep(), &name).is_some() {
            return Ok(());
        }
        self.check(&directory, &name, Access::Write)?;
        self.wasi().set_times_at(directory, no_follow(), name, accessed, modified).await
    }

    async fn create_directory_at(&mut self, directory: Resource<Descriptor>, name: String) -> FsResult<()> {
        if let Some(database) = self.0.files.lock(directory.rep(), &name) {
            return Ok(database.lock()?);
        }
        self.check(&directory, &name, Access::Write)?;
        self.wasi().create_directory_at(directory, name).await
    }

    async fn remove_directory_at(&mut self, directory: Resource<Descriptor>, name: String) -> FsResult<()> {
        if let Some(database) = self.0.files.lock(directory.rep(), &name) {
            database.unlock();
            return Ok(());
        }
        self.check(&directory, &name, Access::Write)?;
        self.wasi().remove_directory_at(directory, name).await
    }

    async fn unlink_file_at(&mut self, directory: Resource<Descriptor>, name: String) -> FsResult<()> {
        self.check(&directory, &name, Access::Write)?;
        self.wasi().unlink_file_at(directory, name).await
    }

    async fn rename_at(
        &mut self,
        directory: Resource<Descriptor>,
        name: String,
        new_directory: Resource<Descriptor>,
        new_name: String,
    ) -> FsResult<()> {
        self.check(&directory, &name, Access::Write)?;
        self.check(&new_directory, &new_name, Access::Write)?;
        self.wasi().rename_at(directory, name, new_directory, new_name).await
    }

    async fn link_at(
        &mut self,
        _directory: Resource<Descriptor>,
        _path_flags: types::PathFlags,
        _name: String,
        _new_directory: Resource<Descriptor>,
        _new_name: String,
    ) -> FsResult<()> {
        Err(types::ErrorCode::NotPermitted.into())
    }

    async fn symlink_at(&mut self, _directory: Resource<Descriptor>, _old: String, _new: String) -> FsResult<()> {
        Err(types::ErrorCode::NotPermitted.into())
    }

    async fn readlink_at(&mut self, _directory: Resource<Descriptor>, _name: String) -> FsResult<String> {
        Err(types::ErrorCode::NotPermitted.into())
    }

    async fn read_directory(
        &mut self,
        directory: Resource<Descriptor>,
    ) -> FsResult<Resource<types::DirectoryEntryStream>> {
        self.check_open(&directory, Access::Read)?;
        self.wasi().read_directory(directory).await
    }

    async fn set_size(&mut self, descriptor: Resource<Descriptor>, size: types::Filesize) -> FsResult<()> {
        self.check_open(&descriptor, Access::Write)?;
        self.wasi().set_size(descriptor, size).await
    }

    async fn set_times(
        &mut self,
        descriptor: Resource<Descriptor>,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        self.check_open(&descriptor, Access::Write)?;
        self.wasi().set_times(descriptor, accessed, modified).await
    }

    async fn write(
        &mut self,
        descriptor: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: types::Filesize,
    ) -> FsResult<types::Filesize> {
        self.check_open(&descriptor, Access::Write)?;
        self.wasi().write(descriptor, bytes, offset).await
    }

    fn write_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: types::Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.check_open(&descriptor, Access::Write)?;
        let mut wasi = self.wasi();
        let stream = wasi.write_via_stream(descriptor, offset)?;
        Ok(file_writes::enlarge(wasi.table, stream)?)
    }

    fn append_via_stream(&mut self, descriptor: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        self.check_open(&descriptor, Access::Write)?;
        let mut wasi = self.wasi();
        let stream = wasi.append_via_stream(descriptor)?;
        Ok(file_writes::enlarge(wasi.table, stream)?)
    }

    async fn advise(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: types::Filesize,
        length: types::Filesize,
        advice: types::Advice,
    ) -> FsResult<()> {
        self.wasi().advise(descriptor, offset, length, advice).await
    }

    async fn sync_data(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        self.wasi().sync_data(descriptor).await
    }

    async fn sync(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        self.wasi().sync(descriptor).await
    }

    async fn get_flags(&mut self, descriptor: Resource<Descriptor>) -> FsResult<types::DescriptorFlags> {
        self.wasi().get_flags(descriptor).await
    }

    async fn get_type(&mut self, descriptor: Resource<Descriptor>) -> FsResult<types::DescriptorType> {
        self.wasi().get_type(descriptor).await
    }

    async fn read(
        &mut self,
        descriptor: Resource<Descriptor>,
        length: types::Filesize,
        offset: types::Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        self.wasi().read(descriptor, length, offset).await
    }

    async fn stat(&mut self, descriptor: Resource<Descriptor>) -> FsResult<types::DescriptorStat> {
        self.wasi().stat(descriptor).await
    }

    fn read_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: types::Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        file_reads::open(self.wasi().table, &descriptor, offset)
    }

    async fn is_same_object(&mut self, a: Resource<Descriptor>, b: Resource<Descriptor>) -> wasmtime::Result<bool> {
        self.wasi().is_same_object(a, b).await
    }

    async fn metadata_hash(&mut self, descriptor: Resource<Descriptor>) -> FsResult<types::MetadataHashValue> {
        self.wasi().metadata_hash(descriptor).await
    }
}

impl types::HostDirectoryEntryStream for GuardedFiles<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<types::DirectoryEntryStream>,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        self.wasi().read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<types::DirectoryEntryStream>) -> wasmtime::Result<()> {
        types::HostDirectoryEntryStream::drop(&mut self.wasi(), stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let granted = |path: &str, is_directory, may_write| GrantedPath { path: path.into(), is_directory, may_write };
        let open = |path: &str| Open { path: path.into(), may_write: true };
        Files {
            databases: Vec::new(),
            granted: vec![granted("/data/in.txt", false, false), granted("/out", true, true)],
            preopened: HashMap::new(),
            open: HashMap::from([(1, open("/data")), (2, open("/out")), (3, open("/out/sub"))]),
        }
    }

    #[track_caller]
    fn check(descriptor: u32, name: &str, access: Access, expected: bool) {
        assert_eq!(files().path_below(descriptor, name, access).is_ok(), expected, "{name}");
    }

    #[test]
    fn a_file_grant_lets_one_name_through() {
        check(1, "in.txt", Access::Read, true);
        check(1, "./in.txt", Access::Read, true);
        check(1, "in.txt", Access::Write, false);
        check(1, "other.txt", Access::Read, false);
        check(1, "in.txt/below", Access::Read, false);
        check(1, ".", Access::Read, false);
    }

    #[test]
    fn a_directory_grant_covers_what_is_below_it() {
        check(2, "a/b.txt", Access::Write, true);
        check(3, "c", Access::Write, true);
        check(2, ".", Access::Read, true);
    }

    #[test]
    fn ways_out_are_refused_by_text() {
        for name in ["../data/in.txt", "sub/../a", "/etc/passwd", "..", "a/../../etc/passwd"] {
            check(2, name, Access::Read, false);
        }
        check(9, "in.txt", Access::Read, false);
    }
}
