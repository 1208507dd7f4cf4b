//! The same transform in five languages does the same to the same records, through the real engine and the host's own view
//! of a batch.

use std::path::Path;

use tidegate_config::{Encoding, describe};
use tidegate_conformance::build::{Built, Language, hello_transform};
use tidegate_engine::{
    Budget, BudgetLimits, CompilerCommand, Engine, EngineConfig, InstanceSpec, Payload, Place, TransformInstance,
};
use tidegate_record::columns::{ColumnsReader, ColumnsWriter};
use tidegate_record::edits::{EditsReader, edits_from_json};
use tidegate_record::value::JsonOptions;
use tidegate_record::view::{
    Column, Converter, Converters, HeaderConverter, Message, Reshapes, Side, View, Workspace, Written,
};
use tidegate_record::{SchemaId, SchemaTable};

/// Records in, and what must come out. What is not named by `field`, and what is no string, stays as it is.
const RECORDS: &[(&str, &str)] = &[
    (r#"{"name":"Ada","n":1.10}"#, r#"{"name":"Ada","n":1.10,"greeting":"hello, Ada"}"#),
    (r#"{"n":12345678901234567890123}"#, r#"{"n":12345678901234567890123}"#),
    (r#"{"name":null}"#, r#"{"name":null}"#),
    (r#"{"name":7}"#, r#"{"name":7}"#),
    (r#"{"name":""}"#, r#"{"name":"","greeting":"hello, "}"#),
    (r#"{"name":"Zoë \"Z\" 🌊"}"#, r#"{"name":"Zoë \"Z\" 🌊","greeting":"hello, Zoë \"Z\" 🌊"}"#),
    (r#"{"greeting":"old","name":"B"}"#, r#"{"greeting":"hello, B","name":"B"}"#),
];

const SCHEMA: &str = r#"{"type":"struct","optional":false,"fields":[{"type":"string","optional":true,"field":"name"},{"type":"int64","optional":false,"field":"id"}]}"#;

#[test]
fn rust_greets() {
    check(Language::Rust);
}

#[test]
fn python_greets() {
    check(Language::Python);
}

#[test]
fn javascript_greets() {
    check(Language::JavaScript);
}

#[test]
fn go_greets() {
    check(Language::Go);
}

#[test]
fn c_greets() {
    check(Language::C);
}

fn check(language: Language) {
    let component = match hello_transform(language).expect("the guest builds") {
        Built::Component(path) => path,
        Built::Missing(reason) => {
            assert!(std::env::var_os("TIDEGATE_REQUIRE_ALL").is_none(), "{language:?} must not be skipped: {reason}");
            eprintln!("skipped: {reason}");
            return;
        }
    };
    let cache = tempfile::tempdir().expect("a temporary directory");
    let engine = engine(cache.path());
    let handle = engine.handle().clone();
    let bytes = std::fs::read(component).expect("the component was built");
    handle.block_on(async {
        engine.check(&bytes).await.unwrap_or_else(|refusal| panic!("{language:?} is refused at the door: {refusal}"));
        let mut guest = Guest::start(&engine, &bytes).await;
        let records: Vec<&str> = RECORDS.iter().map(|(input, _)| *input).collect();
        let expected: Vec<&str> = RECORDS.iter().map(|(_, output)| *output).collect();
        assert_eq!(guest.transform(&records, false).await, expected, "{language:?}, without schemas");
        // The same again, and nothing: a guest keeps nothing between batches.
        assert_eq!(guest.transform(&records, false).await, expected, "{language:?}, again");
        assert_eq!(guest.transform(&[], false).await, Vec::<String>::new(), "{language:?}, an empty batch");

        let enveloped = format!(r#"{{"schema":{SCHEMA},"payload":{{"name":"Ada","id":7}}}}"#);
        let answered = guest.transform(&[&enveloped], true).await;
        let answered: serde_json::Value = serde_json::from_str(&answered[0]).expect("JSON was written");
        assert_eq!(answered["payload"]["greeting"], "hello, Ada", "{language:?}, with a schema");
        assert_eq!(answered["payload"]["id"], 7, "{language:?}, with a schema");
        assert_eq!(answered["schema"]["fields"][2]["field"], "greeting", "{language:?}: {answered}");
        assert_eq!(answered["schema"]["fields"][2]["optional"], true, "{language:?}: {answered}");
    });
}

fn engine(cache: &Path) -> Engine {
    let compiler = CompilerCommand { program: env!("CARGO_BIN_EXE_conformance-compiler").into(), args: Vec::new() };
    Engine::start(EngineConfig::new(compiler, cache.to_owned())).expect("the engine starts")
}

/// A transform instance and what the host keeps beside it.
struct Guest {
    instance: TransformInstance,
    encoding: Encoding,
    read: Vec<Column>,
    write: Vec<Column>,
    reshapes: Reshapes,
    schemas: SchemaTable,
}

impl Guest {
    async fn start(engine: &Engine, bytes: &[u8]) -> Guest {
        let plugin = engine.load(bytes).await.expect("the component loads");
        let described = describe::read(plugin.description()).expect("the description is good");
        let definition = &described.definitions[0];
        let budget = Budget::worker(BudgetLimits::default()).connector("test", BudgetLimits::default());
        let spec = InstanceSpec::new("test", &definition.name, budget);
        let mut instance = TransformInstance::new(&plugin, &spec).await.expect("the instance is made");
        let problems = instance.validate(&vec![("field".to_owned(), String::new())]).await.expect("validate answers");
        assert_eq!(problems.len(), 1, "an empty field name is a problem");
        assert_eq!(problems[0].key, "field");
        let plan = instance.configure(&vec![("field".to_owned(), "name".to_owned())]).await.expect("configure answers");
        let columns = |columns: Vec<tidegate_engine::Column>| columns.into_iter().map(column).collect();
        Guest {
            instance,
            encoding: definition.encoding,
            read: columns(plan.read),
            write: columns(plan.write),
            reshapes: Reshapes::default(),
            schemas: SchemaTable::default(),
        }
    }

    /// What becomes of JSON values.
    async fn transform(&mut self, records: &[&str], schemas: bool) -> Vec<String> {
        let json = Converter::Json { schemas };
        let converters = Converters { key: json, value: json, header: HeaderConverter::Simple };
        let mut view = View::new(Workspace::default(), JsonOptions::default());
        for (offset, record) in (0..).zip(records) {
            let message = Message {
                topic: "t",
                partition: 0,
                offset,
                timestamp: -1,
                append_time: false,
                key: None,
                value: Some(record.as_bytes()),
                headers: &[],
            };
            view.push(message, &converters, &mut self.schemas);
        }
        let rows = view.rows();
        let mut columns = ColumnsWriter::new();
        view.columns(&rows, &self.read, &self.schemas, &mut columns);
        let arena = columns.take().expect("the columns fit");
        let payload = match self.encoding {
            Encoding::Json => Payload::Json(ColumnsReader::parse(&arena).expect("own columns are good").to_json()),
            _ => Payload::Arena(arena),
        };
        let edits = match self.instance.apply(&payload).await.expect("apply answers") {
            Payload::Arena(arena) => arena,
            Payload::Json(text) => edits_from_json(&text, rows.len()).expect("the edits are good"),
        };
        for (side, schema) in view.unshaped(&rows, &self.write, &self.reshapes) {
            let changed = self.reshape(side, schema).await;
            self.reshapes.insert(side, schema, Ok(changed));
        }
        let reader = EditsReader::parse(&edits, rows.len(), self.write.len()).expect("the edits are good");
        view.apply(&rows, &reader, &self.write, &self.reshapes, &mut self.schemas).expect("the edits apply");
        (0..records.len())
            .map(|record| {
                let mut out = Vec::new();
                match view.write_value(record, json, &self.schemas, &mut out) {
                    Written::Bytes(_) => String::from_utf8(out).expect("JSON is text"),
                    other => panic!("record {record} became {other:?}: {:?}", view.failure(record)),
                }
            })
            .collect()
    }

    async fn reshape(&mut self, side: Side, schema: SchemaId) -> Option<SchemaId> {
        let text = self.schemas.text(schema).expect("the schema is known").clone();
        let place = match side {
            Side::Key => Place::Key,
            Side::Value => Place::Value,
        };
        let changed = self.instance.reshape(place, &text).await.expect("reshape answers")?;
        Some(self.schemas.define_json(&changed).expect("the changed schema is good"))
    }
}

fn column(column: tidegate_engine::Column) -> Column {
    use tidegate_record::view::Place as At;
    let place = match column.place {
        Place::Value => At::Value,
        Place::Key => At::Key,
        Place::Header => At::Header,
        Place::Topic => At::Topic,
        Place::Partition => At::Partition,
        Place::Offset => At::Offset,
        Place::Timestamp => At::Timestamp,
    };
    Column { place, path: column.path }
}
