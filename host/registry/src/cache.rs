//! What was asked once: compiled readers by the number of their schema, compiled writers by subject and schema.
//!
//! A batch first asks for what it needs ([`Reader::prepare`], [`Writer::prepare`]), which may wait for the registry; then it
//! is read or written without waiting. What the registry refused is not asked again for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_record::cell::Cell;
use tidegate_record::view::{CellScratch, Positions, Side, Target, View};
use tidegate_record::{Schema, SchemaId, SchemaTable};

use crate::client::{Client, Stored};
use crate::config::{Config, Format, Writing};
use crate::error::RegistryError;
use crate::{avro, json, protobuf, wire};

/// How long a refusal holds.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// Schemas that one may refer to, directly and through others.
const REFERENCES_MAX: usize = 1_000;

/// A converter of one part of records: its settings and its connection to the registry.
#[derive(Debug)]
pub struct Registry {
    config: Config,
    client: Client,
}

/// A schema with all that it refers to, each after what it refers to itself.
pub(crate) struct Fetched {
    pub(crate) text: String,
    /// Name and text.
    pub(crate) references: Vec<(String, String)>,
    pub(crate) id: Option<u32>,
}

impl Fetched {
    fn texts(&self) -> Vec<&str> {
        self.references.iter().map(|(_, text)| text.as_str()).collect()
    }
}

impl Registry {
    /// Connects nowhere yet; an error is a setting that cannot be used.
    pub fn new(config: Config) -> Result<Registry, String> {
        let client = Client::new(&config)?;
        Ok(Registry { config, client })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    async fn with_references(&self, stored: Stored) -> Result<Fetched, RegistryError> {
        let format = self.config.format;
        if stored.format_name() != format.registry_name() {
            return Err(RegistryError::Refused(format!(
                "the schema is one of {}, and this converter is for {}",
                stored.format_name(),
                format.name()
            )));
        }
        let mut references = Vec::new();
        let mut known: Vec<(String, i64)> = Vec::new();
        // What is refered to is put in front of whoever refers: depth first, without recursion.
        enum Step {
            Fetch(crate::client::Reference),
            Take(String, String),
        }
        let open = |stored: &Stored| stored.references.clone().unwrap_or_default();
        let mut steps: Vec<Step> = open(&stored).into_iter().rev().map(Step::Fetch).collect();
        while let Some(step) = steps.pop() {
            match step {
                Step::Take(name, text) => references.push((name, text)),
                Step::Fetch(reference) => {
                    let key = (reference.subject.clone(), reference.version);
                    if known.contains(&key) {
                        continue;
                    }
                    if known.len() >= REFERENCES_MAX {
                        return Err(RegistryError::Refused(format!("the schema refers to more than {REFERENCES_MAX}")));
                    }
                    known.push(key);
                    let next = self.client.version(&reference.subject, &reference.version.to_string()).await?;
                    steps.push(Step::Take(reference.name, next.schema.clone()));
                    steps.extend(open(&next).into_iter().rev().map(Step::Fetch));
                }
            }
        }
        Ok(Fetched { text: stored.schema, references, id: stored.id })
    }

    async fn by_id(&self, id: u32) -> Result<Fetched, RegistryError> {
        self.with_references(self.client.by_id(id).await?).await
    }

    /// The version that a schema has in its subject; none where nobody can say.
    async fn version(&self, id: u32, subject: Option<&str>) -> Result<Option<i32>, RegistryError> {
        let places = match self.client.places(id).await {
            Ok(places) => places,
            Err(RegistryError::Refused(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let own = places.iter().find(|place| Some(place.subject.as_str()) == subject);
        Ok(match (own, places.as_slice()) {
            (Some(place), _) | (None, [place]) => Some(place.version),
            _ => None,
        })
    }
}

/// Something that was made, or why it cannot be, until when.
enum Kept<T> {
    Made(T),
    Refused(String, Instant),
}

impl<T> Kept<T> {
    /// An error is the registry's state and not kept.
    fn of(outcome: Result<T, RegistryError>, now: Instant) -> Result<Kept<T>, RegistryError> {
        match outcome {
            Ok(made) => Ok(Kept::Made(made)),
            Err(RegistryError::Refused(message)) => Ok(Kept::Refused(message, now + REFUSED_FOR)),
            Err(error) => Err(error),
        }
    }

    fn holds(&self, now: Instant) -> bool {
        match self {
            Kept::Made(_) => true,
            Kept::Refused(_, until) => now < *until,
        }
    }
}

enum Decoder {
    Avro(avro::Decoder),
    Json(json::Decoder),
    Protobuf(protobuf::Decoder),
}

impl Decoder {
    fn schema(&self) -> Option<&Schema> {
        match self {
            Decoder::Avro(decoder) => decoder.schema(),
            Decoder::Json(decoder) => decoder.schema(),
            Decoder::Protobuf(decoder) => Some(decoder.schema()),
        }
    }
}

/// Reads keys or values of one task.
pub struct Reader {
    registry: Arc<Registry>,
    side: Side,
    places: HashMap<ReadKey, usize>,
    kept: Vec<Kept<Decoder>>,
    /// The number of the schema in the task's table, once it has one.
    ids: Vec<Option<SchemaId>>,
    /// Which of `kept` each record of the batch in hand is read with.
    batch: Vec<(usize, Result<usize, String>)>,
}

/// The number of a schema and the way to a message in it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ReadKey {
    id: u32,
    message: Vec<usize>,
}

impl Reader {
    /// A reader that has read nothing yet.
    pub fn new(registry: Arc<Registry>, side: Side) -> Reader {
        let (places, kept) = (HashMap::new(), Vec::new());
        Reader { registry, side, places, kept, ids: Vec::new(), batch: Vec::new() }
    }

    /// Makes sure of everything that the live records of a batch need. An error concerns the batch as a whole; called again,
    /// it goes on where it was.
    pub async fn prepare(&mut self, view: &View<'_>) -> Result<(), RegistryError> {
        let now = Instant::now();
        if self.kept.len() > self.registry.config.schemas_max {
            self.places.clear();
            self.kept.clear();
            self.ids.clear();
        }
        self.batch.clear();
        let mut last: Option<(&[u8], usize)> = None;
        for &row in view.rows().records() {
            let record = row as usize;
            if view.is_null_side(record, self.side) {
                continue;
            }
            let bytes = match self.side {
                Side::Value => view.original_value(record),
                Side::Key => view.original_key(record),
            };
            let plain = self.registry.config.format != Format::Protobuf;
            if let Some((prefix, place)) = last
                && plain
                && bytes.starts_with(prefix)
            {
                self.batch.push((record, Ok(place)));
                continue;
            }
            let key = match read_key(self.registry.config.format, bytes) {
                Ok(key) => key,
                Err(message) => {
                    self.batch.push((record, Err(message)));
                    continue;
                }
            };
            let place = match self.places.get(&key) {
                Some(&place) if self.kept[place].holds(now) => place,
                known => {
                    let known = known.copied();
                    let kept = Kept::of(self.make(&key, view.original(record).0).await, now)?;
                    match known {
                        Some(place) => {
                            self.kept[place] = kept;
                            self.ids[place] = None;
                            place
                        }
                        None => {
                            self.kept.push(kept);
                            self.ids.push(None);
                            self.places.insert(key, self.kept.len() - 1);
                            self.kept.len() - 1
                        }
                    }
                }
            };
            self.batch.push((record, Ok(place)));
            last = bytes.get(..wire::PREFIX_BYTES).map(|prefix| (prefix, place));
        }
        Ok(())
    }

    async fn make(&self, key: &ReadKey, topic: &str) -> Result<Decoder, RegistryError> {
        let registry = &self.registry;
        let config = &registry.config;
        let named = |message: String| RegistryError::Refused(format!("schema {}: {message}", key.id));
        let fetched = registry.by_id(key.id).await.map_err(|error| match error {
            RegistryError::Refused(message) => named(message),
            error => error,
        })?;
        let is_key = self.side == Side::Key;
        let strategy = if is_key { config.key_strategy } else { config.value_strategy };
        let subject = strategy.subject(topic, is_key, None).ok();
        let version = registry.version(key.id, subject.as_deref()).await?;
        let texts = fetched.texts();
        Ok(match config.format {
            Format::Avro => {
                Decoder::Avro(avro::Decoder::new(&fetched.text, &texts, version, &config.avro).map_err(named)?)
            }
            Format::JsonSchema => Decoder::Json(
                json::Decoder::new(&fetched.text, &fetched.references, version, &config.json).map_err(named)?,
            ),
            Format::Protobuf => Decoder::Protobuf(
                protobuf::Decoder::new(&fetched.text, &fetched.references, &key.message, version, &config.protobuf)
                    .map_err(named)?,
            ),
        })
    }

    /// Reads what was prepared. Records that cannot be read are named with the reason.
    pub fn read(
        &mut self,
        view: &mut View<'_>,
        schemas: &mut SchemaTable,
        mut failed: impl FnMut(&mut View<'_>, usize, String),
    ) {
        let mut targets: HashMap<usize, Target> = HashMap::new();
        let mut last: Option<(usize, Target)> = None;
        for (record, place) in std::mem::take(&mut self.batch) {
            let read = place.and_then(|place| {
                let decoder = match &self.kept[place] {
                    Kept::Made(decoder) => decoder,
                    Kept::Refused(message, _) => return Err(message.clone()),
                };
                let target = match last {
                    Some((own, target)) if own == place => target,
                    _ => match targets.get(&place) {
                        Some(target) => *target,
                        None => {
                            let id = match (self.ids[place], decoder.schema()) {
                                (Some(id), _) => id,
                                (None, None) => SchemaId::NONE,
                                (None, Some(schema)) => schemas.define(schema).map_err(|error| error.to_string())?,
                            };
                            self.ids[place] = Some(id);
                            let target = view.target(id, schemas);
                            targets.insert(place, target);
                            target
                        }
                    },
                };
                last = Some((place, target));
                let id = self.ids[place].unwrap_or_default();
                decoder.read(view, record, self.side, target, id, schemas)
            });
            if let Err(message) = read {
                failed(view, record, message);
            }
        }
    }
}

fn read_key(format: Format, bytes: &[u8]) -> Result<ReadKey, String> {
    let id = wire::schema_id(bytes)?;
    let message = match format {
        Format::Protobuf => wire::message_indexes(bytes)?.0,
        Format::Avro | Format::JsonSchema => Vec::new(),
    };
    Ok(ReadKey { id, message })
}

impl Decoder {
    fn read(
        &self,
        view: &mut View<'_>,
        record: usize,
        side: Side,
        target: Target,
        id: SchemaId,
        schemas: &SchemaTable,
    ) -> Result<(), String> {
        match self {
            Decoder::Avro(decoder) if decoder.schema().is_none() => {
                let bytes = match side {
                    Side::Value => view.original_value(record),
                    Side::Key => view.original_key(record),
                };
                let value = decoder.decode_anything(&bytes[wire::PREFIX_BYTES..])?;
                view.set_tree(record, side, tidegate_record::view::Tree { schema: SchemaId::NONE, value }, schemas);
                Ok(())
            }
            Decoder::Avro(decoder) => {
                view.decode_with(record, side, target, |bytes, out| decoder.decode(&bytes[wire::PREFIX_BYTES..], out))
            }
            Decoder::Protobuf(decoder) => view.decode_with(record, side, target, |bytes, out| {
                let (_, start) = wire::message_indexes(bytes)?;
                decoder.decode(&bytes[start..], out)
            }),
            Decoder::Json(decoder) => decoder.read(view, record, side, id, schemas),
        }
    }
}

enum Encoder {
    Avro(avro::Encoder),
    Json(json::Encoder),
    Protobuf(protobuf::Encoder),
}

/// What records of a schema are written with.
struct Prepared {
    id: u32,
    encoder: Encoder,
}

/// Writes keys or values of one task.
pub struct Writer {
    registry: Arc<Registry>,
    side: Side,
    places: HashMap<(String, SchemaId), usize>,
    kept: Vec<Kept<Prepared>>,
    batch: Vec<(usize, usize)>,
    scratch: CellScratch,
    out: Vec<u8>,
}

impl Writer {
    /// A writer that has written nothing yet.
    pub fn new(registry: Arc<Registry>, side: Side) -> Writer {
        let (places, kept, batch) = (HashMap::new(), Vec::new(), Vec::new());
        Writer { registry, side, places, kept, batch, scratch: CellScratch::default(), out: Vec::new() }
    }

    /// As [`Reader::prepare`]. `schema_of` finds the schema of a number.
    pub async fn prepare(
        &mut self,
        view: &View<'_>,
        schema_of: impl Fn(SchemaId) -> Option<Arc<Schema>>,
    ) -> Result<(), RegistryError> {
        let now = Instant::now();
        if self.kept.len() > self.registry.config.schemas_max {
            self.places.clear();
            self.kept.clear();
        }
        self.batch.clear();
        let mut last: Option<(&str, SchemaId, usize)> = None;
        for &row in view.rows().records() {
            let record = row as usize;
            if view.is_null_side(record, self.side) {
                continue;
            }
            let (topic, schema) = (view.topic(record), view.schema_of(record, self.side));
            if let Some((own, id, place)) = last
                && id == schema
                && own == topic
            {
                self.batch.push((record, place));
                continue;
            }
            let key = (topic.to_owned(), schema);
            let place = match self.places.get(&key) {
                Some(&place) if self.kept[place].holds(now) => place,
                known => {
                    let known = known.copied();
                    let made = self.make(topic, schema_of(schema).as_deref()).await;
                    let kept = Kept::of(made, now)?;
                    match known {
                        Some(place) => {
                            self.kept[place] = kept;
                            place
                        }
                        None => {
                            self.kept.push(kept);
                            self.places.insert(key, self.kept.len() - 1);
                            self.kept.len() - 1
                        }
                    }
                }
            };
            self.batch.push((record, place));
            last = Some((topic, schema, place));
        }
        Ok(())
    }

    async fn make(&self, topic: &str, schema: Option<&Schema>) -> Result<Prepared, RegistryError> {
        let config = &self.registry.config;
        let client = &self.registry.client;
        let refused = RegistryError::Refused;
        let (text, name) = own_schema(config, schema).map_err(refused)?;
        let is_key = self.side == Side::Key;
        let strategy = if is_key { config.key_strategy } else { config.value_strategy };
        let subject = strategy.subject(topic, is_key, name.as_deref()).map_err(refused)?;
        let format = config.format.registry_name();
        let own = |id| (id, Fetched { text: text.clone(), references: Vec::new(), id: Some(id) }, true);
        let (id, target, strict) = match config.writing {
            Writing::Register => own(client.register(&subject, &text, format, config.normalize).await?),
            Writing::Known => own(client.look_up(&subject, &text, format, config.normalize).await?),
            Writing::Latest { strict } => {
                let latest = self.registry.with_references(client.version(&subject, "latest").await?).await?;
                let id = latest.id.ok_or_else(|| {
                    RegistryError::Refused(format!(
                        "the registry does not say the number of \"{subject}\"'s latest schema"
                    ))
                })?;
                (id, latest, strict)
            }
            Writing::Id { id, strict } => (id, self.registry.by_id(id).await?, strict),
        };
        let encoder = match config.format {
            Format::Avro => {
                avro::Encoder::new(schema, &target.text, &target.texts(), strict, &config.avro).map(Encoder::Avro)
            }
            Format::JsonSchema => {
                json::Encoder::new(schema, &target.text, &target.references, &config.json).map(Encoder::Json)
            }
            Format::Protobuf => {
                protobuf::Encoder::new(schema, &target.text, &target.references, strict, &config.protobuf)
                    .map(Encoder::Protobuf)
            }
        };
        let encoder = encoder.map_err(|error| refused(format!("schema {id} of subject \"{subject}\": {error}")))?;
        Ok(Prepared { id, encoder })
    }

    /// Writes what was prepared: bytes take the place of keys or values. Records that cannot be written are named with the
    /// reason.
    pub fn write(
        &mut self,
        view: &mut View<'_>,
        schemas: &SchemaTable,
        mut failed: impl FnMut(&mut View<'_>, usize, String),
    ) {
        let mut positions: HashMap<usize, Positions> = HashMap::new();
        let mut out = std::mem::take(&mut self.out);
        for &(record, place) in &self.batch {
            let prepared = match &self.kept[place] {
                Kept::Made(prepared) => prepared,
                Kept::Refused(message, _) => {
                    failed(view, record, message.clone());
                    continue;
                }
            };
            if let Err(message) = view.check_depth(record, self.side) {
                failed(view, record, message);
                continue;
            }
            out.clear();
            wire::write_prefix(prepared.id, &mut out);
            let positions = positions.entry(place).or_default();
            match prepared.encoder.write(view, record, self.side, schemas, positions, &mut self.scratch, &mut out) {
                Ok(()) => view.put_bytes(record, self.side, Some(&out)),
                Err(message) => failed(view, record, message),
            }
        }
        self.out = out;
        for &row in view.rows().records() {
            if view.is_null_side(row as usize, self.side) {
                view.put_bytes(row as usize, self.side, None);
            }
        }
    }
}

impl Encoder {
    #[expect(
        clippy::too_many_arguments,
        reason = "a value in a view, where its bytes go, and what is kept between records"
    )]
    fn write(
        &self,
        view: &mut View<'_>,
        record: usize,
        side: Side,
        schemas: &SchemaTable,
        positions: &mut Positions,
        scratch: &mut CellScratch,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        match self {
            Encoder::Json(encoder) => encoder.write(view, record, side, schemas, out),
            Encoder::Avro(encoder) => {
                let mut begun = false;
                let mut each = |at: Option<usize>, cell: Cell<'_>, names: &[&str]| match at {
                    None => encoder.whole(cell, names, out),
                    Some(at) => {
                        if !std::mem::replace(&mut begun, true) {
                            encoder.begin(out);
                        }
                        encoder.field(at, cell, names, out)
                    }
                };
                view.each_cell(record, side, encoder.fields(), schemas, positions, scratch, &mut each)?;
                // A struct without fields shows none.
                if !begun && encoder.fields().is_some_and(<[_]>::is_empty) {
                    encoder.begin(out);
                }
                Ok(())
            }
            Encoder::Protobuf(encoder) => {
                encoder.begin(out);
                let mut each = |at: Option<usize>, cell: Cell<'_>, names: &[&str]| match at {
                    Some(at) => encoder.field(at, cell, names, out),
                    None => encoder.whole(cell, names, out),
                };
                view.each_cell(record, side, encoder.fields(), schemas, positions, scratch, &mut each)
            }
        }
    }
}

/// The schema that is registered for values of a Connect schema, and the name that strategies may use.
fn own_schema(config: &Config, schema: Option<&Schema>) -> Result<(String, Option<String>), String> {
    match config.format {
        Format::Avro => {
            let text = avro::schema_text(schema, &config.avro)?;
            let name = avro::Encoder::new(schema, &text, &[], true, &config.avro)?.name().map(str::to_owned);
            Ok((text, name))
        }
        Format::JsonSchema => json::schema_text(schema, &config.json),
        Format::Protobuf => protobuf::schema_text(schema, &config.protobuf),
    }
}
