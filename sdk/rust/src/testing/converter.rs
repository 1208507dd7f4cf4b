//! Converters without a component.

use super::{TestRecord, json, pairs};
use crate::batch::{SinkBatch, SourceBatch};
use crate::plugin::{ConverterKind, HeaderConverterKind, RunningConverter};
use crate::{Config, Converter, Encoding, Error, HeaderConverter, Problem, Result, SchemaId, Value};

/// Flag of a record that could not be converted.
const FAILED: u8 = 0b1000;

/// A converter that runs natively. What it converts are the values of records, as in a component, whether they are keys,
/// values or headers to Kafka.
///
/// ```
/// use tidegate_sdk::{testing::ConverterHarness, *};
/// # struct Number;
/// # impl Converter for Number {
/// #     fn definition() -> Definition { Definition::converter("Number") }
/// #     fn configure(_: &Config, _: bool) -> Result<Number> { Ok(Number) }
/// #     fn to_connect(&mut self, _: &str, bytes: Option<&[u8]>) -> Result<Data, ConvertError> {
/// #         let text = std::str::from_utf8(bytes.unwrap_or_default()).map_err(ConvertError::record)?;
/// #         Ok(Data::new(text.parse::<i64>().map_err(ConvertError::record)?))
/// #     }
/// #     fn from_connect(&mut self, _: &str, data: Data) -> Result<Option<Vec<u8>>, ConvertError> {
/// #         Ok(data.value.as_i64().map(|number| number.to_string().into_bytes()))
/// #     }
/// # }
/// let mut number = ConverterHarness::values::<Number>(&[])?;
/// let data = number.to_connect_json(r#"[{"topic":"t","value":"7"}]"#)?;
/// assert_eq!(data, r#"[{"topic":"t","valueSchema":4,"value":7}]"#);
/// assert_eq!(number.from_connect_json(&data)?, r#"[{"topic":"t","value":"7"}]"#);
/// # Ok::<(), Error>(())
/// ```
pub struct ConverterHarness {
    running: Box<dyn RunningConverter>,
    encoding: Encoding,
}

impl ConverterHarness {
    /// Configures a converter for keys.
    pub fn keys<T: Converter>(config: &[(&str, &str)]) -> Result<ConverterHarness> {
        ConverterHarness::of_records::<T>(config, true)
    }

    /// Configures a converter for values.
    pub fn values<T: Converter>(config: &[(&str, &str)]) -> Result<ConverterHarness> {
        ConverterHarness::of_records::<T>(config, false)
    }

    /// Configures a header converter.
    pub fn headers<T: HeaderConverter>(config: &[(&str, &str)]) -> Result<ConverterHarness> {
        let kind = HeaderConverterKind::of::<T>();
        let config = kind.config(pairs(config));
        check(kind.validate, &config)?;
        let running = (kind.configure)(&config)?;
        Ok(ConverterHarness { running, encoding: T::definition().encoding_of_values() })
    }

    fn of_records<T: Converter>(config: &[(&str, &str)], is_key: bool) -> Result<ConverterHarness> {
        let kind = ConverterKind::of::<T>();
        let config = kind.config(pairs(config));
        check(kind.validate, &config)?;
        let running = (kind.configure)(&config, is_key)?;
        Ok(ConverterHarness { running, encoding: T::definition().encoding_of_values() })
    }

    /// Converts the values of a JSON array, texts or bytes, to Connect data. A record that cannot be converted is an error.
    pub fn to_connect_json(&mut self, records: &str) -> Result<String> {
        let converted = self.to_connect(&json::parse_records(records).map_err(Error::Fatal)?)?;
        all(converted)
    }

    /// Converts the values of a JSON array to bytes, which are shown as text where they are some. A record that cannot be
    /// converted is an error.
    pub fn from_connect_json(&mut self, records: &str) -> Result<String> {
        let converted = self.from_connect(&json::parse_records(records).map_err(Error::Fatal)?)?;
        all(converted.into_iter().map(|record| record.map(shown)).collect())
    }

    /// Converts values, which are strings, bytes or null, to Connect data; one answer, or reason, for each.
    pub fn to_connect(&mut self, records: &[TestRecord]) -> Result<Vec<Result<TestRecord, String>>> {
        let records: Vec<TestRecord> = records.iter().cloned().map(as_bytes).collect();
        let mut batch = SourceBatch::for_sink(Encoding::Raw);
        json::write_batch(&mut batch, &records)?;
        answers(&self.running.to_connect(&batch.finish()?)?, records.len())
    }

    /// Converts values to bytes; one answer, or reason, for each.
    pub fn from_connect(&mut self, records: &[TestRecord]) -> Result<Vec<Result<TestRecord, String>>> {
        let mut batch = SourceBatch::for_sink(self.encoding);
        json::write_batch(&mut batch, records)?;
        answers(&self.running.from_connect(&batch.finish()?)?, records.len())
    }
}

fn check(validate: fn(&Config) -> Vec<Problem>, config: &Config) -> Result<()> {
    validate(config).into_iter().next().map_or(Ok(()), |problem| Err(Error::InvalidConfig(problem)))
}

/// A record whose value is bytes, as all are in Kafka.
fn as_bytes(record: TestRecord) -> TestRecord {
    let value = match record.value {
        Value::String(text) => Value::Bytes(text.into_bytes()),
        other => other,
    };
    TestRecord { value, value_schema: SchemaId::OPTIONAL_BYTES.predefined(), ..record }
}

/// A record whose value is text without a schema, if its bytes are some.
fn shown(record: TestRecord) -> TestRecord {
    match record.value {
        Value::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) => TestRecord { value: Value::String(text), value_schema: None, ..record },
            Err(error) => TestRecord { value: Value::Bytes(error.into_bytes()), ..record },
        },
        _ => TestRecord { value_schema: None, ..record },
    }
}

fn answers(arena: &[u8], count: usize) -> Result<Vec<Result<TestRecord, String>>> {
    let batch = SinkBatch::read(arena)?;
    if batch.len() != count {
        return Err(Error::fatal(format!("{} answers to {count} records", batch.len())));
    }
    let records = json::read_batch(&batch)?;
    let answer = |(record, at): (TestRecord, usize)| match batch.record(at).flags() & FAILED {
        0 => Ok(record),
        _ => Err(record.value.as_str().unwrap_or_default().to_owned()),
    };
    Ok(records.into_iter().zip(0..).map(answer).collect())
}

fn all(records: Vec<Result<TestRecord, String>>) -> Result<String> {
    let records = records.into_iter().collect::<Result<Vec<_>, String>>().map_err(Error::Fatal)?;
    Ok(json::write_records(&records))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConvertError, Data, Definition};

    /// Its registry is away where a topic says so.
    struct Registered;

    impl Converter for Registered {
        fn definition() -> Definition {
            Definition::converter("Registered")
        }

        fn configure(_: &Config, _: bool) -> Result<Registered> {
            Ok(Registered)
        }

        fn to_connect(&mut self, topic: &str, bytes: Option<&[u8]>) -> Result<Data, ConvertError> {
            match (topic, bytes) {
                ("away", _) => Err(Error::retriable("the registry is away").into()),
                (_, None) => Err(ConvertError::record("nothing to convert")),
                (_, Some(bytes)) => Ok(Data::new(bytes)),
            }
        }

        fn from_connect(&mut self, _: &str, data: Data) -> Result<Option<Vec<u8>>, ConvertError> {
            Ok(matches!(data.value, Value::Boolean(true)).then(|| vec![0xFF]))
        }
    }

    #[test]
    fn a_record_that_fails_leaves_the_others_alone_and_a_call_that_fails_does_not() {
        let mut harness = ConverterHarness::keys::<Registered>(&[]).unwrap();
        let records = json::parse_records(r#"[{"topic":"t"},{"topic":"t","value":"x"}]"#).unwrap();
        let answers = harness.to_connect(&records).unwrap();
        assert_eq!(answers[0], Err("nothing to convert".to_owned()));
        assert_eq!(answers[1].as_ref().unwrap().value, Value::Bytes(b"x".to_vec()));
        let away = harness.to_connect_json(r#"[{"topic":"t","value":"x"},{"topic":"away","value":"x"}]"#);
        assert_eq!(away, Err(Error::retriable("the registry is away")));
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_in_base64() {
        let mut harness = ConverterHarness::values::<Registered>(&[]).unwrap();
        let shown = harness.from_connect_json(r#"[{"topic":"t","value":true},{"topic":"t","value":false}]"#).unwrap();
        assert_eq!(shown, r#"[{"topic":"t","valueSchema":25,"value":"/w=="},{"topic":"t"}]"#);
    }
}
