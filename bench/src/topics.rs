//! Topics: made, filled, counted and deleted.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tidegate_kafka::{
    Admin, ClientSettings, Consumer, Isolation, NewTopic, OutRecord, Polled, Producer, StartOffset, TopicPartition,
};

use tidegate_bench::records::Shape;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Records handed to the producer at once.
const RECORDS_PER_CALL: usize = 1_000;

/// A client for the topics of a bench; each has one partition.
#[derive(Debug)]
pub(crate) struct Topics {
    bootstrap: String,
    admin: Admin,
}

impl Topics {
    pub(crate) fn open(bootstrap: &str) -> Result<Topics> {
        let admin = Admin::open(&ClientSettings::for_control(bootstrap))?;
        admin.check_reachable(TIMEOUT)?;
        Ok(Topics { bootstrap: bootstrap.to_owned(), admin })
    }

    pub(crate) fn create(&self, topic: &str) -> Result<()> {
        let topic = NewTopic {
            name: topic.to_owned(),
            partitions: Some(1),
            replication_factor: Some(1),
            configs: vec![("retention.ms".to_owned(), "-1".to_owned())],
        };
        self.admin.create_topic(&topic, TIMEOUT)?;
        // A topic is shown a moment before its partition has a leader that knows of it.
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self.count(&topic.name) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    pub(crate) fn delete(&self, topic: &str) -> Result<()> {
        Ok(self.admin.delete_topic(topic, TIMEOUT)?)
    }

    /// How many records the topic has.
    pub(crate) fn count(&self, topic: &str) -> Result<usize> {
        let ends = self.admin.end_offsets(&[TopicPartition::new(topic, 0)], Isolation::ReadUncommitted, TIMEOUT)?;
        Ok(ends.first().map_or(0, |end| usize::try_from(end.offset).unwrap_or(0)))
    }

    /// Counts what is committed to a topic from now on.
    pub(crate) fn committed(&self, topic: &str) -> Result<Committed> {
        let mut reader = Consumer::open(&ClientSettings::for_reader(&self.bootstrap, "bench-reader", 16 << 20))?;
        reader.assign(&[(TopicPartition::new(topic, 0), StartOffset::Beginning)])?;
        Ok(Committed { reader, seen: 0 })
    }

    /// Makes a topic of `count` records.
    pub(crate) fn fill(&self, topic: &str, shape: Shape, count: usize) -> Result<()> {
        self.create(topic)?;
        let mut producer = Producer::open(&ClientSettings::for_producer(&self.bootstrap, 64 << 20))?;
        let mut outcomes = Vec::new();
        let mut values = vec![Vec::new(); RECORDS_PER_CALL];
        let mut next = 0;
        while next < count {
            let size = RECORDS_PER_CALL.min(count - next);
            for (i, value) in values[..size].iter_mut().enumerate() {
                shape.write(next + i, value);
            }
            let records: Vec<OutRecord<'_>> = values[..size]
                .iter()
                .map(|value| OutRecord { topic, value: Some(value), ..OutRecord::default() })
                .collect();
            let enqueued = producer.produce(&records, TIMEOUT);
            let mut accepted = enqueued.accepted;
            while accepted < size {
                accepted += producer.resume(enqueued.ticket, &records[accepted..], TIMEOUT)?;
            }
            producer.poll_acks(Duration::ZERO, &mut outcomes);
            next += size;
        }
        while producer.open_batches() > 0 {
            producer.poll_acks(TIMEOUT, &mut outcomes);
        }
        match self.count(topic)? {
            written if written == count => Ok(()),
            written => bail!("the topic \"{topic}\" has {written} records instead of {count}"),
        }
    }
}

/// A reader of committed records that only counts them.
#[derive(Debug)]
pub(crate) struct Committed {
    reader: Consumer,
    seen: usize,
}

impl Committed {
    /// How many there are by now.
    pub(crate) fn count(&mut self) -> Result<usize> {
        loop {
            match self.reader.poll(10_000, Duration::ZERO)? {
                Polled::Records(batch) if batch.is_empty() => return Ok(self.seen),
                Polled::Records(batch) => self.seen += batch.iter().count(),
                Polled::EndOfPartition { .. } => return Ok(self.seen),
                Polled::Trouble(error) if !error.is_retriable() => return Err(error.into()),
                _ => return Ok(self.seen),
            }
        }
    }
}
