//! Between JSON and TLV, through the view of a batch: what a sink that asks for whole values costs on a topic of JSON, and
//! what a source that makes structured records costs on the way to one.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use tidegate_bench::records::Shape;
use tidegate_record::value::JsonOptions;
use tidegate_record::view::{View, Workspace};
use tidegate_record::{BatchReader, BatchWriter, Encoding, SchemaTable};

use crate::cpu;
use crate::guests::{CONVERTERS, view};

const BATCH: usize = 500;

pub(crate) fn bench(criterion: &mut Criterion) {
    let values: Vec<Vec<u8>> = (0..BATCH)
        .map(|i| {
            let mut value = Vec::new();
            Shape::Json.write(i, &mut value);
            value
        })
        .collect();
    let mut schemas = SchemaTable::default();
    let mut group = criterion.benchmark_group("json and tlv");
    group.throughput(Throughput::Elements(BATCH as u64));

    let mut batch = BatchWriter::new(Encoding::Tlv, Encoding::Tlv);
    let mut workspace = Some(Workspace::default());
    group.bench_function(BenchmarkId::from_parameter("json to tlv"), |bencher| {
        bencher.iter_custom(|count| {
            let before = cpu::now();
            for _ in 0..count {
                let mut view = view(&values, workspace.take().unwrap_or_default(), &mut schemas);
                let rows = view.rows();
                batch.clear();
                black_box(view.write_batch(&rows, Encoding::Tlv, Encoding::Tlv, &schemas, &mut batch));
                black_box(batch.finish().expect("a batch"));
                workspace = Some(view.into_workspace());
            }
            cpu::now() - before
        });
    });

    let arena = {
        let mut view = view(&values, Workspace::default(), &mut schemas);
        let rows = view.rows();
        batch.clear();
        assert_eq!(view.write_batch(&rows, Encoding::Tlv, Encoding::Tlv, &schemas, &mut batch).len(), BATCH);
        batch.finish().expect("a batch").to_vec()
    };
    let mut workspace = Some(Workspace::default());
    let mut out = Vec::new();
    group.bench_function(BenchmarkId::from_parameter("tlv to json"), |bencher| {
        bencher.iter_custom(|count| {
            let before = cpu::now();
            for _ in 0..count {
                let reader = BatchReader::parse(&arena).expect("own batches are good");
                let mut view = View::new(workspace.take().unwrap_or_default(), JsonOptions::default());
                view.push_batch(&reader, &schemas);
                out.clear();
                for record in 0..BATCH {
                    black_box(view.write_value(record, CONVERTERS.value, &schemas, &mut out));
                }
                workspace = Some(view.into_workspace());
            }
            cpu::now() - before
        });
    });
    group.finish();
}
