//! Chains of built-in transforms: JSON of 300 B in, JSON out, as a sink task that writes JSON would do it; and each step's
//! `apply` alone, in its sandbox and natively, whose difference is what the sandbox costs.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use tidegate_bench::records::Shape;
use tidegate_engine::Payload;
use tidegate_record::view::Workspace;
use tidegate_record::{ColumnsWriter, SchemaTable};

use crate::cpu;
use crate::guests::{CONVERTERS, Guests, Step, native_apply, view};

const BATCH: usize = 500;

const STEPS: [(&str, &[(&str, &str)]); 5] = [
    ("InsertField$Value", &[("static.field", "site"), ("static.value", "berlin")]),
    ("ReplaceField$Value", &[("exclude", "note,v")]),
    ("MaskField$Value", &[("fields", "email"), ("replacement", "****")]),
    (
        "TimestampConverter$Value",
        &[("field", "created"), ("target.type", "unix"), ("format", "yyyy-MM-dd'T'HH:mm:ss'Z'")],
    ),
    ("RegexRouter", &[("regex", "(.*)"), ("replacement", "$1-clean")]),
];

pub(crate) fn bench(criterion: &mut Criterion, guests: &Guests) {
    let values: Vec<Vec<u8>> = (0..BATCH)
        .map(|i| {
            let mut value = Vec::new();
            Shape::Json.write(i, &mut value);
            value
        })
        .collect();
    whole(criterion, guests, &values);
    steps(criterion, guests, &values);
}

fn whole(criterion: &mut Criterion, guests: &Guests, values: &[Vec<u8>]) {
    let mut group = criterion.benchmark_group("chain");
    group.throughput(Throughput::Elements(BATCH as u64));
    for length in [0, 1, 3, 5] {
        let mut chain = make(guests, length);
        let mut schemas = SchemaTable::default();
        let mut columns = ColumnsWriter::new();
        let mut out = Vec::new();
        let mut workspace = Some(Workspace::default());
        group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
            bencher.iter_custom(|count| {
                guests.engine.handle().block_on(async {
                    let before = cpu::now();
                    for _ in 0..count {
                        let mut view = view(values, workspace.take().unwrap_or_default(), &mut schemas);
                        for step in &mut chain {
                            step.run(&mut view, &mut schemas, &mut columns).await;
                        }
                        out.clear();
                        for record in 0..BATCH {
                            black_box(view.write_value(record, CONVERTERS.value, &schemas, &mut out));
                        }
                        workspace = Some(view.into_workspace());
                    }
                    cpu::now() - before
                })
            });
        });
    }
    group.finish();
}

fn steps(criterion: &mut Criterion, guests: &Guests, values: &[Vec<u8>]) {
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut schemas = SchemaTable::default();
    let mut view = view(values, Workspace::default(), &mut schemas);
    for mut step in make(guests, STEPS.len()) {
        let payload = step.columns(&mut view, &schemas, &mut ColumnsWriter::new());
        let Payload::Arena(arena) = &payload else { panic!("built-in transforms take arenas") };
        group.bench_function(BenchmarkId::new(step.name(), "sandboxed"), |bencher| {
            bencher.iter_custom(|count| {
                guests.engine.handle().block_on(async {
                    let before = cpu::now();
                    for _ in 0..count {
                        black_box(step.instance.apply(&payload).await.expect("apply answers"));
                    }
                    cpu::now() - before
                })
            });
        });
        step.configure_native();
        group.bench_function(BenchmarkId::new(step.name(), "native"), |bencher| {
            bencher.iter_custom(|count| {
                let before = cpu::now();
                for _ in 0..count {
                    black_box(native_apply(black_box(arena)));
                }
                cpu::now() - before
            });
        });
    }
    group.finish();
}

fn make(guests: &Guests, length: usize) -> Vec<Step> {
    STEPS[..length].iter().map(|(definition, config)| guests.step(&guests.built_in, definition, config)).collect()
}
