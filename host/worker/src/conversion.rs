//! The converters of one task at work. Those of the host are part of the view, but for those that ask a schema registry;
//! these and the ones of plugins are asked here, a batch at a time: bytes to values before the chain, values to bytes
//! behind it.
//!
//! To the view such a converter is one of bytes. What it answers takes the place of what it was asked about, and a record
//! that it cannot convert fails in the stage of its part, like any other. What a batch needs of a registry is fetched
//! before, so that a registry that is away keeps the batch waiting and harms no record.

use std::sync::Arc;
use std::time::Duration;

use tidegate_config::Encoding as Wanted;
use tidegate_config::connector::SandboxOverrides;
use tidegate_config::converter::Part;
use tidegate_engine::{CallError, ConverterInstance, Hooks, InstanceSpec, Payload};
use tidegate_herder::Failure;
use tidegate_record::batch::{BatchReader, BatchWriter, Encoding, batch_from_json};
use tidegate_record::value::JsonOptions;
use tidegate_record::view::{Converters, Side, Stage, Tree, View, Workspace};
use tidegate_record::{SchemaId, Value};
use tidegate_registry::{Reader, Registry, RegistryError, Writer};

use crate::catalog::Component;
use crate::connector::failure;
use crate::converters::TaskConverters;
use crate::instances::{Instances, Owner, TaskSchemas, guest_config};
use crate::payload;
use crate::plan::Bound;
use crate::policy::Backoff;

/// What crosses into a guest at once: as much as an arena can hold.
const PLACES_MAX: usize = 65_536;

/// A record that could not be converted, in the flags of an answer.
const FAILED: u8 = 1 << 3;
/// Longest pause before a schema registry that is away is asked again by a source.
const REGISTRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// The converters of a task, ready to run.
pub(crate) struct Conversion {
    pub(crate) converters: Converters,
    json: [JsonOptions; 3],
    guests: Vec<Guest>,
    registries: Vec<Formatted>,
    schemas: Arc<TaskSchemas>,
}

/// A part whose format a schema registry knows.
struct Formatted {
    stage: Stage,
    reader: Reader,
    writer: Writer,
}

impl Formatted {
    fn new((part, registry): (Part, Arc<Registry>)) -> Formatted {
        let (side, stage) = match part {
            Part::Key => (Side::Key, Stage::KeyConverter),
            // Headers have no such converters.
            Part::Value | Part::Header => (Side::Value, Stage::ValueConverter),
        };
        Formatted { stage, reader: Reader::new(registry.clone(), side), writer: Writer::new(registry, side) }
    }
}

/// What a registry's error means for a batch as a whole.
fn registry_error(error: RegistryError) -> CallError {
    match error {
        RegistryError::Away(message) => CallError::Retriable { message, after: Duration::ZERO },
        RegistryError::Denied(message) | RegistryError::Refused(message) => CallError::Fatal(message),
    }
}

/// A plugin's converter and the part it is for.
struct Guest {
    part: Part,
    instance: ConverterInstance,
    component: Arc<Component>,
    spec: InstanceSpec,
    config: tidegate_engine::Config,
    as_json: bool,
}

/// A key, a value or a header value of a record.
#[derive(Clone, Copy)]
struct Place {
    record: usize,
    /// The position of the header.
    header: usize,
}

impl Conversion {
    /// Makes and configures the guests, if there are any.
    pub(crate) async fn make(
        instances: &Instances,
        owner: &Owner<'_>,
        converters_of: &TaskConverters,
        sandbox: SandboxOverrides,
        hooks: &Hooks,
        schemas: Arc<TaskSchemas>,
    ) -> Result<Conversion, Failure> {
        let mut guests = Vec::new();
        for (part, bound) in converters_of.plugins() {
            let Bound { component, definition, settings } = bound;
            let owner = Owner { name: format!("{} {} converter", owner.name, part.converter_type()), ..*owner };
            let spec = instances
                .spec(&owner, &component, &definition, &settings, sandbox, hooks.clone())
                .map_err(Failure::invalid)?;
            let config = guest_config(&settings);
            let instance = configured(part, &component, &spec, &config).await.map_err(|error| failure(&error))?;
            let as_json = definition.encoding == Wanted::Json;
            guests.push(Guest { part, instance, component, spec, config, as_json });
        }
        let (converters, json) = converters_of
            .in_view(&mut schemas.lock())
            .map_err(|error| Failure::fatal(format!("the converters cannot be made: {error}")))?;
        let registries = converters_of.registries().map(Formatted::new).collect();
        Ok(Conversion { converters, json, guests, registries, schemas })
    }

    /// An empty view whose JSON is written as these converters want it.
    pub(crate) fn view<'a>(&self, workspace: Workspace) -> View<'a> {
        let [key, value, header] = self.json;
        View::new(workspace, value).with_options(key, header)
    }

    /// Fetches what a schema registry knows about a batch that Kafka brought. An error concerns the batch as a whole; while
    /// it is retriable this may be called again.
    pub(crate) async fn prepare(&mut self, view: &View<'_>) -> Result<(), CallError> {
        for formatted in &mut self.registries {
            formatted.reader.prepare(view).await.map_err(registry_error)?;
        }
        Ok(())
    }

    /// Lets converters that are not the view's read what Kafka brought, after [`Conversion::prepare`]. An error concerns the
    /// batch as a whole.
    pub(crate) async fn read(&mut self, view: &mut View<'_>) -> Result<(), CallError> {
        for Formatted { stage, reader, .. } in &mut self.registries {
            let fail = |view: &mut View<'_>, record, message| view.fail_in(record, *stage, message);
            reader.read(view, &mut self.schemas.lock(), fail);
        }
        for guest in &mut self.guests {
            for places in guest.places(view).chunks(PLACES_MAX) {
                let mut batch = BatchWriter::new(Encoding::Raw, Encoding::Raw);
                for place in places {
                    let value = guest.tree(view, *place, &self.schemas).value;
                    let bytes = match &value {
                        Value::Bytes(bytes) => Some(bytes.as_slice()),
                        _ => None,
                    };
                    batch.record().topic(view.topic(place.record)).value(SchemaId::OPTIONAL_BYTES, bytes);
                }
                let answer = guest.call(batch, Direction::Read).await?;
                guest.take(view, places, answer, &self.schemas)?;
            }
        }
        Ok(())
    }

    /// Lets converters that are not the view's write what goes to Kafka. Waits for a schema registry that is away as long
    /// as it is.
    pub(crate) async fn write(&mut self, view: &mut View<'_>) -> Result<(), CallError> {
        for Formatted { stage, writer, .. } in &mut self.registries {
            let mut backoff = Backoff::default();
            let schema_of = |id| self.schemas.lock().get(id).cloned();
            while let Err(error) = writer.prepare(view, schema_of).await {
                let error = registry_error(error);
                let CallError::Retriable { message, after } = error else { return Err(error) };
                tracing::warn!("a batch waits for its schema registry: {message}");
                tokio::time::sleep(backoff.next(after, REGISTRY_PAUSE_MAX, fastrand::f64())).await;
            }
            let fail = |view: &mut View<'_>, record, message| view.fail_in(record, *stage, message);
            writer.write(view, &self.schemas.lock(), fail);
        }
        for guest in &mut self.guests {
            guest.refuse_deep(view);
            for places in guest.places(view).chunks(PLACES_MAX) {
                let mut batch = BatchWriter::new(Encoding::Raw, Encoding::Tlv);
                for place in places {
                    let tree = guest.tree(view, *place, &self.schemas);
                    batch.record().topic(view.topic(place.record)).value_tree(tree.schema, &tree.value);
                }
                let answer = guest.call(batch, Direction::Write).await?;
                guest.take(view, places, answer, &self.schemas)?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Read,
    Write,
}

async fn configured(
    part: Part,
    component: &Component,
    spec: &InstanceSpec,
    config: &tidegate_engine::Config,
) -> Result<ConverterInstance, CallError> {
    let mut instance = ConverterInstance::new(&component.plugin, spec).await?;
    instance.configure(config, part == Part::Key).await?;
    Ok(instance)
}

impl Guest {
    /// What of the live records is the guest's.
    fn places(&self, view: &View<'_>) -> Vec<Place> {
        let rows = view.rows();
        let headers = |record| match self.part {
            Part::Header => 0..view.header_count(record),
            Part::Key | Part::Value => 0..1,
        };
        rows.records()
            .iter()
            .flat_map(|&row| headers(row as usize).map(move |header| Place { record: row as usize, header }))
            .collect()
    }

    /// Fails what is nested too deeply to cross.
    fn refuse_deep(&self, view: &mut View<'_>) {
        let (side, stage) = match self.part {
            Part::Key => (Side::Key, Stage::KeyConverter),
            Part::Value => (Side::Value, Stage::ValueConverter),
            // No header is JSON text.
            Part::Header => return,
        };
        for &row in view.rows().records() {
            if let Err(message) = view.check_depth(row as usize, side) {
                view.fail_in(row as usize, stage, message);
            }
        }
    }

    fn tree(&self, view: &View<'_>, place: Place, schemas: &TaskSchemas) -> Tree {
        let schemas = schemas.lock();
        match self.part {
            Part::Key => view.tree_of(place.record, Side::Key, &schemas),
            Part::Value => view.tree_of(place.record, Side::Value, &schemas),
            Part::Header => view.header_tree(place.record, place.header, &schemas),
        }
    }

    async fn call(&mut self, mut batch: BatchWriter, direction: Direction) -> Result<Payload, CallError> {
        if self.instance.wants_recycling().is_some() {
            // A converter keeps nothing between batches but what it has looked up.
            self.instance = configured(self.part, &self.component, &self.spec, &self.config).await?;
        }
        let arena = batch.take().map_err(|error| CallError::Fatal(format!("a batch is too large: {error}")))?;
        let payload = payload::for_guest(arena, self.as_json).map_err(CallError::Fatal)?;
        match direction {
            Direction::Read => self.instance.to_connect(&payload).await,
            Direction::Write => self.instance.from_connect(&payload).await,
        }
    }

    /// Puts what the guest answered in its places.
    fn take(
        &self,
        view: &mut View<'_>,
        places: &[Place],
        answer: Payload,
        schemas: &TaskSchemas,
    ) -> Result<(), CallError> {
        let name = &self.spec.definition;
        let malformed = |error: &dyn std::fmt::Display| {
            CallError::Fatal(format!("converter \"{name}\" answered a malformed batch: {error}"))
        };
        let schemas = schemas.lock();
        let arena = match answer {
            Payload::Arena(arena) => arena,
            Payload::Json(text) => batch_from_json(&text, &schemas).map_err(|error| malformed(&error))?,
        };
        let batch = BatchReader::parse(&arena).map_err(|error| malformed(&error))?;
        batch.check_schemas(&schemas).map_err(|error| malformed(&error))?;
        if batch.len() != places.len() {
            return Err(malformed(&format!("{} records for {}", batch.len(), places.len())));
        }
        for (at, place) in places.iter().enumerate() {
            let tree = Tree { schema: batch.value(at).schema, value: batch.value_value(at) };
            if batch.flags(at) & FAILED != 0 {
                let reason = match tree.value {
                    Value::String(reason) => reason,
                    _ => format!("converter \"{name}\" gave no reason"),
                };
                view.fail_in(place.record, self.stage(), reason);
                continue;
            }
            match self.part {
                Part::Key => view.take_tree(place.record, Side::Key, tree, &schemas),
                Part::Value => view.take_tree(place.record, Side::Value, tree, &schemas),
                Part::Header => view.take_header_tree(place.record, place.header, tree, &schemas),
            }
        }
        Ok(())
    }

    fn stage(&self) -> Stage {
        match self.part {
            Part::Key => Stage::KeyConverter,
            Part::Value => Stage::ValueConverter,
            Part::Header => Stage::HeaderConverter,
        }
    }
}
