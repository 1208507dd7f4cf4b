//! Checks a connector's configuration before anything is written: keys, classes, client settings, grants, and what the
//! plugins themselves have to say.

use tidegate_config::client;
use tidegate_config::connector::{ConnectorConfig, Direction};
use tidegate_config::worker::Client;
use tidegate_config::{Kind, Problem, Settings};
use tidegate_engine::{
    CallError, ConverterInstance, Hooks, InstanceSpec, PredicateInstance, SinkInstance, SourceInstance,
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
    problems.extend(unsupported(&plan.config));
    for client in clients(&plan.config) {
        if let Err(refused) = client::translate(&shared.client_settings(client, &plan.config.original)) {
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

/// What Connect can do and this version cannot: refused by name, never ignored.
fn unsupported(config: &ConnectorConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Direction::Source(source) = &config.direction {
        if source.exactly_once_required {
            problems.push(Problem::new(
                "exactly.once.support",
                "exactly.once.support: exactly-once delivery is not supported yet, delivery is at least once",
            ));
        }
        if source.offsets_topic.is_some() {
            problems.push(Problem::new(
                "offsets.storage.topic",
                "offsets.storage.topic: an offsets topic of the connector's own is not supported yet",
            ));
        }
    }
    problems
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
        match ask(&bound, &spec).await {
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
