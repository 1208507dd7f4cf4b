//! One call of `apply`, by the guest's language and the size of the batch: lowering the columns, the guest's work, lifting
//! its edits. `MaskField` reads one text and answers a constant; `hello-transform` reads one text and answers another.

use criterion::{BenchmarkId, Criterion, Throughput};
use tidegate_conformance::build::{Built, Language, hello_transform};
use tidegate_record::view::Workspace;
use tidegate_record::{ColumnsWriter, SchemaTable};

use crate::cpu;
use crate::guests::{Guests, Step, view};

const BATCHES: [usize; 4] = [1, 100, 500, 2_000];

pub(crate) fn bench(criterion: &mut Criterion, guests: &Guests) {
    let mask = guests.step(&guests.built_in, "MaskField$Value", &[("fields", "name"), ("replacement", "****")]);
    crossings(criterion, guests, "MaskField", mask);
    for language in [Language::Rust, Language::C, Language::Go, Language::JavaScript, Language::Python] {
        match hello_transform(language).expect("the guest builds") {
            Built::Missing(reason) => skipped(language, &reason),
            Built::Component(path) => {
                let bytes = std::fs::read(path).expect("the component was built");
                let plugin = guests.engine.handle().block_on(guests.engine.load(&bytes)).expect("the component loads");
                let definition = definition(plugin.description());
                let step = guests.step(&plugin, &definition, &[("field", "name")]);
                crossings(criterion, guests, &format!("hello {language:?}"), step);
            }
        }
    }
}

fn crossings(criterion: &mut Criterion, guests: &Guests, name: &str, mut step: Step) {
    let mut group = criterion.benchmark_group(format!("crossing/{name}"));
    for batch in BATCHES {
        let values: Vec<Vec<u8>> =
            (0..batch).map(|i| format!(r#"{{"id":{i},"name":"user-{i}"}}"#).into_bytes()).collect();
        let mut schemas = SchemaTable::default();
        let mut view = view(&values, Workspace::default(), &mut schemas);
        let payload = step.columns(&mut view, &schemas, &mut ColumnsWriter::new());
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
            bencher.iter_custom(|count| {
                guests.engine.handle().block_on(async {
                    let before = cpu::now();
                    for _ in 0..count {
                        step.instance.apply(&payload).await.expect("apply answers");
                    }
                    cpu::now() - before
                })
            });
        });
    }
    group.finish();
}

/// The one definition that an example has.
fn definition(description: &str) -> String {
    let described = tidegate_config::describe::read(description).expect("the description is good");
    described.definitions[0].name.clone()
}

#[allow(clippy::print_stderr, reason = "what a machine lacks is told, as tests do")]
fn skipped(language: Language, reason: &str) {
    eprintln!("{language:?} skipped: {reason}");
}
