//! Logs each record; refuses the rude ones.
use tidegate_sdk::host::{self, Level};
use tidegate_sdk::{Config, Definition, Encoding, Key, Outcome, Result, SinkBatch, SinkTask};

struct HelloSink {
    greeting: String,
}

impl SinkTask for HelloSink {
    fn definition() -> Definition {
        Definition::sink("HelloSink")
            .encoding(Encoding::Text)
            .key(Key::string("greeting").default("hello").doc("Put before each value."))
    }

    fn start(config: &Config) -> Result<Self> {
        Ok(HelloSink { greeting: config.string("greeting")?.to_owned() })
    }

    fn put(&mut self, batch: &SinkBatch<'_>, outcome: &mut Outcome) -> Result<()> {
        for record in batch.records() {
            match record.value_bytes().map(String::from_utf8_lossy) {
                Some(text) => host::log(Level::Info, &format!("{} {text}", self.greeting)),
                None => outcome.reject(record.index(), "nobody to greet"),
            }
        }
        Ok(())
    }
}

tidegate_sdk::export! { sinks: [HelloSink] }

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_sdk::testing::{FakeHost, SinkHarness};

    #[test]
    fn values_are_greeted_and_tombstones_are_rejected() {
        let mut sink = SinkHarness::start::<HelloSink>(&[]).unwrap();
        let outcome = sink.put_json(r#"[{"topic":"t","value":"world"},{"topic":"t","value":null}]"#).unwrap();
        assert_eq!(FakeHost::log(), [(Level::Info, "hello world".to_owned())]);
        assert_eq!(outcome.rejected(), [(1, "nobody to greet".to_owned())]);
    }
}
