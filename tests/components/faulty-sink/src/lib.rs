//! A sink whose target fails by script. It appends the values of its records to a file; before each call that has to do
//! with the target it takes the next word off its script, which is a file as well, so that it outlives the instance.
//!
//! Words: `ok`; `lost`, `retry` and `trap` for any call; and for puts, which any other call leaves on the script: `part` (a put
//! takes the first half of the batch); `refuse` (the first record of the batch is refused for good); `grow` (the instance
//! keeps memory until it is to be replaced); `back` (asks for the batch's last partition once more from where the batch
//! began in it); `pause` (pauses the partitions of the batch until the next empty one); `commit` (asks for a commit).
//!
//! If asked to, it writes down which partitions come and go.

use std::io::Write;
use std::time::Duration;

use tidegate_sdk::{
    Config, Definition, Encoding, Error, Key, Outcome, Position, RecordRef, Result, SinkBatch, SinkTask, TopicPartition, host,
};

fn place(record: &RecordRef<'_, '_>) -> TopicPartition {
    let partition = record.partition().unwrap_or(0).unsigned_abs();
    TopicPartition { topic: record.topic().to_owned(), partition }
}

struct FaultySink {
    file: String,
    script: String,
    /// Whether values are held in memory until they are to be made durable.
    holds: bool,
    held: Vec<u8>,
    grown: Vec<Vec<u8>>,
    /// Where the comings and goings of partitions are written down.
    moves: Option<String>,
    paused: Vec<TopicPartition>,
}

impl FaultySink {
    fn next_word(&self, is_put: bool) -> Result<String> {
        let script = std::fs::read_to_string(&self.script).map_err(Error::fatal)?;
        let (word, rest) = script.split_once(' ').unwrap_or((&script, ""));
        if !is_put && matches!(word, "part" | "refuse" | "grow" | "back" | "pause" | "commit") {
            return Ok("ok".to_owned());
        }
        std::fs::write(&self.script, rest).map_err(Error::fatal)?;
        Ok(word.to_owned())
    }

    fn fail(word: &str) -> Result<()> {
        match word {
            "lost" => Err(Error::ConnectionLost("the target is gone".to_owned())),
            "retry" => Err(Error::retriable("the target is busy")),
            "trap" => panic!("told to"),
            _ => Ok(()),
        }
    }

    fn note(&self, verb: &str, partitions: &[TopicPartition]) -> Result<()> {
        let Some(moves) = &self.moves else { return Ok(()) };
        let mut numbers: Vec<u32> = partitions.iter().map(|at| at.partition).collect();
        numbers.sort_unstable();
        let mut file = std::fs::File::options().append(true).create(true).open(moves).map_err(Error::fatal)?;
        writeln!(file, "{verb} {numbers:?}").map_err(Error::fatal)
    }

    fn write_held(&mut self) -> Result<()> {
        let mut file = std::fs::File::options().append(true).create(true).open(&self.file).map_err(Error::fatal)?;
        file.write_all(&std::mem::take(&mut self.held)).map_err(Error::fatal)
    }
}

impl SinkTask for FaultySink {
    fn definition() -> Definition {
        Definition::sink("FaultySink")
            .encoding(Encoding::Text)
            .concurrent_puts()
            .key(Key::path_write("file").doc("What the target has."))
            .key(Key::path_write("script").doc("What is to happen."))
            .key(Key::path_write("moves").doc("Which partitions come and go."))
            .key(Key::boolean("hold").default("false").doc("Whether values are held until pre-commit."))
    }

    fn start(config: &Config) -> Result<Self> {
        let sink = FaultySink {
            file: config.string("file")?.to_owned(),
            script: config.string("script")?.to_owned(),
            holds: config.boolean("hold")?,
            held: Vec::new(),
            grown: Vec::new(),
            moves: config.get("moves").map(str::to_owned),
            paused: Vec::new(),
        };
        Self::fail(&sink.next_word(false)?)?;
        Ok(sink)
    }

    fn put(&mut self, batch: &SinkBatch<'_>, outcome: &mut Outcome) -> Result<()> {
        if batch.is_empty() {
            return host::resume(&std::mem::take(&mut self.paused));
        }
        let word = self.next_word(true)?;
        Self::fail(&word)?;
        let mut taken = batch.len();
        let mut refused = 0;
        match word.as_str() {
            "part" => {
                taken /= 2;
                outcome.retry_from(taken, 1);
            }
            "refuse" => {
                outcome.reject(0, "the target does not want it");
                refused = 1;
            }
            "back" => {
                let last = batch.record(batch.len() - 1);
                let first = batch.records().find(|record| record.partition() == last.partition()).unwrap_or(last);
                let TopicPartition { topic, partition } = place(&first);
                host::seek(&[Position { topic, partition, next_offset: first.offset().unwrap_or(0).unsigned_abs() }])?;
            }
            "pause" => {
                self.paused.extend(batch.records().map(|record| place(&record)));
                host::pause(&self.paused)?;
            }
            "commit" => host::request_commit()?,
            "grow" => self.grown.push(vec![1; 14 << 20]),
            _ => {}
        }
        for record in batch.records().take(taken).skip(refused) {
            self.held.extend_from_slice(record.value_bytes().unwrap_or_default());
            self.held.push(b'\n');
        }
        if !self.holds {
            self.write_held()?;
        }
        Ok(())
    }

    fn open(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Position>> {
        self.note("open", partitions).map(|()| Vec::new())
    }

    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.note("close", partitions)
    }

    fn pre_commit(&mut self) -> Result<Option<Vec<Position>>> {
        Self::fail(&self.next_word(false)?)?;
        self.write_held()?;
        Ok(None)
    }
}

/// A target that takes its time: each put writes `+`, waits, and writes its values and `-`.
struct SlowSink {
    file: String,
    delay: Duration,
}

impl SlowSink {
    fn write(&self, text: &str) -> Result<()> {
        let mut file = std::fs::File::options().append(true).create(true).open(&self.file).map_err(Error::fatal)?;
        file.write_all(text.as_bytes()).map_err(Error::fatal)
    }
}

impl SinkTask for SlowSink {
    fn definition() -> Definition {
        Definition::sink("SlowSink")
            .encoding(Encoding::Text)
            .concurrent_puts()
            .key(Key::path_write("file").doc("What the target has."))
            .key(Key::int("delay.ms").default(20).doc("How long a put takes."))
    }

    fn start(config: &Config) -> Result<Self> {
        let delay = Duration::from_millis(config.int("delay.ms")?.unsigned_abs().into());
        Ok(SlowSink { file: config.string("file")?.to_owned(), delay })
    }

    fn put(&mut self, batch: &SinkBatch<'_>, _: &mut Outcome) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.write("+\n")?;
        std::thread::sleep(self.delay);
        let values = batch.records().map(|record| String::from_utf8_lossy(record.value_bytes().unwrap_or_default()));
        self.write(&format!("{}\n-\n", values.collect::<Vec<_>>().join(" ")))
    }
}

tidegate_sdk::export! { sinks: [FaultySink, SlowSink] }
