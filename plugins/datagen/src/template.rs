//! What the records look like: one function and one schema per template.

use crate::chance::Chance;
use tidegate_sdk::{Field, Schema, Type, Value, logical};

/// 2025-01-01T00:00:00Z, when everything begins.
const START_MS: i64 = 1_735_689_600_000;

const COUNTRIES: [&str; 12] = ["US", "DE", "IN", "BR", "GB", "FR", "JP", "NG", "CA", "MX", "SE", "AU"];

/// A kind of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Template {
    Orders,
    Pageviews,
    Sensors,
}

/// What one record is made of.
pub(crate) struct Made {
    pub(crate) key: String,
    pub(crate) value: Value,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
}

impl Template {
    pub(crate) const NAMES: [&str; 3] = ["orders", "pageviews", "sensors"];

    pub(crate) fn of_name(name: &str) -> Option<Template> {
        match name {
            "orders" => Some(Template::Orders),
            "pageviews" => Some(Template::Pageviews),
            "sensors" => Some(Template::Sensors),
            _ => None,
        }
    }

    /// The schema of the values.
    pub(crate) fn schema(self) -> Schema {
        let time = || Schema::logical(Type::Int64, logical::TIMESTAMP);
        let (name, fields) = match self {
            Template::Orders => (
                "Order",
                vec![
                    Field::new("order_id", Schema::new(Type::Int64)),
                    Field::new("customer_id", Schema::new(Type::Int32)),
                    Field::new("product", Schema::new(Type::String)),
                    Field::new("quantity", Schema::new(Type::Int32)),
                    Field::new("unit_price", Schema::new(Type::Float64)),
                    Field::new("country", Schema::new(Type::String)),
                    Field::new("status", Schema::new(Type::String)),
                    Field::new("coupon", Schema::new(Type::String).with_optional(true)),
                    Field::new("ordered_at", time()),
                ],
            ),
            Template::Pageviews => (
                "Pageview",
                vec![
                    Field::new("view_id", Schema::new(Type::Int64)),
                    Field::new("user_id", Schema::new(Type::String)),
                    Field::new("url", Schema::new(Type::String)),
                    Field::new("referrer", Schema::new(Type::String).with_optional(true)),
                    Field::new("country", Schema::new(Type::String)),
                    Field::new("is_mobile", Schema::new(Type::Boolean)),
                    Field::new("duration_ms", Schema::new(Type::Int32)),
                    Field::new("viewed_at", time()),
                ],
            ),
            Template::Sensors => (
                "Reading",
                vec![
                    Field::new("sensor_id", Schema::new(Type::String)),
                    Field::new("temperature", Schema::new(Type::Float64)),
                    Field::new("humidity", Schema::new(Type::Float64)),
                    Field::new("battery_percent", Schema::new(Type::Int8)),
                    Field::new("position", position_schema()),
                    Field::new("measured_at", time()),
                ],
            ),
        };
        Schema { name: Some(format!("tidegate.datagen.{name}")), fields, ..Schema::new(Type::Struct) }
    }

    /// Record `index`, which lies `index` × `step_ms` after the beginning.
    pub(crate) fn make(self, seed: u64, index: u64, step_ms: f64) -> Made {
        let chance = &mut Chance::of(seed, index);
        let timestamp = START_MS.saturating_add((index as f64 * step_ms) as i64);
        let (key, fields) = match self {
            Template::Orders => order(chance, index, timestamp),
            Template::Pageviews => pageview(chance, index, timestamp),
            Template::Sensors => reading(chance, timestamp),
        };
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Made { key, value: Value::Struct(fields), timestamp }
    }
}

type Fields = Vec<(&'static str, Value)>;

fn order(chance: &mut Chance, index: u64, timestamp: i64) -> (String, Fields) {
    const PRODUCTS: [(&str, f64); 8] = [
        ("coffee beans", 14.5),
        ("teapot", 32.0),
        ("mug", 9.9),
        ("filter paper", 4.25),
        ("grinder", 79.0),
        ("kettle", 54.0),
        ("scale", 27.5),
        ("milk jug", 18.0),
    ];
    let customer = chance.skewed_below(5_000) as i32 + 1;
    let (product, price) = PRODUCTS[chance.skewed_below(PRODUCTS.len() as u64) as usize];
    // Prices move a little, in whole cents.
    let price = (price * (0.9 + 0.2 * chance.unit()) * 100.0).round() / 100.0;
    let coupon = (chance.below(5) == 0).then(|| format!("SAVE{}", 5 * (1 + chance.below(4))));
    let fields = vec![
        ("order_id", Value::Int64(index as i64 + 1)),
        ("customer_id", Value::Int32(customer)),
        ("product", product.into()),
        ("quantity", Value::Int32(chance.skewed_below(10) as i32 + 1)),
        ("unit_price", Value::Float64(price)),
        ("country", chance.one_of(&COUNTRIES).into()),
        ("status", chance.one_of(&["new", "paid", "shipped", "delivered", "returned"]).into()),
        ("coupon", coupon.into()),
        ("ordered_at", Value::Timestamp(timestamp)),
    ];
    (customer.to_string(), fields)
}

fn pageview(chance: &mut Chance, index: u64, timestamp: i64) -> (String, Fields) {
    let user = format!("user-{:05}", chance.skewed_below(20_000));
    let url = format!(
        "/{}/{}",
        chance.one_of(&["products", "articles", "help", "account", "search"]),
        chance.skewed_below(400)
    );
    let referrer = (chance.below(3) != 0)
        .then(|| chance.one_of(&["https://search.example/", "https://news.example/", "https://social.example/"]));
    let fields = vec![
        ("view_id", Value::Int64(index as i64 + 1)),
        ("user_id", user.as_str().into()),
        ("url", url.into()),
        ("referrer", referrer.into()),
        ("country", chance.one_of(&COUNTRIES).into()),
        ("is_mobile", Value::Boolean(chance.below(10) < 6)),
        ("duration_ms", Value::Int32(200 + chance.skewed_below(120_000) as i32)),
        ("viewed_at", Value::Timestamp(timestamp)),
    ];
    (user, fields)
}

fn reading(chance: &mut Chance, timestamp: i64) -> (String, Fields) {
    let number = chance.below(500);
    let sensor = format!("sensor-{number:03}");
    // Warm afternoons, cool nights, a place and a bit of noise of its own for every sensor.
    let hour = timestamp.rem_euclid(86_400_000) as f64 / 3_600_000.0;
    let daily = ((hour - 9.0) / 24.0 * std::f64::consts::TAU).sin() * 6.0;
    let temperature = 12.0 + (number % 15) as f64 + daily + chance.unit() - 0.5;
    let humidity = 70.0 - daily * 3.0 + 10.0 * (chance.unit() - 0.5);
    let rounded = |number: f64| Value::Float64((number * 100.0).round() / 100.0);
    let fields = vec![
        ("sensor_id", sensor.as_str().into()),
        ("temperature", rounded(temperature)),
        ("humidity", rounded(humidity)),
        ("battery_percent", Value::Int8(100 - (number % 60) as i8 - chance.below(5) as i8)),
        (
            "position",
            Value::Struct(vec![
                ("latitude".to_owned(), rounded(47.0 + (number / 25) as f64 * 0.3)),
                ("longitude".to_owned(), rounded(8.0 + (number % 25) as f64 * 0.25)),
            ]),
        ),
        ("measured_at", Value::Timestamp(timestamp)),
    ];
    (sensor, fields)
}

fn position_schema() -> Schema {
    let fields = ["latitude", "longitude"].map(|name| Field::new(name, Schema::new(Type::Float64)));
    Schema { name: Some("tidegate.datagen.Position".to_owned()), fields: fields.into(), ..Schema::new(Type::Struct) }
}
