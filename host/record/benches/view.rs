//! What the host does to a JSON record on its way through a chain: index, project, apply, splice.
//!
//! Two records: `r300` has 10 top-level fields and 17 values in about 285 bytes, `r1k` 25 and 46 in about 1 KB. The step is
//! what InsertField, ReplaceField (two fields excluded) and MaskField answer together. Times are CPU time of the thread, so
//! that a busy machine changes little, and per batch of 500.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use tidegate_record::edits::{EditsReader, EditsWriter};
use tidegate_record::json::Scanner;
use tidegate_record::value::JsonOptions;
use tidegate_record::view::{Column, Converter, Converters, HeaderConverter, Message, Reshapes, View, Workspace};
use tidegate_record::{ColumnsWriter, Encoding, SchemaTable, Value};

const RECORDS: usize = 500;
const CONVERTERS: Converters =
    Converters { key: Converter::String, value: Converter::Json { schemas: false }, header: HeaderConverter::Simple };

/// CPU time of this thread, shown as criterion shows wall time.
struct CpuTime;

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        cpu_time()
    }

    fn end(&self, start: Duration) -> Duration {
        cpu_time() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn r300(i: usize) -> String {
    format!(
        r#"{{"id":{},"user":"user-{}","email":"someone.{}@example.org","active":{},"score":{}.{:02},"address":{{"street":"{} Long Lane","city":"Utrecht","zip":"35{:02}AB"}},"tags":["alpha","beta","n{}"],"created":"2024-05-{:02}T10:{:02}:00Z","note":"plain text of some length","v":{}}}"#,
        100_000 + i,
        i % 977,
        i,
        i.is_multiple_of(2),
        i % 100,
        i % 89,
        i % 300,
        i % 90,
        i % 7,
        i % 28 + 1,
        i % 60,
        i % 3
    )
}

fn r1k(i: usize) -> String {
    let mut text = r300(i);
    text.pop();
    for field in 0..13 {
        text.push_str(&match field % 4 {
            0 => format!(r#","metric_{field}":{}.{:03},"unit_{field}":"ms""#, i * 7 % 1000, i % 997),
            1 => format!(r#","label_{field}":"caf\u00e9 num\u00e9ro {i} \"quoted\"""#),
            2 => {
                format!(r#","point_{field}":{{"lat":{}.5,"lon":-{}.25,"name":"station {}"}}"#, i % 90, i % 180, i % 50)
            }
            _ => format!(r#","list_{field}":[{},{},"é{}"]"#, i % 10, i % 11, i % 12),
        });
    }
    text.push('}');
    text
}

fn filled<'a>(records: &'a [String], workspace: Workspace, schemas: &mut SchemaTable) -> View<'a> {
    let mut view = View::new(workspace, JsonOptions::default());
    for (offset, record) in records.iter().enumerate() {
        view.push(
            Message {
                topic: "orders",
                partition: 0,
                offset: offset as i64,
                timestamp: 1_700_000_000_000,
                append_time: false,
                key: None,
                value: Some(record.as_bytes()),
                headers: &[],
            },
            &CONVERTERS,
            schemas,
        );
    }
    view
}

fn bench(criterion: &mut Criterion<CpuTime>) {
    for (name, make) in [("r300", r300 as fn(usize) -> String), ("r1k", r1k)] {
        let records: Vec<String> = (0..RECORDS).map(make).collect();
        let read = [Column::value(["email"])];
        let write = [Column::value(["site"]), Column::value(["note"]), Column::value(["v"]), Column::value(["email"])];
        let mut edits = EditsWriter::new(RECORDS);
        edits.set_constant(0, &Value::string("berlin")).remove(1).remove(2).set_constant(3, &Value::string("****"));
        edits.only(|row| row % 16 != 0);
        let arena = edits.finish().expect("edits");
        let edits = EditsReader::parse(&arena, RECORDS, write.len()).expect("edits");
        let reshapes = Reshapes::new();

        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(RECORDS as u64));
        group.bench_function("scan", |bencher| {
            let mut scanner = Scanner::new();
            let mut slots = Vec::new();
            bencher.iter(|| {
                slots.clear();
                for record in &records {
                    black_box(scanner.index(record.as_bytes(), &mut slots).expect("JSON"));
                }
            });
        });
        let mut schemas = SchemaTable::default();
        group.bench_function("index", |bencher| {
            let mut workspace = Some(Workspace::default());
            bencher.iter(|| {
                let view = filled(&records, workspace.take().unwrap_or_default(), &mut schemas);
                workspace = Some(black_box(view).into_workspace());
            });
        });
        group.bench_function("project", |bencher| {
            let mut view = filled(&records, Workspace::default(), &mut schemas);
            let rows = view.rows();
            let mut out = ColumnsWriter::new();
            bencher.iter(|| {
                view.columns(&rows, &read, &schemas, &mut out);
                black_box(out.finish().expect("columns"));
            });
        });
        group.bench_function("apply", |bencher| {
            bencher.iter_batched_ref(
                || (filled(&records, Workspace::default(), &mut SchemaTable::default()), SchemaTable::default()),
                |(view, schemas)| {
                    let rows = view.rows();
                    view.apply(&rows, &edits, &write, &reshapes, schemas).expect("edits that fit");
                },
                BatchSize::LargeInput,
            );
        });
        let mut view = filled(&records, Workspace::default(), &mut schemas);
        let rows = view.rows();
        view.apply(&rows, &edits, &write, &reshapes, &mut schemas).expect("edits that fit");
        group.bench_function("splice", |bencher| {
            let mut out = Vec::new();
            bencher.iter(|| {
                out.clear();
                for record in 0..RECORDS {
                    black_box(view.write_value(record, CONVERTERS.value, &schemas, &mut out));
                }
            });
        });
        for (form, encoding) in [("batch text", Encoding::Text), ("batch tlv", Encoding::Tlv)] {
            group.bench_function(form, |bencher| {
                let mut batch = tidegate_record::BatchWriter::new(Encoding::Tlv, encoding);
                bencher.iter(|| {
                    batch.clear();
                    black_box(view.write_batch(&rows, Encoding::Tlv, encoding, &schemas, &mut batch));
                    black_box(batch.finish().expect("a batch"));
                });
            });
        }
        group.bench_function("whole chain", |bencher| {
            let mut workspace = Some(Workspace::default());
            let (mut columns, mut out) = (ColumnsWriter::new(), Vec::new());
            bencher.iter(|| {
                let mut view = filled(&records, workspace.take().unwrap_or_default(), &mut schemas);
                let rows = view.rows();
                view.columns(&rows, &read, &schemas, &mut columns);
                black_box(columns.finish().expect("columns"));
                view.apply(&rows, &edits, &write, &reshapes, &mut schemas).expect("edits that fit");
                out.clear();
                for record in 0..RECORDS {
                    black_box(view.write_value(record, CONVERTERS.value, &schemas, &mut out));
                }
                workspace = Some(view.into_workspace());
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = bench
}
criterion_main!(benches);
