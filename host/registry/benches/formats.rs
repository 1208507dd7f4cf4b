//! What a record costs to read and to write in each format, beside JSON that carries its schema: ten fields, one of them a
//! struct, one a list. Times are CPU time of the thread per batch of 500.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use tidegate_record::value::{JsonOptions, Value};
use tidegate_record::view::{
    CellScratch, Converter, Converters, HeaderConverter, Message, Positions, Side, Tree, View, Workspace,
};
use tidegate_record::{Cell, Schema, SchemaTable};
use tidegate_registry::{avro, json, protobuf};

const RECORDS: usize = 500;
const PREFIX: [u8; 5] = [0, 0, 0, 0, 1];

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

const SCHEMA: &str = r#"{"type":"struct","optional":false,"name":"shop.Order","fields":[
    {"field":"id","type":"int64","optional":false},{"field":"user","type":"string","optional":false},
    {"field":"email","type":"string","optional":true},{"field":"active","type":"boolean","optional":false},
    {"field":"score","type":"double","optional":false},
    {"field":"address","type":"struct","optional":false,"name":"shop.Address","fields":[
        {"field":"street","type":"string","optional":false},{"field":"city","type":"string","optional":false}]},
    {"field":"tags","type":"array","optional":false,"items":{"type":"string","optional":false}},
    {"field":"count","type":"int32","optional":false},{"field":"note","type":"string","optional":true},
    {"field":"version","type":"int32","optional":false}]}"#;

fn order(i: usize) -> String {
    format!(
        r#"{{"id":{},"user":"user-{}","email":"someone.{}@example.org","active":{},"score":{}.{:02},"address":{{"street":"{} Long Lane","city":"Utrecht"}},"tags":["alpha","beta","n{}"],"count":{},"note":"plain text of some length","version":{}}}"#,
        100_000 + i,
        i % 977,
        i,
        i.is_multiple_of(2),
        i % 100,
        i % 89,
        i % 300,
        i % 7,
        i % 28,
        i % 3
    )
}

fn filled<'a>(
    records: &'a [Vec<u8>],
    converter: Converter,
    workspace: Workspace,
    schemas: &mut SchemaTable,
) -> View<'a> {
    let converters = Converters { key: Converter::String, value: converter, header: HeaderConverter::Simple };
    let mut view = View::new(workspace, JsonOptions::default());
    for (offset, record) in records.iter().enumerate() {
        let message = Message {
            topic: "orders",
            partition: 0,
            offset: offset as i64,
            timestamp: 1_700_000_000_000,
            append_time: false,
            key: None,
            value: Some(record),
            headers: &[],
        };
        view.push(message, &converters, schemas);
    }
    view
}

fn bench(criterion: &mut Criterion<CpuTime>) {
    let schema = Schema::from_json(SCHEMA).expect("a schema");
    let mut schemas = SchemaTable::default();
    let id = schemas.define(&schema).expect("room");
    let orders: Vec<String> = (0..RECORDS).map(order).collect();
    let trees: Vec<Value> = orders
        .iter()
        .map(|order| Value::from_json_with(order, &schema, &JsonOptions::default()).expect("a value"))
        .collect();

    let avro_text = avro::schema_text(Some(&schema), &avro::Options::default()).expect("Avro");
    let avro_decoder = avro::Decoder::new(&avro_text, &[], None, &avro::Options::default()).expect("Avro");
    let avro_encoder =
        avro::Encoder::new(Some(&schema), &avro_text, &[], true, &avro::Options::default()).expect("Avro");
    let options = protobuf::Options { optional_for_nullables: true, ..protobuf::Options::default() };
    let (proto_text, _) = protobuf::schema_text(Some(&schema), &options).expect("Protobuf");
    let proto_decoder = protobuf::Decoder::new(&proto_text, &[], &[0], None, &options).expect("Protobuf");
    let proto_encoder = protobuf::Encoder::new(Some(&schema), &proto_text, &[], true, &options).expect("Protobuf");
    let (json_text, _) = json::schema_text(Some(&schema), &json::Options::default()).expect("JSON Schema");
    let json_decoder = json::Decoder::new(&json_text, &[], None, &json::Options::default()).expect("JSON Schema");
    let json_encoder =
        json::Encoder::new(Some(&schema), &json_text, &[], &json::Options::default()).expect("JSON Schema");

    let encode_avro = |view: &View<'_>,
                       record,
                       schemas: &SchemaTable,
                       positions: &mut Positions,
                       scratch: &mut CellScratch,
                       out: &mut Vec<u8>| {
        let mut each = |at: Option<usize>, cell: Cell<'_>, names: &[&str]| match at {
            Some(at) => avro_encoder.field(at, cell, names, out),
            None => avro_encoder.whole(cell, names, out),
        };
        view.each_cell(record, Side::Value, avro_encoder.fields(), schemas, positions, scratch, &mut each)
            .expect("a datum");
    };
    let encode_proto = |view: &View<'_>,
                        record,
                        schemas: &SchemaTable,
                        positions: &mut Positions,
                        scratch: &mut CellScratch,
                        out: &mut Vec<u8>| {
        proto_encoder.begin(out);
        let mut each = |at: Option<usize>, cell: Cell<'_>, names: &[&str]| match at {
            Some(at) => proto_encoder.field(at, cell, names, out),
            None => proto_encoder.whole(cell, names, out),
        };
        view.each_cell(record, Side::Value, proto_encoder.fields(), schemas, positions, scratch, &mut each)
            .expect("a message");
    };

    // The records of each format, made by the encoders themselves.
    let mut view = View::new(Workspace::default(), JsonOptions::default());
    for tree in &trees {
        let message = Message {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp: 0,
            append_time: false,
            key: None,
            value: None,
            headers: &[],
        };
        let null = Tree { schema: Default::default(), value: Value::Null };
        view.push_trees(&message, null, Tree { schema: id, value: tree.clone() }, Vec::new(), &schemas);
    }
    let made = |encode: &dyn Fn(usize, &mut Vec<u8>)| -> Vec<Vec<u8>> {
        let record = |record| {
            let mut out = PREFIX.to_vec();
            encode(record, &mut out);
            out
        };
        (0..RECORDS).map(record).collect()
    };
    let avro_records = made(&|record, out| {
        encode_avro(&view, record, &schemas, &mut Positions::default(), &mut CellScratch::default(), out)
    });
    let proto_records = made(&|record, out| {
        encode_proto(&view, record, &schemas, &mut Positions::default(), &mut CellScratch::default(), out)
    });
    let json_records = made(&|record, out| out.extend_from_slice(orders[record].as_bytes()));
    let text = schemas.text(id).expect("a text").clone();
    let envelopes: Vec<Vec<u8>> =
        orders.iter().map(|order| format!(r#"{{"schema":{text},"payload":{order}}}"#).into_bytes()).collect();

    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("json with schema", |bencher| {
        let mut workspace = Some(Workspace::default());
        bencher.iter(|| {
            let view = filled(
                &envelopes,
                Converter::Json { schemas: true },
                workspace.take().unwrap_or_default(),
                &mut schemas,
            );
            workspace = Some(black_box(view).into_workspace());
        });
    });
    group.bench_function("json schema", |bencher| {
        let mut workspace = Some(Workspace::default());
        bencher.iter(|| {
            let mut view = filled(&json_records, Converter::Bytes, workspace.take().unwrap_or_default(), &mut schemas);
            for record in 0..RECORDS {
                json_decoder.read(&mut view, record, Side::Value, id, &schemas).expect("a payload");
            }
            workspace = Some(black_box(view).into_workspace());
        });
    });
    group.bench_function("avro", |bencher| {
        let mut workspace = Some(Workspace::default());
        bencher.iter(|| {
            let mut view = filled(&avro_records, Converter::Bytes, workspace.take().unwrap_or_default(), &mut schemas);
            let target = view.target(id, &schemas);
            for record in 0..RECORDS {
                view.decode_with(record, Side::Value, target, |bytes, out| avro_decoder.decode(&bytes[5..], out))
                    .expect("a datum");
            }
            workspace = Some(black_box(view).into_workspace());
        });
    });
    let proto_id = schemas.define(proto_decoder.schema()).expect("room");
    group.bench_function("protobuf", |bencher| {
        let mut workspace = Some(Workspace::default());
        bencher.iter(|| {
            let mut view = filled(&proto_records, Converter::Bytes, workspace.take().unwrap_or_default(), &mut schemas);
            let target = view.target(proto_id, &schemas);
            for record in 0..RECORDS {
                view.decode_with(record, Side::Value, target, |bytes, out| proto_decoder.decode(&bytes[6..], out))
                    .expect("a message");
            }
            workspace = Some(black_box(view).into_workspace());
        });
    });
    group.finish();

    // Written from what was read, which is how fields of a source's batch lie, too.
    let mut group = criterion.benchmark_group("write");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let mut view = filled(&avro_records, Converter::Bytes, Workspace::default(), &mut schemas);
    let target = view.target(id, &schemas);
    for record in 0..RECORDS {
        view.decode_with(record, Side::Value, target, |bytes, out| avro_decoder.decode(&bytes[5..], out))
            .expect("a datum");
    }
    let mut out = Vec::new();
    group.bench_function("json with schema", |bencher| {
        bencher.iter(|| {
            out.clear();
            for record in 0..RECORDS {
                black_box(view.write_value(record, Converter::Json { schemas: true }, &schemas, &mut out));
            }
        });
    });
    group.bench_function("json schema", |bencher| {
        bencher.iter(|| {
            out.clear();
            for record in 0..RECORDS {
                json_encoder.write(&mut view, record, Side::Value, &schemas, &mut out).expect("a payload");
            }
        });
    });
    let mut scratch = CellScratch::default();
    group.bench_function("avro", |bencher| {
        bencher.iter(|| {
            out.clear();
            let mut positions = Positions::default();
            for record in 0..RECORDS {
                encode_avro(&view, record, &schemas, &mut positions, &mut scratch, &mut out);
            }
        });
    });
    group.bench_function("protobuf", |bencher| {
        bencher.iter(|| {
            out.clear();
            let mut positions = Positions::default();
            for record in 0..RECORDS {
                encode_proto(&view, record, &schemas, &mut positions, &mut scratch, &mut out);
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = bench
}
criterion_main!(benches);
