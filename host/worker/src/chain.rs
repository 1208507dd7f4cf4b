//! The chain of transforms of one task: each step a guest of its own, with its predicate's beside it.
//!
//! A step sees the columns of its plan and answers edits; the view keeps them as an overlay, so a batch crosses into a guest
//! once per step and is written once at the end. What a step does to a schema is asked once per schema and kept.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_config::Encoding;
use tidegate_config::connector::{ErrorPolicy, SandboxOverrides};
use tidegate_engine::{CallError, Hooks, InstanceSpec, Payload, PredicateInstance, TransformInstance};
use tidegate_herder::Failure;
use tidegate_record::SchemaId;
use tidegate_record::columns::{ColumnsReader, ColumnsWriter};
use tidegate_record::edits::{EditsReader, FailureKind, edits_from_json};
use tidegate_record::view::{Column, Failure as Failed, Place, Plan, Reshaped, Reshapes, Rows, Side, Stage, View};

use crate::connector::failure;
use crate::instances::{Instances, Owner, TaskSchemas, guest_config};
use crate::metrics::TaskMetrics;
use crate::plan::{Bound, ConnectorPlan, Step};
use crate::policy::Retry;

/// Records that cross into a guest at once: as many as an arena can hold.
const ROWS_MAX: usize = 65_536;

/// The steps of one task, ready to run.
pub(crate) struct Chain {
    steps: Vec<RunningStep>,
    columns: ColumnsWriter,
    schemas: Arc<TaskSchemas>,
    errors: ErrorPolicy,
    metrics: Arc<TaskMetrics>,
    culprits: Culprits,
}

/// In which step each failed record of the last batch failed.
#[derive(Debug, Default)]
pub(crate) struct Culprits {
    /// Of each step, as the configuration names it.
    classes: Vec<String>,
    /// By the record's number in the batch.
    steps: HashMap<usize, usize>,
}

impl Culprits {
    /// The class of the step in which a record failed.
    pub(crate) fn class(&self, record: usize) -> Option<&str> {
        self.steps.get(&record).map(|&step| self.classes[step].as_str())
    }
}

pub(crate) struct RunningStep {
    transform: Guest<TransformInstance>,
    reshapes: Reshapes,
    condition: Option<RunningCondition>,
}

struct RunningCondition {
    predicate: Guest<PredicateInstance>,
    negate: bool,
}

/// A guest of a step, what it is made from, and its plan.
pub(crate) struct Guest<I> {
    instance: I,
    spec: InstanceSpec,
    bound: Bound,
    plan: Plan,
}

impl Chain {
    /// Makes and configures the guests of every step.
    pub(crate) async fn make(
        instances: &Instances,
        owner: &Owner<'_>,
        plan: &ConnectorPlan,
        hooks: Hooks,
        schemas: Arc<TaskSchemas>,
        metrics: Arc<TaskMetrics>,
    ) -> Result<Chain, Failure> {
        let mut steps = Vec::with_capacity(plan.chain.len());
        for step in &plan.chain {
            steps.push(RunningStep::make(instances, owner, step, plan.config.sandbox, &hooks).await?);
        }
        let errors = plan.config.errors.clone();
        let classes = plan.chain.iter().map(|step| step.class.clone()).collect();
        let culprits = Culprits { classes, ..Culprits::default() };
        Ok(Chain { steps, columns: ColumnsWriter::new(), schemas, errors, metrics, culprits })
    }

    /// Lets every step work on the records that are still live. Where a step cannot do so, all records that it was to work
    /// on fail, marked in the view like those that fail alone. An error: a crashed guest has no successor.
    pub(crate) async fn run(&mut self, view: &mut View<'_>) -> Result<(), CallError> {
        self.culprits.steps.clear();
        let mut failed = view.failures().count();
        for index in 0..self.steps.len() {
            for rows in view.rows().groups(ROWS_MAX, view) {
                self.run_rows(index, rows, view).await?;
            }
            if view.failures().count() > failed {
                failed = view.failures().count();
                for (record, _) in view.failures() {
                    self.culprits.steps.entry(record).or_insert(index);
                }
            }
        }
        Ok(())
    }

    /// Lets a step work on rows, as often as it takes.
    async fn run_rows(&mut self, index: usize, mut rows: Rows, view: &mut View<'_>) -> Result<(), CallError> {
        let step = &mut self.steps[index];
        let mut retry = None;
        while let Err(error) = step.run(view, &mut rows, &mut self.columns, &self.schemas).await {
            let class = &self.culprits.classes[index];
            if let CallError::Retriable { message, after } = &error {
                let retry = retry.get_or_insert_with(|| Retry::new(&self.errors));
                if let Some(wait) = retry.next(*after) {
                    tracing::warn!(transform = class, "a batch is transformed again: {message}");
                    self.metrics.retried();
                    tokio::time::sleep(wait).await;
                    continue;
                }
            }
            if error.ends_instance() {
                step.revive().await?;
                self.metrics.recycled();
            }
            fail(view, &rows, &failure(&error).trace);
            break;
        }
        Ok(())
    }

    /// Lets one step work. An error concerns the records that are live, all of them.
    pub(crate) async fn run_step(&mut self, at: usize, view: &mut View<'_>) -> Result<(), CallError> {
        let mut rows = view.rows();
        self.steps[at].run(view, &mut rows, &mut self.columns, &self.schemas).await
    }

    /// Who is to blame for what failed in the last batch.
    pub(crate) fn culprits(&self) -> &Culprits {
        &self.culprits
    }
}

fn fail(view: &mut View<'_>, rows: &Rows, message: &str) {
    for &record in rows.records() {
        let failure = Failed { stage: Stage::Transformation, kind: FailureKind::Other, message: message.to_owned() };
        view.fail(record as usize, failure);
    }
}

impl RunningStep {
    /// Makes and configures the guests of a step.
    pub(crate) async fn make(
        instances: &Instances,
        owner: &Owner<'_>,
        step: &Step,
        sandbox: SandboxOverrides,
        hooks: &Hooks,
    ) -> Result<RunningStep, Failure> {
        let spec = |bound: &Bound, role: &str| {
            let owner = Owner { name: format!("{} {role} {}", owner.name, step.alias), ..*owner };
            instances
                .spec(&owner, &bound.component, &bound.definition, &bound.settings, sandbox, hooks.clone())
                .map_err(Failure::invalid)
        };
        let condition = match &step.condition {
            None => None,
            Some(condition) => {
                let spec = spec(&condition.predicate, "predicate of")?;
                let predicate = Guest::<PredicateInstance>::make(condition.predicate.clone(), spec).await;
                Some(RunningCondition {
                    predicate: predicate.map_err(|error| failure(&error))?,
                    negate: condition.negate,
                })
            }
        };
        let spec = spec(&step.transform, "transform")?;
        let transform = Guest::<TransformInstance>::make(step.transform.clone(), spec).await;
        Ok(RunningStep {
            transform: transform.map_err(|error| failure(&error))?,
            reshapes: Reshapes::default(),
            condition,
        })
    }

    /// Replaces guests that have crashed.
    async fn revive(&mut self) -> Result<(), CallError> {
        if self.transform.instance.is_gone() {
            self.transform.renew().await?;
        }
        if let Some(condition) = &mut self.condition
            && condition.predicate.instance.is_gone()
        {
            condition.predicate.renew().await?;
        }
        Ok(())
    }

    /// Works on the rows that the condition leaves of `rows`. Changes nothing in the view when it fails, so that it can be
    /// run again.
    pub(crate) async fn run(
        &mut self,
        view: &mut View<'_>,
        rows: &mut Rows,
        columns: &mut ColumnsWriter,
        schemas: &TaskSchemas,
    ) -> Result<(), CallError> {
        if let Some(condition) = &mut self.condition
            && !rows.is_empty()
        {
            let holds = condition.predicate.test(view, rows, columns, schemas).await?;
            *rows = rows.filter(&holds, condition.negate).ok_or_else(|| {
                CallError::Fatal(format!(
                    "predicate \"{}\" answered {} bytes for {} records",
                    condition.predicate.bound.definition.name,
                    holds.len(),
                    rows.len()
                ))
            })?;
        }
        if rows.is_empty() {
            return Ok(());
        }
        let edits = self.transform.apply(view, rows, columns, schemas).await?;
        for (side, schema) in view.unshaped(rows, &self.transform.plan.write, &self.reshapes) {
            let answer = self.transform.reshape(side, schema, schemas).await?;
            self.reshapes.insert(side, schema, answer);
        }
        let write = &self.transform.plan.write;
        let reader =
            EditsReader::parse(&edits, rows.len(), write.len()).map_err(|error| self.transform.malformed(&error))?;
        view.apply(rows, &reader, write, &self.reshapes, &mut schemas.lock())
            .map_err(|error| self.transform.malformed(&error))
    }
}

impl<I> Guest<I> {
    /// The columns of the guest's plan, in the form it asks for.
    fn columns(
        &self,
        view: &mut View<'_>,
        rows: &Rows,
        columns: &mut ColumnsWriter,
        schemas: &TaskSchemas,
    ) -> Result<Payload, CallError> {
        view.columns(rows, &self.plan.read, &schemas.lock(), columns);
        let too_large = |error| CallError::Fatal(format!("the columns of a batch are too large: {error}"));
        let arena = columns.take().map_err(too_large)?;
        if self.bound.definition.encoding != Encoding::Json {
            return Ok(Payload::Arena(arena));
        }
        let reader = ColumnsReader::parse(&arena).map_err(too_large)?;
        Ok(Payload::Json(reader.to_json()))
    }

    fn malformed(&self, error: &dyn std::fmt::Display) -> CallError {
        CallError::Fatal(format!("transform \"{}\" answered malformed edits: {error}", self.bound.definition.name))
    }
}

impl Guest<TransformInstance> {
    async fn make(bound: Bound, spec: InstanceSpec) -> Result<Self, CallError> {
        let mut instance = TransformInstance::new(&bound.component.plugin, &spec).await?;
        let plan = checked(instance.configure(&guest_config(&bound.settings)).await?)?;
        Ok(Guest { instance, spec, bound, plan })
    }

    /// Replaces the instance. It keeps nothing between batches, so its successor simply goes on.
    async fn renew(&mut self) -> Result<(), CallError> {
        *self = Self::make(self.bound.clone(), self.spec.clone()).await?;
        Ok(())
    }

    /// Asks for the edits to some rows, as an arena.
    async fn apply(
        &mut self,
        view: &mut View<'_>,
        rows: &Rows,
        columns: &mut ColumnsWriter,
        schemas: &TaskSchemas,
    ) -> Result<Vec<u8>, CallError> {
        if self.instance.wants_recycling().is_some() {
            self.renew().await?;
        }
        let payload = self.columns(view, rows, columns, schemas)?;
        match self.instance.apply(&payload).await? {
            Payload::Arena(arena) => Ok(arena),
            Payload::Json(text) => edits_from_json(&text, rows.len()).map_err(|error| self.malformed(&error)),
        }
    }

    /// What the transform makes of a schema: another one, none when it stays; an error is each of its records'.
    async fn reshape(
        &mut self,
        side: Side,
        schema: SchemaId,
        schemas: &TaskSchemas,
    ) -> Result<Reshaped<Option<SchemaId>>, CallError> {
        let of_data = |message: String| (FailureKind::Data, message);
        let Some(text) = schemas.lock().text(schema).cloned() else {
            return Ok(Err(of_data(format!("there is no schema {}", schema.0))));
        };
        let place = match side {
            Side::Key => tidegate_engine::Place::Key,
            Side::Value => tidegate_engine::Place::Value,
        };
        match self.instance.reshape(place, &text).await {
            Ok(None) => Ok(Ok(None)),
            Ok(Some(changed)) if changed.trim() == "null" => Ok(Ok(Some(SchemaId::NONE))),
            Ok(Some(changed)) => {
                let defined = schemas.lock().define_json(&changed);
                Ok(defined.map(Some).map_err(|error| of_data(error.to_string())))
            }
            Err(CallError::Fatal(message)) => Ok(Err((FailureKind::Data, message))),
            Err(CallError::BadRecord { kind, message }) => Ok(Err((failure_kind(kind), message))),
            Err(error) => Err(error),
        }
    }
}

impl Guest<PredicateInstance> {
    /// Makes and configures the predicate.
    pub(crate) async fn make(bound: Bound, spec: InstanceSpec) -> Result<Self, CallError> {
        let mut instance = PredicateInstance::new(&bound.component.plugin, &spec).await?;
        let plan = checked(instance.configure(&guest_config(&bound.settings)).await?)?;
        Ok(Guest { instance, spec, bound, plan })
    }

    /// Replaces the instance. It keeps nothing between batches, so its successor simply goes on.
    async fn renew(&mut self) -> Result<(), CallError> {
        *self = Self::make(self.bound.clone(), self.spec.clone()).await?;
        Ok(())
    }

    /// Asks for which rows the condition holds.
    pub(crate) async fn test(
        &mut self,
        view: &mut View<'_>,
        rows: &Rows,
        columns: &mut ColumnsWriter,
        schemas: &TaskSchemas,
    ) -> Result<Vec<u8>, CallError> {
        if self.instance.wants_recycling().is_some() {
            self.renew().await?;
        }
        let payload = self.columns(view, rows, columns, schemas)?;
        self.instance.test(&payload).await
    }
}

fn failure_kind(kind: tidegate_engine::FailureKind) -> FailureKind {
    match kind {
        tidegate_engine::FailureKind::Data => FailureKind::Data,
        tidegate_engine::FailureKind::Config => FailureKind::Config,
        tidegate_engine::FailureKind::IllegalArgument => FailureKind::IllegalArgument,
        tidegate_engine::FailureKind::NullPointer => FailureKind::NullPointer,
        tidegate_engine::FailureKind::Other => FailureKind::Other,
    }
}

/// The guest's plan in the view's words, if every column is one that its place can have.
fn checked(plan: tidegate_engine::Plan) -> Result<Plan, CallError> {
    let column = |column: tidegate_engine::Column| {
        let place = match column.place {
            tidegate_engine::Place::Value => Place::Value,
            tidegate_engine::Place::Key => Place::Key,
            tidegate_engine::Place::Header => Place::Header,
            tidegate_engine::Place::Topic => Place::Topic,
            tidegate_engine::Place::Partition => Place::Partition,
            tidegate_engine::Place::Offset => Place::Offset,
            tidegate_engine::Place::Timestamp => Place::Timestamp,
        };
        let column = Column { place, path: column.path };
        if column.is_valid() {
            Ok(column)
        } else {
            Err(CallError::Fatal(format!("the plan names a column that cannot be: {column:?}")))
        }
    };
    Ok(Plan {
        read: plan.read.into_iter().map(column).collect::<Result<_, _>>()?,
        write: plan.write.into_iter().map(column).collect::<Result<_, _>>()?,
    })
}
