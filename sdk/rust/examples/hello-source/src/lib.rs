//! Counts: one greeting per poll.
use tidegate_sdk::{Config, Definition, Key, Record, Result, SourceBatch, SourceTask, host, serde_json};

const PARTITION: &str = r#"{"source":"hello"}"#;

struct HelloSource {
    topic: String,
    sent: u64,
}

impl SourceTask for HelloSource {
    fn definition() -> Definition {
        Definition::source("HelloSource").key(Key::string("topic").high().required().doc("Topic to write to."))
    }

    fn start(config: &Config) -> Result<Self> {
        // What this source itself wrote beside its last committed record.
        let offset = host::load_offset(PARTITION)?.map(|offset| serde_json::from_str::<serde_json::Value>(&offset));
        let sent = offset.and_then(|offset| offset.ok()?["sent"].as_u64()).unwrap_or(0);
        Ok(HelloSource { topic: config.string("topic")?.to_owned(), sent })
    }

    fn poll(&mut self, batch: &mut SourceBatch) -> Result<()> {
        self.sent += 1;
        let offset = format!(r#"{{"sent":{}}}"#, self.sent);
        batch.push(&Record::to(self.topic.as_str()).value(format!("hello {}", self.sent)).from(PARTITION, offset))
    }
}

tidegate_sdk::export! { sources: [HelloSource] }

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_sdk::testing::SourceHarness;

    #[test]
    fn counting_goes_on_after_the_committed_greeting() {
        let mut source = SourceHarness::start::<HelloSource>(&[("topic", "t")]).unwrap();
        assert!(source.poll_json().unwrap().contains(r#""value":"hello 1""#));
        source.commit().unwrap();
        let mut restarted = SourceHarness::start::<HelloSource>(&[("topic", "t")]).unwrap();
        assert!(restarted.poll_json().unwrap().contains(r#""value":"hello 2""#));
    }
}
