//! The other examples of the SDK for Rust, as components in the real engine: each is let in at the door and does what it
//! says. `hello-transform` has a suite of its own, with all languages.

use std::sync::{Arc, Mutex};

use tidegate_config::Settings;
use tidegate_config::worker::{Mode, WorkerConfig};
use tidegate_conformance::build::rust_example;
use tidegate_engine::{
    Budget, BudgetLimits, CallError, CompilerCommand, ConverterInstance, Engine, EngineConfig, Hooks, InstanceSpec,
    LogLevel, LogSink, Payload, Plugin, SinkInstance, SourceInstance,
};
use tidegate_record::batch::batch_to_json;
use tidegate_record::{BatchReader, BatchWriter, Encoding, SchemaId};
use tidegate_worker::{Catalog, Shown, Trial};

#[test]
fn hello_source_counts() {
    run("hello-source", async |plugin, spec| {
        let mut source = SourceInstance::new(&plugin, &spec("HelloSource")).await.expect("the instance is made");
        source.start(&vec![("topic".to_owned(), "t".to_owned())]).await.expect("start answers");
        for number in [1, 2] {
            let batch = arena(source.poll(10, 1 << 20, 0).await.expect("poll answers"));
            let batch = BatchReader::parse(&batch).expect("the batch is good");
            let expected = r#"[{"topic":"t","key":null,"value":"hello N","valueSchema":8,"sourcePartition":{"source":"hello"},"sourceOffset":{"sent":N}}]"#;
            let shown = batch_to_json(&batch).expect("a batch has a JSON form");
            assert_eq!(shown, expected.replace('N', &number.to_string()));
        }
        source.stop().await.expect("stop answers");
    });
}

#[test]
fn hello_sink_logs_what_it_is_given_and_rejects_null() {
    run("hello-sink", async |plugin, spec| {
        let lines = Arc::new(Lines::default());
        let mut spec = spec("HelloSink");
        spec.hooks = Hooks { log: lines.clone(), ..Hooks::default() };
        let mut sink = SinkInstance::new(&plugin, &spec).await.expect("the instance is made");
        sink.start(&vec![("greeting".to_owned(), "hi".to_owned())]).await.expect("start answers");
        let mut batch = BatchWriter::new(Encoding::Text, Encoding::Text);
        batch.record().topic("t").value(SchemaId(8), Some(b"Ada"));
        batch.record().topic("t").value(SchemaId(8), None);
        let batch = Payload::Arena(batch.take().expect("the batch fits"));
        let outcome = sink.put(&batch).await.expect("put answers");
        let rejected: Vec<_> = outcome.rejected.iter().map(|one| (one.index, one.message.as_str())).collect();
        assert_eq!(rejected, [(1, "nobody to greet")]);
        assert_eq!(*lines.0.lock().unwrap(), ["hi Ada"]);
        sink.stop().await.expect("stop answers");
    });
}

#[test]
fn hello_converter_converts_values_and_headers() {
    run("hello-converter", async |plugin, spec| {
        for definition in ["HelloConverter", "HelloHeaderConverter"] {
            let mut converter = ConverterInstance::new(&plugin, &spec(definition)).await.expect("the instance is made");
            assert!(converter.validate(&Vec::new()).await.expect("validate answers").is_empty());
            converter.configure(&Vec::new(), false).await.expect("configure answers");
            let mut bytes = BatchWriter::new(Encoding::Raw, Encoding::Raw);
            let forms: [Option<&[u8]>; 3] = [Some(b"who=Ada+Lovelace&id=7"), None, Some(&[0xFF])];
            for form in forms {
                bytes.record().topic("t").value(SchemaId(25), form);
            }
            let bytes = Payload::Arena(bytes.take().expect("the batch fits"));
            let data = arena(converter.to_connect(&bytes).await.expect("to-connect answers"));
            let read = BatchReader::parse(&data).expect("the batch is good");
            let expected = r#"[{"topic":"t","key":null,"value":{"who":"Ada Lovelace","id":"7"}},{"topic":"t","key":null,"value":null},{"topic":"t","key":null,"value":"invalid utf-8 sequence of 1 bytes from index 0","valueSchema":8,"flags":8}]"#;
            assert_eq!(batch_to_json(&read).expect("a batch has a JSON form"), expected, "{definition}");

            let back = arena(converter.from_connect(&Payload::Arena(data)).await.expect("from-connect answers"));
            let back = BatchReader::parse(&back).expect("the batch is good");
            assert_eq!((back.len(), back.value_encoding()), (3, Encoding::Raw));
            assert_eq!(back.value(0).bytes, forms[0]);
            assert_eq!(back.value(1).bytes, None);
            assert_eq!(back.flags(2), 8, "a text has no form fields");
        }
        let mut unknown = ConverterInstance::new(&plugin, &spec("Other")).await.expect("the instance is made");
        let refused = unknown.configure(&Vec::new(), true).await.expect_err("there is no such definition");
        assert!(matches!(refused, CallError::Fatal(_)), "{refused:?}");
    });
}

#[test]
fn a_connector_names_hello_converter_for_its_values_and_headers() {
    let component = rust_example("hello-converter").expect("the example builds");
    let bytes = std::fs::read(component).expect("the component was built");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let compiler = CompilerCommand { program: env!("CARGO_BIN_EXE_conformance-compiler").into(), args: Vec::new() };
    let engine = Engine::start(EngineConfig::new(compiler, folder.path().join("cache"))).expect("the engine starts");
    let worker: Settings = [
        ("bootstrap.servers", "127.0.0.1:1"),
        ("group.id", "g"),
        ("key.converter", "StringConverter"),
        ("value.converter", "StringConverter"),
        ("config.storage.topic", "c"),
        ("offset.storage.topic", "o"),
        ("status.storage.topic", "s"),
    ]
    .into_iter()
    .collect();
    let (worker, _) = WorkerConfig::check(Mode::Distributed, &worker, "/").expect("the worker is right");
    let connector: Settings =
        [("name", "forms"), ("value.converter", "HelloConverter"), ("header.converter", "HelloHeaderConverter")]
            .into_iter()
            .collect();
    engine.handle().clone().block_on(async {
        let catalog = Catalog::open(engine.clone(), folder.path().join("plugins")).expect("there is a catalog");
        for bundled in tidegate_bundled::components() {
            catalog.add_bundled(bundled.bytes).await.expect("what is in the box loads");
        }
        catalog.upload(&bytes).await.expect("the example is let in");
        let mut trial = Trial::new(Arc::new(catalog), worker, "/".to_owned());
        let mut chain = trial.chain(&connector).await.expect("the converters are made");
        let sample = r#"{"value":"who=Ada+Lovelace&id=7","headers":{"h":"a=1"}}"#;
        let stages = chain.sample(sample, true).await.expect("the sample is read");
        let [Shown::Record(record)] = &stages[0].outcomes[..] else { panic!("{stages:?}") };
        let part = |name: &str| record.parts.iter().find(|(part, _)| part == name).map(|(_, text)| text.as_str());
        assert_eq!(part("value"), Some(r#"{"who":"Ada Lovelace","id":"7"}"#));
        assert_eq!(part("header h"), Some(r#"{"a":"1"}"#));
    });
}

/// Builds an example, lets it in and hands it to the test, with what makes a spec for one of its definitions.
fn run(example: &str, test: impl AsyncFnOnce(Plugin, fn(&str) -> InstanceSpec)) {
    let component = rust_example(example).expect("the example builds");
    let bytes = std::fs::read(component).expect("the component was built");
    let cache = tempfile::tempdir().expect("a temporary directory");
    let compiler = CompilerCommand { program: env!("CARGO_BIN_EXE_conformance-compiler").into(), args: Vec::new() };
    let engine = Engine::start(EngineConfig::new(compiler, cache.path().to_owned())).expect("the engine starts");
    engine.handle().clone().block_on(async {
        engine.check(&bytes).await.unwrap_or_else(|refusal| panic!("{example} is refused at the door: {refusal}"));
        test(engine.load(&bytes).await.expect("the component loads"), |definition| {
            let budget = Budget::worker(BudgetLimits::default()).connector("test", BudgetLimits::default());
            InstanceSpec::new("test", definition, budget)
        })
        .await;
    });
}

fn arena(payload: Payload) -> Vec<u8> {
    match payload {
        Payload::Arena(arena) => arena,
        Payload::Json(text) => panic!("the SDK for Rust answers arenas: {text}"),
    }
}

/// What an instance logged.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl LogSink for Lines {
    fn log(&self, _: LogLevel, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}
