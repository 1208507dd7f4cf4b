//! From a connector's configuration to what runs: the checked configuration, and for each role in it the component and
//! definition that plays it.
//!
//! Roles are the keys that name a class: `connector`, `transforms.<alias>`, `predicates.<alias>`, and those of the converters where a
//! plugin has the class. When a configuration is
//! written, a role whose class is still found in the component it was pinned to keeps that component, whatever newer ones
//! there are; the others get the newest. What starts later gets exactly what was pinned then, or fails.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_config::class::ClassError;
use tidegate_config::connector::{ConnectorConfig, Lookup};
use tidegate_config::converter::Part;
use tidegate_config::validate::{Invalid, split_list};
use tidegate_config::worker::WorkerConfig;
use tidegate_config::{Definition, Kind, Problem, Settings};
use tidegate_herder::{Digest, Plugins};

use crate::catalog::{Catalog, CatalogError, Class, Component, Names};
use crate::converters::{TaskConverters, kind_for, task_converters};
use crate::shared::Shared;

/// A class that a configuration names, and where.
struct Role {
    /// As pins name it.
    name: String,
    kinds: &'static [Kind],
    class: String,
}

/// The connector itself, in pins.
const CONNECTOR: &str = "connector";

/// Everything that a connector's configuration comes to.
#[derive(Debug)]
pub(crate) struct ConnectorPlan {
    pub(crate) config: ConnectorConfig,
    pub(crate) connector: Bound,
    pub(crate) chain: Vec<Step>,
    pub(crate) converters: TaskConverters,
    pub(crate) pins: Plugins,
}

/// A definition and the component that has it.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) component: Arc<Component>,
    pub(crate) definition: Arc<Definition>,
    /// The definition's own settings, without prefix.
    pub(crate) settings: Settings,
}

/// A transform, and the predicate that decides whether it applies.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) alias: String,
    /// As the configuration names it.
    pub(crate) class: String,
    pub(crate) transform: Bound,
    pub(crate) condition: Option<Condition>,
}

#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) predicate: Bound,
    pub(crate) negate: bool,
}

impl ConnectorPlan {
    /// Works out a configuration that is to be written, keeping pins where they still hold. Answers every problem at once.
    /// Pinned bytes that are damaged are like lost ones: their roles get the newest.
    pub(crate) async fn resolve(
        shared: &Shared,
        settings: &Settings,
        pinned: &Plugins,
    ) -> Result<ConnectorPlan, Vec<Problem>> {
        for digest in digests(pinned) {
            match shared.catalog.fetch(digest).await {
                Err(CatalogError::Refused(why)) => {
                    tracing::error!(digest, "a pinned plugin cannot be used any more: {why}")
                }
                Err(CatalogError::Unavailable(why)) => return Err(vec![Problem::new("", why)]),
                Ok(()) => {}
            }
        }
        let newest = shared.catalog.names();
        ConnectorPlan::make(&shared.catalog, &shared.config, settings, pinned, |role| {
            let kept = held(role, &shared.catalog, pinned);
            Ok(kept.or_else(|| find(&newest, role.kinds, &role.class).ok()?.component.clone()))
        })
    }

    /// Works out a configuration that was written earlier, with the very bytes that it was pinned to then.
    pub(crate) async fn recall(
        shared: &Shared,
        settings: &Settings,
        pinned: &Plugins,
    ) -> Result<ConnectorPlan, Vec<Problem>> {
        for digest in digests(pinned) {
            shared.catalog.fetch(digest).await.map_err(|error| vec![Problem::new("", error.to_string())])?;
        }
        let catalog = &shared.catalog;
        ConnectorPlan::make(catalog, &shared.config, settings, pinned, |role| match held(role, catalog, pinned) {
            Some(component) => Ok(Some(component)),
            None => Err(not_here(role, pinned.get(&role.name))),
        })
    }

    /// Works out a configuration that nobody has pinned.
    pub(crate) fn newest(
        catalog: &Catalog,
        worker: &WorkerConfig,
        settings: &Settings,
    ) -> Result<ConnectorPlan, Vec<Problem>> {
        let newest = catalog.names();
        ConnectorPlan::make(catalog, worker, settings, &Plugins::new(), |role| {
            Ok(find(&newest, role.kinds, &role.class).ok().and_then(|class| class.component.clone()))
        })
    }

    fn make(
        catalog: &Catalog,
        worker: &WorkerConfig,
        settings: &Settings,
        pinned: &Plugins,
        component_for: impl Fn(&Role) -> Result<Option<Arc<Component>>, Problem>,
    ) -> Result<ConnectorPlan, Vec<Problem>> {
        let roles = roles(settings, worker, &catalog.names(), pinned);
        let mut components = Vec::new();
        let mut pins = Plugins::new();
        let mut is_complete = true;
        for role in &roles {
            match component_for(role).map_err(|problem| vec![problem])? {
                Some(component) => {
                    pins.insert(role.name.clone(), Digest(component.digest().to_string()));
                    components.push(component);
                }
                None => is_complete = false,
            }
        }
        // With a class missing, the names of all plugins give the better error.
        let names = if is_complete { Arc::new(catalog.names_of(&components)) } else { catalog.names() };
        let lookup = |kinds: &[Kind], class: &str| find(&names, kinds, class).map(|class| &*class.definition);
        let config = check(settings, worker, &lookup).map_err(|invalid| invalid.problems)?;
        let connector = bind(&names, &[Kind::Source, Kind::Sink], &config.class, settings.clone())
            .map_err(|message| vec![Problem::new("connector.class", message)])?;
        let chain = chain(&names, &config).map_err(|problem| vec![problem])?;
        let converters = task_converters(
            |part: Part| config.converter(part, worker).clone(),
            |kind, class| find(&names, &[kind], class).cloned().map_err(|error| error.to_string()),
        )
        .map_err(|message| vec![Problem::new("", message)])?;
        Ok(ConnectorPlan { config, connector, chain, converters, pins })
    }
}

/// Checks a configuration. A worker that makes no topics does not look at `topic.creation.*`, as in Connect.
fn check(settings: &Settings, worker: &WorkerConfig, lookup: &Lookup<'_>) -> Result<ConnectorConfig, Invalid> {
    if worker.topic_creation {
        return ConnectorConfig::check(settings, lookup);
    }
    let heeded = settings.iter().filter(|(key, _)| !key.starts_with("topic.creation."));
    let config = ConnectorConfig::check(&heeded.collect(), lookup)?;
    Ok(ConnectorConfig { original: settings.clone(), ..config })
}

fn roles(settings: &Settings, worker: &WorkerConfig, names: &Names, pinned: &Plugins) -> Vec<Role> {
    let mut roles = Vec::new();
    let class_at = |key: &str| settings.get(key).map(|class| class.trim().to_owned()).filter(|class| !class.is_empty());
    if let Some(class) = class_at("connector.class") {
        roles.push(Role { name: CONNECTOR.to_owned(), kinds: &[Kind::Source, Kind::Sink], class });
    }
    for (list, kinds) in [("transforms", &[Kind::Transform]), ("predicates", &[Kind::Predicate])] {
        for alias in split_list(settings.get(list).unwrap_or_default()) {
            let name = format!("{list}.{alias}");
            if let Some(class) = class_at(&format!("{name}.type")) {
                roles.push(Role { name, kinds, class });
            }
        }
    }
    for part in Part::ALL {
        let class = class_at(part.key()).unwrap_or_else(|| worker.converter(part).class.clone());
        let kinds: &[Kind] = match kind_for(part) {
            Kind::HeaderConverter => &[Kind::HeaderConverter],
            _ => &[Kind::Converter],
        };
        // The host's own are no component's.
        let is_plugin = find(names, kinds, &class).is_ok_and(|class| class.component.is_some());
        if is_plugin || pinned.contains_key(part.key()) {
            roles.push(Role { name: part.key().to_owned(), kinds, class });
        }
    }
    roles
}

fn digests(pinned: &Plugins) -> BTreeSet<&str> {
    pinned.values().map(|digest| digest.0.as_str()).collect()
}

/// The component that the role is pinned to, if it is here and has the class.
fn held(role: &Role, catalog: &Catalog, pinned: &Plugins) -> Option<Arc<Component>> {
    let component = catalog.pinned(&pinned.get(&role.name)?.0)?;
    let names = catalog.names_of(std::slice::from_ref(&component));
    find(&names, role.kinds, &role.class).is_ok_and(|class| class.component.is_some()).then_some(component)
}

fn not_here(role: &Role, digest: Option<&Digest>) -> Problem {
    let pinned = digest.map_or("nothing".to_owned(), |digest| format!("sha256:{}", digest.0));
    let message = format!(
        "\"{}\" is pinned to {pinned}, which this worker does not have\n\
         hint: upload that component again, or write the connector's configuration again to pin the newest",
        role.class
    );
    Problem::new(role.name.clone(), message)
}

fn find<'n>(names: &'n Names, kinds: &[Kind], class: &str) -> Result<&'n Class, ClassError> {
    names.resolve(kinds, class).map(|found| found.item)
}

fn bind(names: &Names, kinds: &[Kind], class: &str, settings: Settings) -> Result<Bound, String> {
    let found = names.resolve(kinds, class).map_err(|error| error.to_string())?;
    let Some(component) = found.item.component.clone() else {
        return Err(format!("\"{class}\" is a converter"));
    };
    Ok(Bound { component, definition: found.item.definition.clone(), settings })
}

fn chain(names: &Names, config: &ConnectorConfig) -> Result<Vec<Step>, Problem> {
    let at = |key: String| move |message| Problem::new(key, message);
    config
        .chain
        .iter()
        .map(|step| {
            let key = format!("transforms.{}", step.alias);
            let transform = bind(names, &[Kind::Transform], &step.class, step.settings.clone())
                .map_err(at(format!("{key}.type")))?;
            let condition = match &step.predicate {
                None => None,
                Some(alias) => {
                    let named =
                        config.predicates.iter().find(|predicate| predicate.alias == *alias).ok_or_else(|| {
                            Problem::new(format!("{key}.predicate"), format!("there is no predicate \"{alias}\""))
                        })?;
                    let predicate = bind(names, &[Kind::Predicate], &named.class, named.settings.clone())
                        .map_err(at(format!("predicates.{alias}.type")))?;
                    Some(Condition { predicate, negate: step.negate })
                }
            };
            Ok(Step { alias: step.alias.clone(), class: step.class.clone(), transform, condition })
        })
        .collect()
}
