//! Checks a connector's configuration before anything is written: keys, classes, client settings, grants, and what the
//! plugins themselves have to say.

use tidegate_config::client;
use tidegate_config::connector::{ConnectorConfig, Direction, SourceConfig, TransactionBoundary};
use tidegate_config::worker::Client;
use tidegate_config::{Kind, Problem, Settings};
use tidegate_engine::{
    CallError, ConverterInstance, ExactlyOnce, Hooks, InstanceSpec, PredicateInstance, SinkInstance, SourceInstance,
    TransformInstance,
};
use tidegate_herder::{ConnectorKind, Refusal, RestartPolicy, ValidateRequest, Validated};

use crate::instances::{TaskSchemas, guest_config, hooks};
use crate::plan::{Bound, ConnectorPlan};
use crate::shared::Shared;

/// Checks a configuration and resolves its plugins.
pub(crate) async fn validate(shared: &Shared, request: ValidateRequest) -> Result<Validated, Refusal> {
    let settings: Settings = request.config.into_iter().collect();
    let plan = ConnectorPlan::resolve(shared, &settings, &request.pinned).await.map_err(invalid)?;
    let mut problems = host_problems(shared, &plan);
    if problems.is_empty() {
        problems = guest_problems(shared, &plan, &request.connector).await?;
    }
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    Ok(Validated {
        kind: kind(&plan.config),
        version: Some(plan.connector.component.description.version.clone()),
        tasks_max: plan.config.tasks_max,
        restart: plan.config.restart.map(|restart| RestartPolicy {
            attempts_max: restart.attempts_max,
            delay_ms: restart.delay_ms,
            delay_max_ms: restart.delay_max_ms,
            reset_after_ms: restart.reset_after_ms,
        }),
        plugins: plan.pins,
    })
}

pub(crate) fn kind(config: &ConnectorConfig) -> ConnectorKind {
    match config.direction {
        Direction::Source(_) => ConnectorKind::Source,
        Direction::Sink(_) => ConnectorKind::Sink,
    }
}

/// Connect's text, one line per problem. Its pointer to `config/validate` is left out: there is no such endpoint here.
fn invalid(problems: Vec<Problem>) -> Refusal {
    let mut message =
        format!("Connector configuration is invalid and contains the following {} error(s):", problems.len());
    for problem in &problems {
        message.push('\n');
        match problem.message.contains(&problem.key) {
            true => message.push_str(&problem.message),
            false => message.push_str(&format!("key \"{}\": {}", problem.key, problem.message)),
        }
    }
    let problems = problems
        .into_iter()
        .map(|problem| tidegate_herder::Problem { key: problem.key, message: problem.message })
        .collect();
    Refusal::Invalid { message, problems }
}

/// What the host knows without asking a plugin.
fn host_problems(shared: &Shared, plan: &ConnectorPlan) -> Vec<Problem> {
    let mut problems = shared.config.client_overrides.refusals(&plan.config.original);
    if let Direction::Source(source) = &plan.config.direction {
        problems.extend(exactly_once_problems(shared, plan, source));
    }
    for client in clients(&plan.config) {
        let settings = match (client, &plan.config.direction) {
            (Client::Producer, Direction::Source(_)) => shared.producer_settings(&plan.config),
            _ => shared.client_settings(client, &plan.config.original),
        };
        if let Err(refused) = client::translate(&settings) {
            problems.extend(refused.problems);
        }
    }
    for bound in bounds(plan) {
        if let Err(message) = shared.instances.grants(&bound.component, &bound.definition, &bound.settings) {
            problems.push(Problem::new("", message));
        }
    }
    problems
}

/// The Kafka clients that a connector's tasks have.
fn clients(config: &ConnectorConfig) -> Vec<Client> {
    let keeps_letters = config.errors.dead_letters.is_some();
    match &config.direction {
        Direction::Source(source) => {
            let admin = keeps_letters || source.topic_creation.is_some();
            std::iter::once(Client::Producer).chain(admin.then_some(Client::Admin)).collect()
        }
        Direction::Sink(_) if keeps_letters => vec![Client::Consumer, Client::Producer, Client::Admin],
        Direction::Sink(_) => vec![Client::Consumer],
    }
}

/// What stands against writing exactly once, where the connector must or would.
fn exactly_once_problems(shared: &Shared, plan: &ConnectorPlan, source: &SourceConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    let is_enabled = shared.exactly_once_group().is_some();
    if !is_enabled {
        // Connect's sentence, and what to do about it.
        const DISABLED: &str = "This worker does not have exactly-once source support enabled.";
        const HINT: &str = "set exactly.once.source.support=enabled in the configuration of a distributed worker";
        if source.exactly_once_required {
            problems.push(Problem::new("exactly.once.support", format!("{DISABLED}\nhint: {HINT}")));
        }
        for key in ["transactional.id", "producer.override.transactional.id"] {
            let is_asked = key != "transactional.id" || source.transactional_id.is_some();
            if is_asked && plan.config.original.contains(key) {
                problems.push(Problem::new(key, format!("{key} asks for exactly once. {DISABLED}\nhint: {HINT}")));
            }
        }
        return problems;
    }
    if plan.config.original.contains("producer.override.transactional.id") {
        problems.push(Problem::new(
            "producer.override.transactional.id",
            "producer.override.transactional.id: several tasks cannot share one id\n\
             hint: set transactional.id, with which the tasks' ids begin",
        ));
    }
    let settings = shared.producer_settings(&plan.config);
    if let Some(acks) = settings.get("acks").map(str::trim)
        && !matches!(acks, "all" | "-1")
    {
        problems.push(Problem::new(
            "acks",
            format!("acks is {acks}: exactly-once support needs the acknowledgement of all replicas"),
        ));
    }
    problems
}

/// What the plugin says about exactly once, in Connect's words.
async fn capability_problems(plan: &ConnectorPlan, spec: &InstanceSpec) -> Result<Vec<Problem>, CallError> {
    let Direction::Source(source) = &plan.config.direction else { return Ok(Vec::new()) };
    let capabilities = plan.connector.definition.capabilities;
    let mut problems = Vec::new();
    if source.needs_exactly_once() {
        let key = if source.exactly_once_required { "exactly.once.support" } else { "transactional.id" };
        let message = if !capabilities.exactly_once {
            Some(
                "The connector does not implement the API required for preflight validation of exactly-once source support. \
                 Please consult the documentation for the connector to determine whether it supports exactly-once semantics, and \
                 then consider reconfiguring the connector to use the value \"requested\" for this property (which will disable \
                 this preflight check and allow the connector to be created).",
            )
        } else {
            let mut instance = SourceInstance::new(&plan.connector.component.plugin, spec).await?;
            match instance.exactly_once_support(&guest_config(&plan.connector.settings)).await? {
                ExactlyOnce::Supported => None,
                ExactlyOnce::Unsupported => {
                    Some("The connector does not support exactly-once semantics with the provided configuration.")
                }
            }
        };
        problems.extend(message.map(|message| Problem::new(key, format!("{key}: {message}"))));
    }
    if source.transaction_boundary == TransactionBoundary::Connector && !capabilities.transaction_boundaries {
        problems.push(Problem::new(
            "transaction.boundary",
            "transaction.boundary: The connector does not support connector-defined transaction boundaries with the given \
             configuration. Please reconfigure it to use a different transaction boundary definition.",
        ));
    }
    Ok(problems)
}

fn bounds(plan: &ConnectorPlan) -> impl Iterator<Item = Bound> {
    let steps = plan.chain.iter().flat_map(|step| {
        std::iter::once(&step.transform).chain(step.condition.iter().map(|condition| &condition.predicate))
    });
    let converters = plan.converters.plugins().map(|(_, bound)| bound);
    std::iter::once(&plan.connector).chain(steps).cloned().chain(converters)
}

/// What the plugins say, each in an instance with nothing granted. A plugin that crashes or hangs is a problem, too.
async fn guest_problems(
    shared: &Shared,
    plan: &ConnectorPlan,
    connector: &tidegate_herder::ConnectorKey,
) -> Result<Vec<Problem>, Refusal> {
    let mut problems = Vec::new();
    let prefixes = std::iter::once(String::new()).chain(plan.chain.iter().flat_map(|step| {
        let transform = format!("transforms.{}.", step.alias);
        let predicate = step.condition.iter().map(|_| format!("predicate of transforms.{}: ", step.alias));
        std::iter::once(transform).chain(predicate.collect::<Vec<_>>())
    }));
    let prefixes = prefixes.chain(plan.converters.plugins().map(|(part, _)| part.prefix().to_owned()));
    for (bound, prefix) in bounds(plan).zip(prefixes) {
        let spec = InstanceSpec {
            hooks: quiet_hooks(&connector.name),
            ..InstanceSpec::new(
                &format!("{connector}-validate"),
                &bound.definition.name,
                shared.instances.connector_budget(&connector.tenant, &connector.name),
            )
        };
        let asked = match bound.definition.kind {
            Kind::Source => capability_problems(plan, &spec).await.map(|found| problems.extend(found)),
            _ => Ok(()),
        };
        let answer = match asked {
            Ok(()) => ask(&bound, &spec).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(found) => problems.extend(found.into_iter().map(|problem| {
                let key = format!("{prefix}{}", problem.key);
                let message = format!("{key}: {}", problem.message);
                Problem::new(key, message)
            })),
            Err(CallError::Unavailable(message)) => return Err(Refusal::Unavailable { message }),
            Err(error) => problems.push(Problem::new(
                format!("{prefix}type"),
                format!("\"{}\" could not check its configuration: {error}", bound.definition.name),
            )),
        }
    }
    Ok(problems)
}

fn quiet_hooks(name: &str) -> Hooks {
    hooks(name, None, TaskSchemas::new(), None)
}

async fn ask(bound: &Bound, spec: &InstanceSpec) -> Result<Vec<tidegate_engine::Problem>, CallError> {
    let plugin = &bound.component.plugin;
    let config = guest_config(&bound.settings);
    match bound.definition.kind {
        Kind::Source => SourceInstance::new(plugin, spec).await?.validate(&config).await,
        Kind::Sink => SinkInstance::new(plugin, spec).await?.validate(&config).await,
        Kind::Transform => TransformInstance::new(plugin, spec).await?.validate(&config).await,
        Kind::Predicate => PredicateInstance::new(plugin, spec).await?.validate(&config).await,
        Kind::Converter | Kind::HeaderConverter => ConverterInstance::new(plugin, spec).await?.validate(&config).await,
    }
}
