//! The plugins of this worker: which components there are, and which class names they answer to.
//!
//! A component is known by the digest of its bytes. A class name is resolved once, when a connector's configuration is
//! checked; from then on the connector's record holds the digest, and [`Catalog::pinned`] gives back those bytes even when
//! the name has come to mean another component.
//!
//! Of several components with one name the highest version is meant, and of one version the latest upload. When a component
//! was uploaded last is the modification time of its file, so a restart changes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tidegate_config::{Definition, class, describe};
use tidegate_engine::{Accepted, Digest, Engine, LoadError, Plugin, Refusal, Stage};

use crate::converters;

/// Where a component came from; it decides what its grants are checked against and which names it may claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// In the box: may reach whatever the operator names.
    Bundled,
    /// In the box of another version of this program. Connectors that are pinned to it run it; nothing else finds it.
    Retired,
    /// Uploaded: may reach what the worker's policy allows besides.
    Uploaded,
}

impl Origin {
    /// Whether it came with this program, today's or an earlier one.
    pub fn is_in_the_box(self) -> bool {
        matches!(self, Origin::Bundled | Origin::Retired)
    }
}

/// A component and what it says about itself.
#[derive(Debug)]
pub struct Component {
    pub plugin: Plugin,
    pub description: tidegate_config::Plugin,
    pub origin: Origin,
    pub size_bytes: u64,
}

impl Component {
    pub fn digest(&self) -> Digest {
        self.plugin.digest()
    }
}

/// What a class name means.
#[derive(Clone, Debug)]
pub struct Class {
    /// None: a converter inside the host.
    pub component: Option<Arc<Component>>,
    pub definition: Arc<Definition>,
}

/// Why a component was not taken in. The text is the whole refusal.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The component is at fault.
    #[error("{0}")]
    Refused(String),
    /// This machine is: the disk, the compiler. Trying again may help.
    #[error("{0}")]
    Unavailable(String),
}

impl From<Refusal> for CatalogError {
    fn from(refusal: Refusal) -> CatalogError {
        match refusal.stage {
            Stage::Machine => CatalogError::Unavailable(refusal.to_string()),
            _ => CatalogError::Refused(refusal.to_string()),
        }
    }
}

impl From<LoadError> for CatalogError {
    fn from(error: LoadError) -> CatalogError {
        match error {
            LoadError::Busy | LoadError::Broken(_) => CatalogError::Unavailable(error.to_string()),
            _ => CatalogError::Refused(error.to_string()),
        }
    }
}

/// All plugins of a worker. Shared; additions are rare, look-ups cheap.
#[derive(Debug)]
pub struct Catalog {
    engine: Engine,
    /// Where uploaded components are kept, one file per digest.
    directory: PathBuf,
    /// Where those in the box are kept, this program's and those of its earlier versions.
    bundled: PathBuf,
    /// Held from the check of a stranger's names until they are its own.
    door: Mutex<()>,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    components: BTreeMap<String, Arc<Component>>,
    /// When each upload was pushed last, by digest.
    uploads: BTreeMap<String, SystemTime>,
    /// Names of the newest component of each name.
    names: Arc<Names>,
}

/// What class names mean.
pub type Names = class::Catalog<Class>;

impl Catalog {
    /// A catalog of the host's own converters; components are added.
    ///
    /// `directory` is made if it is not there.
    pub fn open(engine: Engine, directory: PathBuf) -> Result<Catalog, CatalogError> {
        let bundled = directory.join("bundled");
        std::fs::create_dir_all(&bundled).map_err(|error| {
            CatalogError::Unavailable(format!("the plugin directory \"{}\" cannot be made: {error}", bundled.display()))
        })?;
        let catalog = Catalog { engine, directory, bundled, door: Mutex::default(), known: RwLock::default() };
        catalog.rename(&mut catalog.known.write().unwrap_or_else(PoisonError::into_inner));
        Ok(catalog)
    }

    /// Takes in a component that came with the program, and keeps its bytes for the connectors that will be pinned to it
    /// when the program has become another.
    pub async fn add_bundled(&self, bytes: &[u8]) -> Result<Arc<Component>, CatalogError> {
        let plugin = self.engine.load(bytes).await.map_err(|error| CatalogError::Unavailable(error.to_string()))?;
        keep(&self.bundled, bytes, None)?;
        Ok(self.insert(component(plugin, bytes.len(), Origin::Bundled)?, None))
    }

    /// Checks a stranger's component at the door, keeps it on disk and takes it in. The same bytes again are no error: they
    /// become the latest upload again.
    pub async fn upload(&self, bytes: &[u8]) -> Result<Arc<Component>, CatalogError> {
        match self.pinned(&Digest::of(bytes).to_string()) {
            Some(known) if known.origin.is_in_the_box() => Ok(known),
            Some(known) => self.let_in(known, bytes),
            None => self.check(bytes).await,
        }
    }

    async fn check(&self, bytes: &[u8]) -> Result<Arc<Component>, CatalogError> {
        let Accepted { plugin, description } = self.engine.check(bytes).await?;
        let size_bytes = bytes.len() as u64;
        self.let_in(Arc::new(Component { plugin, description, origin: Origin::Uploaded, size_bytes }), bytes)
    }

    /// Keeps a stranger's component and gives it its names. A refused one leaves nothing behind.
    fn let_in(&self, component: Arc<Component>, bytes: &[u8]) -> Result<Arc<Component>, CatalogError> {
        let _door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        self.refuse_claims(&component.description)?;
        let uploaded = self.upload_time();
        keep(&self.directory, bytes, Some(uploaded))?;
        Ok(self.insert(component, Some(uploaded)))
    }

    /// Now, or what comes after the latest upload if the clock was set back since.
    fn upload_time(&self) -> SystemTime {
        #[expect(clippy::disallowed_methods, reason = "an upload has no other order that outlives the process")]
        let now = SystemTime::now();
        let after_last = self.read().uploads.values().max().map(|last| *last + Duration::from_micros(1));
        after_last.map_or(now, |after_last| after_last.max(now))
    }

    /// Takes in what was uploaded in earlier lives of this worker, in that order. A file that is damaged is reported and left
    /// alone.
    pub async fn load_uploaded(&self) -> Result<(), CatalogError> {
        let mut files = components_in(&self.directory).map_err(|error| {
            CatalogError::Unavailable(format!(
                "the plugin directory \"{}\" cannot be read: {error}",
                self.directory.display()
            ))
        })?;
        files.sort_by_cached_key(|path| modified(path));
        for path in files {
            match self.load_file(&path, Origin::Uploaded).await {
                Ok(component) => {
                    tracing::info!(plugin = component.description.name, digest = %component.digest(), "plugin loaded");
                }
                Err(error) => tracing::error!(file = %path.display(), "a stored plugin cannot be used: {error}"),
            }
        }
        Ok(())
    }

    /// Takes in what lies in a directory of `plugin.path`, or one level below it, as if it were uploaded. What is refused is
    /// reported and left alone, as Kafka Connect does with jars that it cannot load.
    pub async fn take_from(&self, directory: &Path) {
        let below = std::fs::read_dir(directory).map(|entries| {
            let mut folders: Vec<PathBuf> =
                entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
            folders.sort();
            folders
        });
        let found = below.and_then(|below| {
            let mut files = components_in(directory)?;
            for folder in below {
                files.extend(components_in(&folder)?);
            }
            Ok(files)
        });
        let files = match found {
            Ok(files) => files,
            Err(error) => {
                return tracing::error!(directory = %directory.display(), "plugin.path cannot be searched: {error}");
            }
        };
        for file in files {
            let taken = match std::fs::read(&file) {
                // What was found in an earlier life is no later upload for that.
                Ok(bytes) => match self.pinned(&Digest::of(&bytes).to_string()) {
                    Some(known) => Ok(known),
                    None => self.check(&bytes).await,
                },
                Err(error) => Err(CatalogError::Unavailable(error.to_string())),
            };
            match taken {
                Ok(component) => {
                    tracing::info!(file = %file.display(), plugin = component.description.name, "plugin found");
                }
                Err(error) => {
                    tracing::error!(file = %file.display(), "a plugin of plugin.path cannot be used: {error}")
                }
            }
        }
    }

    /// The component with this digest, if it is loaded.
    pub fn pinned(&self, digest: &str) -> Option<Arc<Component>> {
        self.read().components.get(digest.trim_start_matches("sha256:")).cloned()
    }

    /// Loads what an earlier version of this program had in its box, unless it is loaded. A digest of something else is left
    /// out: what lacks it finds out by [`Catalog::pinned`].
    pub(crate) async fn fetch(&self, digest: &str) -> Result<(), CatalogError> {
        // A name that is no digest names no file, whatever it looks like.
        let path = self.bundled.join(format!("{digest}.wasm"));
        let is_digest = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_digest && self.pinned(digest).is_none() && path.exists() {
            let component = self.load_file(&path, Origin::Retired).await?;
            tracing::info!(
                plugin = component.description.name,
                version = component.description.version,
                digest,
                "a plugin of an earlier version loaded, a connector is pinned to it"
            );
        }
        Ok(())
    }

    /// What class names mean now: the host's converters, and of each plugin the newest version.
    pub fn names(&self) -> Arc<Names> {
        self.read().names.clone()
    }

    /// What class names mean to a connector that is pinned to these components, and to no others.
    pub fn names_of(&self, components: &[Arc<Component>]) -> Names {
        let mut names = converter_names();
        let mut added: Vec<Digest> = Vec::new();
        for component in components {
            if !added.contains(&component.digest()) {
                added.push(component.digest());
                add_names(&mut names, component);
            }
        }
        names
    }

    /// All components, by name and version.
    pub fn components(&self) -> Vec<Arc<Component>> {
        let mut all: Vec<_> = self.read().components.values().cloned().collect();
        let order =
            |component: &Component| (component.description.name.clone(), version_order(&component.description.version));
        all.sort_by_cached_key(|component| order(component));
        all
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stranger may not take over a name that something else here answers to, nor a vendor's.
    fn refuse_claims(&self, description: &tidegate_config::Plugin) -> Result<(), CatalogError> {
        let known = self.read();
        for definition in &description.definitions {
            for name in std::iter::once(&definition.name).chain(&definition.aliases) {
                if VENDORS.iter().any(|vendor| name.starts_with(vendor)) {
                    let vendors = VENDORS.map(|vendor| format!("\"{vendor}\"")).join(", ");
                    return Err(CatalogError::Refused(format!(
                        "the plugin \"{}\" claims the name \"{name}\"\n\
                         hint: only plugins in the box may answer to names that begin with one of {vendors}; choose a name \
                         of your own",
                        description.name
                    )));
                }
                let taken = known.names.resolve(&[definition.kind], name).ok().filter(|found| {
                    found.item.component.as_ref().is_none_or(|owner| {
                        owner.origin == Origin::Bundled || owner.description.name != description.name
                    })
                });
                if let Some(found) = taken {
                    let owner = found.item.component.as_ref().map_or("the host", |owner| &owner.description.name);
                    return Err(CatalogError::Refused(format!(
                        "the plugin \"{}\" claims the name \"{name}\", which belongs to {owner}\n\
                         hint: give the definition a name of its own",
                        description.name
                    )));
                }
            }
        }
        Ok(())
    }

    fn insert(&self, component: Arc<Component>, uploaded: Option<SystemTime>) -> Arc<Component> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let digest = component.digest().to_string();
        if let Some(uploaded) = uploaded {
            known.uploads.insert(digest.clone(), uploaded);
        }
        known.components.insert(digest, component.clone());
        self.rename(&mut known);
        component
    }

    /// Builds the names anew. An upload that calls itself like a plugin in the box does not take its place.
    fn rename(&self, known: &mut Known) {
        let rank = |digest: &str, component: &Component| {
            (version_order(&component.description.version), known.uploads.get(digest).copied())
        };
        let mut newest = BTreeMap::new();
        for (digest, component) in known.components.iter().filter(|(_, component)| component.origin != Origin::Retired)
        {
            let rank = rank(digest, component);
            let holder = newest
                .entry((component.origin.is_in_the_box(), component.description.name.as_str()))
                .or_insert((rank.clone(), component));
            if rank > holder.0 {
                *holder = (rank, component);
            }
        }
        let mut names = converter_names();
        newest.into_values().for_each(|(_, component)| add_names(&mut names, component));
        known.names = Arc::new(names);
    }

    async fn load_file(&self, path: &Path, origin: Origin) -> Result<Arc<Component>, CatalogError> {
        // Not the machine's fault for good: other bytes do instead.
        let bytes = std::fs::read(path).map_err(|error| CatalogError::Refused(error.to_string()))?;
        let named = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if Digest::of(&bytes).to_string() != named {
            return Err(CatalogError::Refused("its bytes do not have the digest that it is named by".to_owned()));
        }
        let component = component(self.engine.load(&bytes).await?, bytes.len(), origin)?;
        if origin != Origin::Uploaded {
            return Ok(self.insert(component, None));
        }
        let _door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        self.refuse_claims(&component.description)?;
        Ok(self.insert(component, Some(modified(path))))
    }
}

/// A component that was accepted before.
fn component(plugin: Plugin, bytes: usize, origin: Origin) -> Result<Arc<Component>, CatalogError> {
    let description = describe::read(plugin.description()).map_err(|error| CatalogError::Refused(error.to_string()))?;
    Ok(Arc::new(Component { plugin, description, origin, size_bytes: bytes as u64 }))
}

/// When a component that is kept was uploaded last.
fn modified(path: &Path) -> SystemTime {
    path.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The components that lie in a directory, by name.
fn components_in(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries: Vec<PathBuf> =
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    let is_component = |path: &PathBuf| path.is_file() && path.extension().is_some_and(|extension| extension == "wasm");
    let mut files: Vec<PathBuf> = entries.into_iter().filter(is_component).collect();
    files.sort();
    Ok(files)
}

/// Writes the bytes under their digest, unless they are there, and notes when they were uploaded. A half-written file never
/// has that name, and a finished one outlives a loss of power: the records that pin it do.
fn keep(directory: &Path, bytes: &[u8], uploaded: Option<SystemTime>) -> Result<(), CatalogError> {
    let path = directory.join(format!("{}.wasm", Digest::of(bytes)));
    let write = || -> std::io::Result<()> {
        if std::fs::read(&path).is_ok_and(|kept| kept == bytes) {
            let Some(uploaded) = uploaded else { return Ok(()) };
            let file = File::options().write(true).open(&path)?;
            file.set_modified(uploaded)?;
            return file.sync_all();
        }
        let part = path.with_extension("part");
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        uploaded.map_or(Ok(()), |uploaded| file.set_modified(uploaded))?;
        file.sync_all()?;
        std::fs::rename(&part, &path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| {
        CatalogError::Unavailable(format!("the plugin cannot be stored in \"{}\": {error}", path.display()))
    })
}

fn converter_names() -> Names {
    let mut names = Names::new();
    for definition in converters::definitions() {
        let class = Class { component: None, definition: Arc::new(definition.clone()) };
        names.add(definition.kind, &definition.name, &definition.aliases, class);
    }
    names
}

fn add_names(names: &mut Names, component: &Arc<Component>) {
    for definition in &component.description.definitions {
        let class = Class { component: Some(component.clone()), definition: Arc::new(definition.clone()) };
        names.add(definition.kind, &definition.name, &definition.aliases, class);
    }
}

/// Whose class names a stranger may not claim.
const VENDORS: [&str; 3] = ["org.apache.kafka.", "io.confluent.", "tidegate."];

/// What versions are ordered by, as semantic versions are where they are some: what follows `-` comes before the version that
/// it leads to, what follows `+` does not count. In others, too, numbers compare as numbers, the rest as text.
fn version_order(version: &str) -> (Vec<(u64, String)>, bool, Option<semver::Prerelease>, String) {
    let version = version.split_once('+').map_or(version, |(version, _build)| version);
    let (numbers, before) = version.split_once('-').unwrap_or((version, ""));
    let numbers = numbers.split('.').map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect();
    (numbers, before.is_empty(), semver::Prerelease::new(before).ok(), before.to_owned())
}

#[cfg(test)]
mod tests {
    use super::version_order;

    #[test]
    fn versions_are_ordered_by_their_numbers_and_what_leads_to_them() {
        let ascending = [
            "0.1.0",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-rc.2",
            "1.0.0-rc.10",
            "1.0.0",
            "1.0.1",
            "1.9.3",
            "1.10.0-rc1",
            "1.10.0",
            "1.99.99",
            "2.0-beta",
            "2.0",
        ];
        for pair in ascending.windows(2) {
            assert!(version_order(pair[0]) < version_order(pair[1]), "{pair:?}");
        }
        assert_eq!(version_order("1.0.0+build.1"), version_order("1.0.0+build.2"));
    }
}
