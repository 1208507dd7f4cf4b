//! Random schemas with values of them.

use std::sync::Arc;

use proptest::prelude::*;
use tidegate_record::decimal::Decimal;
use tidegate_record::schema::{Field, Kind, Schema};
use tidegate_record::value::{Members, Value};

/// A schema and a value of it.
pub(crate) type Sample = (Schema, Value);

fn scalar() -> impl Strategy<Value = Sample> {
    prop_oneof![
        any::<bool>().prop_map(|v| (Schema::new(Kind::Boolean), Value::Boolean(v))),
        any::<i8>().prop_map(|v| (Schema::new(Kind::Int8), Value::Int8(v))),
        any::<i16>().prop_map(|v| (Schema::new(Kind::Int16), Value::Int16(v))),
        any::<i32>().prop_map(|v| (Schema::new(Kind::Int32), Value::Int32(v))),
        any::<i64>().prop_map(|v| (Schema::new(Kind::Int64), Value::Int64(v))),
        (-1e6f32..1e6).prop_map(|v| (Schema::new(Kind::Float32), Value::Float32(v))),
        (-1e9f64..1e9).prop_map(|v| (Schema::new(Kind::Float64), Value::Float64(v))),
        "\\PC{0,12}".prop_map(|v| (Schema::new(Kind::String), Value::String(v))),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(|v| (Schema::new(Kind::Bytes), Value::Bytes(v))),
        (-719_000i32..2_900_000).prop_map(|v| (Schema::date(), Value::Date(v))),
        (0i32..86_400_000).prop_map(|v| (Schema::time(), Value::Time(v))),
        (-62_000_000_000_000i64..200_000_000_000_000).prop_map(|v| (Schema::timestamp(), Value::Timestamp(v))),
        any::<i64>().prop_map(|v| {
            let unscaled = Decimal::parse(&v.to_string()).expect("a number").unscaled;
            (Schema::decimal(2), Value::Decimal(Decimal { scale: 2, unscaled }))
        }),
    ]
}

/// The same schema, optional, with its value or null.
fn optional(sample: impl Strategy<Value = Sample>) -> impl Strategy<Value = Sample> {
    (sample, 0..3u8).prop_map(|((schema, value), choice)| match choice {
        0 => (schema, value),
        1 => (schema.optional(), value),
        _ => (schema.optional(), Value::Null),
    })
}

/// A struct with a name, whose fields are scalars, lists, maps and structs. `deep`: also lists of lists.
pub(crate) fn record(deep: bool) -> impl Strategy<Value = Sample> {
    let leaf = optional(scalar()).boxed();
    let inner = leaf.prop_recursive(3, 24, 4, move |inner| {
        let items = if deep { inner.clone().boxed() } else { scalar().boxed() };
        prop_oneof![
            2 => list(items.clone()),
            1 => map(items),
            2 => fields(inner),
        ]
    });
    fields(inner.boxed())
}

fn list(item: BoxedStrategy<Sample>) -> BoxedStrategy<Sample> {
    (item, 0..4usize)
        .prop_map(|((schema, value), count)| {
            (Schema::new(Kind::Array(Arc::new(schema))), Value::Array(vec![value; count]))
        })
        .boxed()
}

fn map(value: BoxedStrategy<Sample>) -> BoxedStrategy<Sample> {
    (value, prop::collection::btree_set("[a-z]{1,4}", 0..4))
        .prop_map(|((schema, value), keys)| {
            let members: Members = keys.into_iter().map(|key| (key, value.clone())).collect();
            (Schema::new(Kind::Map(Arc::new(Schema::new(Kind::String)), Arc::new(schema))), Value::Map(members))
        })
        .boxed()
}

fn fields(inner: BoxedStrategy<Sample>) -> BoxedStrategy<Sample> {
    (prop::collection::vec(inner, 1..5), "[A-Z][a-z]{5,12}", 0..1_000_000u32)
        .prop_map(|(samples, name, number)| {
            let (mut fields, mut members) = (Vec::new(), Members::new());
            for (at, (schema, value)) in samples.into_iter().enumerate() {
                let name = format!("f{at}");
                members.insert(name.clone(), value);
                fields.push(Field { name, schema: Arc::new(schema) });
            }
            // Names are unique, for two types of one name are an error.
            (Schema::new(Kind::Struct(fields)).named(format!("test.{name}{number}")), Value::Struct(members))
        })
        .boxed()
}
