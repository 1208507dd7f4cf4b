//! What the HTTP server asks of the data plane: plugins and numbers, in the server's words.

use std::sync::Arc;

use tidegate_config::Definition;
use tidegate_engine::Engine;
use tidegate_herder::Handle;
use tidegate_server::{BoxFuture, PluginClass, PluginFile, UploadError};
use tidegate_worker::{Catalog, CatalogError, Component, Metrics, Origin, converter_definitions};

use crate::loading::{self, Loaded};

/// Names that go before a definition's own on Connect's endpoints.
const APACHE: &str = "org.apache.kafka.";

/// The plugins of this worker, and the door for new ones.
pub(crate) struct Plugins {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) engine: Engine,
    pub(crate) herder: Handle,
    pub(crate) loaded: Loaded,
    /// Bytes of the largest component that is accepted.
    pub(crate) bytes_max: usize,
}

impl tidegate_server::Plugins for Plugins {
    fn classes(&self) -> Vec<PluginClass> {
        // Nobody can name a class of a component that only old pins lead to.
        let components = self.catalog.components();
        let named = components.iter().filter(|component| component.origin != Origin::Retired);
        let of_components = named.flat_map(|component| {
            let version = &component.description.version;
            component.description.definitions.iter().flat_map(|definition| classes(definition, version))
        });
        let own = converter_definitions().flat_map(|definition| classes(definition, env!("CARGO_PKG_VERSION")));
        of_components.chain(own).collect()
    }

    fn files(&self) -> Vec<PluginFile> {
        self.catalog.components().iter().map(|component| file(component)).collect()
    }

    fn upload(&self, component: Vec<u8>) -> BoxFuture<'_, Result<PluginFile, UploadError>> {
        Box::pin(async move {
            // A stranger may not take a name before the plugins in the box have theirs.
            loading::wait(&self.loaded).await.map_err(UploadError::Unavailable)?;
            let catalog = self.catalog.clone();
            let checked = self.engine.spawn(async move { catalog.upload(&component).await });
            let component = checked
                .await
                .map_err(|_| {
                    UploadError::Unavailable("checking the component crashed, see the worker's log".to_owned())
                })?
                .map_err(not_taken)?;
            let manifest = loading::manifest(&component);
            self.herder.publish_plugin(manifest).await.map_err(not_published)?;
            tracing::info!(plugin = component.description.name, digest = %component.digest(), "plugin uploaded");
            Ok(file(&component))
        })
    }

    fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

fn not_taken(error: CatalogError) -> UploadError {
    match error {
        CatalogError::Refused(why) => UploadError::Refused(why),
        CatalogError::Unavailable(why) => UploadError::Unavailable(why),
    }
}

/// The component is in the catalog; sent again, it is published again.
fn not_published(error: tidegate_herder::Error) -> UploadError {
    match error {
        tidegate_herder::Error::BadRequest { message, .. } => UploadError::Refused(message),
        other => UploadError::Unavailable(other.to_string()),
    }
}

/// One entry for each class name that a configuration of Connect would use.
fn classes(definition: &Definition, version: &str) -> Vec<PluginClass> {
    let apache: Vec<&String> = definition.aliases.iter().filter(|alias| alias.starts_with(APACHE)).collect();
    let names = if apache.is_empty() { vec![&definition.name] } else { apache };
    let class = |name: &String| PluginClass {
        class: name.clone(),
        kind: definition.kind.connect_name().to_owned(),
        version: Some(version.to_owned()),
    };
    names.into_iter().map(class).collect()
}

fn file(component: &Component) -> PluginFile {
    PluginFile {
        digest: format!("sha256:{}", component.digest()),
        name: component.description.name.clone(),
        version: component.description.version.clone(),
        bundled: component.origin.is_in_the_box(),
        definitions: loading::description(component)["definitions"].take(),
        imports: component.plugin.imports().to_vec(),
    }
}

/// The numbers of this worker.
pub(crate) struct Numbers(pub(crate) Arc<Metrics>);

impl tidegate_server::Metrics for Numbers {
    fn render(&self) -> String {
        self.0.render()
    }
}
