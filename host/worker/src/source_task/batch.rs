//! What happens to a batch between the guest and the producer: the chain, the converters, the error policy.

use std::collections::BTreeMap;
use std::ops::Range;

use tidegate_engine::Payload;
use tidegate_herder::Failure;
use tidegate_record::batch::{BatchReader, batch_from_json};
use tidegate_record::view::{View, Workspace, Written as Part};

use super::SourceTask;
use crate::connector::failure;
use crate::dead_letters::{Letter, Place};
use crate::outbox::{Encoded, EncodedRecord};
use crate::payload;

impl SourceTask {
    /// Transforms and encodes a batch and gives it to the producer. Answers how many records it had.
    pub(super) async fn process(&mut self, payload: Payload) -> Result<usize, Failure> {
        let malformed = |error| Failure::fatal(format!("the source returned a malformed batch: {error}"));
        let arena = match payload {
            Payload::Arena(arena) => arena,
            Payload::Json(text) => batch_from_json(&text, &self.schemas.lock()).map_err(malformed)?,
        };
        let batch = BatchReader::parse(&arena).map_err(malformed)?;
        batch.check_schemas(&self.schemas.lock()).map_err(malformed)?;
        if batch.is_empty() {
            return Ok(0);
        }
        self.metrics.read(batch.len(), arena.len());

        let mut view = self.conversion.view(self.workspace.take().unwrap_or_default());
        view.push_batch(&batch, &self.schemas.lock());
        self.chain.run(&mut view).await.map_err(|error| failure(&error))?;
        self.conversion.write(&mut view).await.map_err(|error| failure(&error))?;
        let mut encoded = Encoded::new((), arena.len());
        encoded.records.reserve(view.len());
        self.encode(&mut view, &mut encoded);
        let letters = self.originals(&batch, &view);
        self.errors.judge(&view, self.chain.culprits(), |record| original(&letters, &batch, &view, record)).await?;
        self.errors.settle().await?;
        self.metrics.filtered((0..view.len()).filter(|&record| view.is_dropped(record)).count());
        self.metrics.made(view.surplus());
        self.topics.ensure(&encoded.topics).await?;
        self.delivery.take(&batch, &view, encoded)?;
        self.workspace = Some(view.into_workspace());
        Ok(batch.len())
    }

    fn encode(&self, view: &mut View<'_>, out: &mut Encoded<()>) {
        let schemas = self.schemas.lock();
        let converters = self.conversion.converters;
        for &row in view.rows().records() {
            let record = row as usize;
            let key = view.write_key(record, converters.key, &schemas, &mut out.bytes);
            let value = view.write_value(record, converters.value, &schemas, &mut out.bytes);
            let first = out.headers.len();
            if view.header_count(record) > 0 {
                let Some(headers) = view.write_headers(record, converters.header, &schemas) else { continue };
                headers.iter().for_each(|(name, value)| out.push_header(name, value.as_deref()));
            }
            let (Some(key), Some(value)) = (part(key), part(value)) else { continue };
            let topic = out.topic(view.topic(record));
            out.records.push(EncodedRecord {
                index: view.origin(record) as u32,
                topic,
                partition: (view.partition(record) >= 0).then(|| view.partition(record)),
                timestamp: (view.timestamp(record) >= 0).then(|| view.timestamp(record)),
                key,
                value,
                headers: first..out.headers.len(),
            });
        }
    }

    /// The failed records of a view as they would have been written without the chain, for the dead letter queue. What the
    /// converters cannot write either is written as JSON, in the form of `wit/BATCH.md`.
    fn originals(&self, batch: &BatchReader<'_>, view: &View<'_>) -> BTreeMap<usize, Original> {
        if !self.errors.keeps_letters() || view.failures().next().is_none() {
            return BTreeMap::new();
        }
        let schemas = self.schemas.lock();
        let converters = self.conversion.converters;
        let mut plain = self.conversion.view(Workspace::default());
        plain.push_batch(batch, &schemas);
        let mut originals = BTreeMap::new();
        for record in view.failures().map(|(record, _)| view.origin(record)) {
            if originals.contains_key(&record) {
                continue;
            }
            let mut bytes = Vec::new();
            let key = part(plain.write_key(record, converters.key, &schemas, &mut bytes));
            let value = part(plain.write_value(record, converters.value, &schemas, &mut bytes));
            let headers = plain
                .write_headers(record, converters.header, &schemas)
                .map(|headers| headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Vec<_>>());
            let owned = |range: Option<Range<usize>>| range.map(|range| bytes[range].to_vec());
            let original = match (key, value, headers) {
                (Some(key), Some(value), Some(headers)) => Original { key: owned(key), value: owned(value), headers },
                _ => Original { key: None, value: payload::record_json(batch, record), headers: Vec::new() },
            };
            originals.insert(record, original);
        }
        originals
    }
}

/// A polled record as it would have been written without the chain.
struct Original {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn original<'l>(
    originals: &'l BTreeMap<usize, Original>,
    batch: &'l BatchReader<'_>,
    view: &'l View<'_>,
    record: usize,
) -> Letter<'l> {
    let source = batch.source_partition(record).zip(batch.source_offset(record));
    let place = Place::Polled { topic: view.original(record).0, source };
    let timestamp = batch.timestamp(record);
    match originals.get(&record) {
        None => Letter { place, timestamp, key: None, value: None, headers: Vec::new() },
        Some(original) => Letter {
            place,
            timestamp,
            key: original.key.as_deref(),
            value: original.value.as_deref(),
            headers: original.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect(),
        },
    }
}

/// None: the record has failed.
fn part(written: Part) -> Option<Option<std::ops::Range<usize>>> {
    match written {
        Part::Null => Some(None),
        Part::Bytes(range) => Some(Some(range)),
        Part::Failed => None,
    }
}
