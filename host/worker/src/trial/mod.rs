//! Trying things out without Kafka: single transforms, predicates and converters on recorded inputs, and the chain of a
//! connector on sample records. What runs is what tasks run: the component in its sandbox, the view, the host's converters.

mod chain;
mod encoding;
mod vectors;

use std::sync::Arc;

use tidegate_config::Settings;
use tidegate_config::worker::WorkerConfig;
use tidegate_engine::Hooks;
use tidegate_herder::Tenant;

use crate::catalog::Catalog;
use crate::instances::{Instances, Owner, TaskSchemas, hooks};

pub use chain::{ChainError, Parts, Shown, Stage, TriedChain};

/// Where things are tried out.
#[derive(Debug)]
pub struct Trial {
    ground: Ground,
    vectors: vectors::Steps,
}

/// What guests are made from.
#[derive(Debug)]
struct Ground {
    catalog: Arc<Catalog>,
    config: WorkerConfig,
    instances: Instances,
    tenant: Tenant,
}

impl Trial {
    /// A place to try the plugins of a catalog, with the limits and converters of a worker. `directory` is where relative
    /// paths in configurations start.
    pub fn new(catalog: Arc<Catalog>, config: WorkerConfig, directory: String) -> Trial {
        let instances = Instances::new(config.sandbox.clone(), directory);
        let ground = Ground { catalog, config, instances, tenant: Tenant::default() };
        Trial { ground, vectors: vectors::Steps::default() }
    }

    /// Makes the chain and the converters of a connector's configuration.
    pub async fn chain(&mut self, config: &Settings) -> Result<TriedChain, ChainError> {
        self.ground.chain(config).await
    }
}

impl Ground {
    fn owner(&self) -> Owner<'_> {
        Owner { tenant: &self.tenant, connector: "try", name: "try".to_owned() }
    }
}

fn trial_hooks(schemas: &Arc<TaskSchemas>) -> Hooks {
    hooks("try", None, schemas.clone(), None)
}
