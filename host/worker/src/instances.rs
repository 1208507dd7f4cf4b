//! How a worker makes plugin instances: the grants that a configuration implies, the policy on them, the limits, and where
//! their lines and numbers go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_config::connector::SandboxOverrides;
use tidegate_config::grant::Grants;
use tidegate_config::worker::{Sandbox, SandboxLimits};
use tidegate_config::{Definition, Settings};
use tidegate_engine::{Budget, BudgetLimits, Hooks, InstanceSpec, Limits, LogLevel, LogSink, MetricSink, SchemaTable};
use tidegate_herder::Tenant;

use crate::catalog::{Component, Origin};
use crate::offsets::ConnectorOffsets;

/// Makes the specs of instances.
#[derive(Debug)]
pub(crate) struct Instances {
    sandbox: Sandbox,
    /// Where relative paths in configurations start; absolute.
    directory: String,
    budget: Budget,
    shared: Mutex<SharedBudgets>,
}

/// The nodes that several instances share: what is charged to one is charged to all.
#[derive(Debug, Default)]
struct SharedBudgets {
    tenants: HashMap<Tenant, Budget>,
    connectors: HashMap<(Tenant, String), Budget>,
}

/// For whom an instance is made.
pub(crate) struct Owner<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) connector: &'a str,
    /// The instance's name in budgets, logs and errors, e.g. `orders-0`.
    pub(crate) name: String,
}

impl Instances {
    pub(crate) fn new(sandbox: Sandbox, directory: String) -> Instances {
        let budget =
            Budget::worker(BudgetLimits { memory: bytes(sandbox.worker_memory_max_bytes), ..Default::default() });
        Instances { sandbox, directory, budget, shared: Mutex::default() }
    }

    /// The connector's own node in the budget, shared by all of its instances.
    pub(crate) fn connector_budget(&self, tenant: &Tenant, connector: &str) -> Budget {
        let tenant_limits = BudgetLimits { memory: bytes(self.sandbox.tenant_memory_max_bytes), ..Default::default() };
        let limits = BudgetLimits { memory: bytes(self.sandbox.connector_memory_max_bytes), ..Default::default() };
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = shared
            .tenants
            .entry(tenant.clone())
            .or_insert_with(|| self.budget.tenant(tenant.as_str(), tenant_limits))
            .clone();
        shared
            .connectors
            .entry((tenant.clone(), connector.to_owned()))
            .or_insert_with(|| of_tenant.connector(connector, limits))
            .clone()
    }

    /// Forgets the node of a connector of which nothing runs any more.
    pub(crate) fn forget(&self, tenant: &Tenant, connector: &str) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.connectors.remove(&(tenant.clone(), connector.to_owned()));
    }

    /// What an instance of a definition may reach under its settings. The error names key, target and what to do.
    pub(crate) fn grants(
        &self,
        component: &Component,
        definition: &Definition,
        settings: &Settings,
    ) -> Result<Grants, String> {
        let grants = Grants::of(&definition.keys, settings, &self.directory).map_err(|problems| {
            problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("\n")
        })?;
        if component.origin.is_in_the_box() {
            return Ok(grants);
        }
        match self.sandbox.policy.denials(&grants).first() {
            None => Ok(grants),
            Some(denial) => Err(format!("{denial}\nhint: {}", denial.hint())),
        }
    }

    /// The spec of an instance.
    pub(crate) fn spec(
        &self,
        owner: &Owner<'_>,
        component: &Component,
        definition: &Definition,
        settings: &Settings,
        sandbox: SandboxOverrides,
        hooks: Hooks,
    ) -> Result<InstanceSpec, String> {
        let limits = sandbox.over(self.sandbox.limits);
        Ok(InstanceSpec {
            definition: definition.name.clone(),
            limits: instance_limits(limits),
            hooks,
            grants: self.grants(component, definition, settings)?,
            deny_private_networks: component.origin == Origin::Uploaded && self.sandbox.policy.deny_private_networks,
            directory: Some(self.directory.clone()),
            ..InstanceSpec::new(&owner.name, &definition.name, self.connector_budget(owner.tenant, owner.connector))
        })
    }
}

fn instance_limits(limits: SandboxLimits) -> Limits {
    Limits {
        memory: bytes(Some(limits.memory_max_bytes)).unwrap_or(usize::MAX),
        call_cpu: std::time::Duration::from_millis(limits.call_cpu_max_ms),
        call: std::time::Duration::from_millis(limits.call_max_ms),
        ..Limits::default()
    }
}

fn bytes(number: Option<u64>) -> Option<usize> {
    number.map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

/// A configuration as the engine hands it to guests.
pub(crate) fn guest_config(settings: &Settings) -> tidegate_engine::Config {
    settings.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The hooks of a task's instances: lines and numbers carry the task's name, schemas are shared.
pub(crate) fn hooks(
    name: &str,
    metrics: Option<Arc<dyn MetricSink>>,
    schemas: Arc<TaskSchemas>,
    offsets: Option<ConnectorOffsets>,
) -> Hooks {
    let defaults = Hooks::default();
    Hooks {
        log: Arc::new(TaskLog(name.to_owned())),
        metrics: metrics.unwrap_or(defaults.metrics),
        offsets: offsets.map(|offsets| Arc::new(offsets) as _),
        schemas,
    }
}

/// Lines of a guest, in the worker's log.
struct TaskLog(String);

impl LogSink for TaskLog {
    fn log(&self, level: LogLevel, message: &str) {
        let task = &self.0;
        match level {
            LogLevel::Error => tracing::error!(target: "plugin", task, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "plugin", task, "{message}"),
            LogLevel::Info => tracing::info!(target: "plugin", task, "{message}"),
            LogLevel::Debug => tracing::debug!(target: "plugin", task, "{message}"),
            LogLevel::Trace => tracing::trace!(target: "plugin", task, "{message}"),
        }
    }
}

/// The schemas of a task, shared by its instances and its view.
#[derive(Debug)]
pub(crate) struct TaskSchemas(Mutex<tidegate_record::SchemaTable>);

impl TaskSchemas {
    pub(crate) fn new() -> Arc<TaskSchemas> {
        Arc::new(TaskSchemas(Mutex::new(tidegate_record::SchemaTable::new(SCHEMAS_MAX))))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, tidegate_record::SchemaTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Schemas of one task, its own and those of its records. The engine bounds what each instance defines.
const SCHEMAS_MAX: usize = 10_000;

impl SchemaTable for TaskSchemas {
    fn define(&self, schema: &str) -> Result<u32, String> {
        self.lock().define_json(schema).map(|id| id.0).map_err(|error| error.to_string())
    }

    fn describe(&self, id: u32) -> Option<String> {
        self.lock().text(tidegate_record::SchemaId(id)).map(|text| text.to_string())
    }
}
