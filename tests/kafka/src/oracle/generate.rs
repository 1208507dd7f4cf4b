//! Random questions: records, configurations of every transform, predicate and converter of Kafka Connect, and schemas, made
//! to meet each other. All chance comes from one seed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use fastrand::Rng;
use serde_json::{Map, Value, json};

const NAMES: &[&str] = &["a", "b", "c", "id", "n", "a.b", "x y", "\u{e9}"];
/// How configurations call fields: mostly by their names.
const PATHS: &[&str] = &["a", "b", "c", "id", "n", "a.b", "n.a", "n.b", "`a.b`", "n.`a.b`", "a.b.c", "zz", "\u{e9}"];
const TEXTS: &[&str] = &[
    "",
    "x",
    "42",
    "-7",
    "3.5",
    "1e3",
    "true",
    "FALSE",
    "NaN",
    " 5 ",
    "0x1F",
    "127",
    "128",
    "9223372036854775808",
    "1970-01-01",
    "2023-11-14 22:13:20",
    "2023-11-14T22:13:20.123Z",
    "22:13:20",
    "\u{e9}\u{1f600}",
    "a\"b\\c",
    "[1,2,3]",
    "{\"a\":1}",
    "null",
    "+3",
    "1.0",
    "1_0",
    "12d",
    "1f",
    ".5",
    "5.",
];
const INTS: &[i64] = &[
    0,
    1,
    -1,
    7,
    127,
    128,
    -128,
    -129,
    255,
    32_767,
    32_768,
    65_536,
    2_147_483_647,
    2_147_483_648,
    -2_147_483_649,
    1_700_000_000,
    1_700_000_000_123,
    i64::MAX,
    i64::MIN,
];
const FLOATS: &[f64] = &[0.0, -0.0, 0.5, 1.0, -2.25, 3.125, 127.9, 1e10, 1e300, 5e-324, 0.1, 123_456_789.125];
const DATES: &[i64] =
    &[0, 86_400_000, 1_700_000_000_123, -1, 951_782_400_000, 253_402_300_799_999, -62_135_596_800_000];
const TYPES: &[&str] = &["int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string", "bytes"];

/// A stream of questions.
pub(super) struct Questions {
    rng: Rng,
    seed: u64,
    count: u64,
}

impl Questions {
    pub(super) fn new(seed: u64) -> Questions {
        Questions { rng: Rng::with_seed(seed), seed, count: 0 }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(..from.len())]
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(..100) < percent
    }

    fn id(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.seed, self.count)
    }

    /// Some questions about one configuration.
    pub(super) fn next(&mut self) -> Vec<Value> {
        match self.rng.u32(..100) {
            0..72 => {
                let (class, config) = self.transform();
                self.about("transform", &class, config)
            }
            72..78 => {
                let (class, config) = self.predicate();
                self.about("predicate", class, config)
            }
            _ => self.conversions(),
        }
    }

    fn about(&mut self, kind: &str, class: &str, config: Map<String, Value>) -> Vec<Value> {
        let class = format!("org.apache.kafka.connect.transforms.{class}");
        (0..6)
            .map(|_| {
                let (id, input) = (self.id(), self.record());
                json!({ "id": id, kind: class, "config": config, "input": input })
            })
            .collect()
    }

    /// Takes back what Connect wrote, as it is or damaged, so that reading is asked about what reading is for.
    pub(super) fn back(&mut self, question: &Value, answer: &Value) -> Option<Value> {
        let op = match question["op"].as_str()? {
            "fromConnectData" => "toConnectData",
            "fromConnectHeader" => "toConnectHeader",
            _ => return None,
        };
        let mut bytes = BASE64.decode(answer["output"]["base64"].as_str()?).ok()?;
        if self.chance(25) && !bytes.is_empty() {
            let at = self.rng.usize(..bytes.len());
            match self.rng.u8(..3) {
                0 => bytes[at] = self.pick(b"0\"{}[],:-tn e.x"),
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        let mut question = question.clone();
        question["id"] = json!(self.id());
        question["op"] = json!(op);
        question["input"] = bytes_json(&bytes);
        Some(question)
    }

    fn conversions(&mut self) -> Vec<Value> {
        const PLAIN: &[&str] = &["Boolean", "Short", "Integer", "Long", "Float", "Double", "ByteArray"];
        let mut config = Map::new();
        let (class, is_header) = match self.rng.u32(..10) {
            0..5 => {
                if self.chance(60) {
                    config.insert("schemas.enable".to_owned(), json!(self.pick(&["true", "false"])));
                }
                if self.chance(40) {
                    config.insert("decimal.format".to_owned(), json!(self.pick(&["BASE64", "NUMERIC", "numeric"])));
                }
                if self.chance(30) {
                    config.insert("replace.null.with.default".to_owned(), json!(self.pick(&["true", "false"])));
                }
                ("org.apache.kafka.connect.json.JsonConverter".to_owned(), false)
            }
            5..7 => ("org.apache.kafka.connect.storage.SimpleHeaderConverter".to_owned(), true),
            7 => {
                if self.chance(50) {
                    let charset = self.pick(&["UTF-8", "ISO-8859-1", "UTF-16", "US-ASCII"]);
                    config.insert("converter.encoding".to_owned(), json!(charset));
                }
                ("org.apache.kafka.connect.storage.StringConverter".to_owned(), false)
            }
            _ => (format!("org.apache.kafka.connect.converters.{}Converter", self.pick(PLAIN)), false),
        };
        (0..6)
            .map(|_| {
                let (op, input) = match (is_header, self.chance(70)) {
                    (true, true) => ("fromConnectHeader", self.typed()),
                    (true, false) => ("toConnectHeader", self.text_bytes()),
                    (false, true) => ("fromConnectData", self.typed()),
                    (false, false) => ("toConnectData", self.text_bytes()),
                };
                json!({ "id": self.id(), "converter": class, "config": config, "isKey": self.chance(30), "op": op, "input": input })
            })
            .collect()
    }

    fn typed(&mut self) -> Value {
        let (schema, value) = self.side();
        json!({ "schema": schema, "value": value })
    }

    fn text_bytes(&mut self) -> Value {
        if self.chance(10) {
            return Value::Null;
        }
        match self.rng.u32(..3) {
            0 => bytes_json(self.pick(TEXTS).as_bytes()),
            1 => {
                let count = self.rng.usize(..12);
                let bytes: Vec<u8> = (0..count).map(|_| self.rng.u8(..)).collect();
                bytes_json(&bytes)
            }
            _ => {
                let text = self.plain(2).to_string();
                bytes_json(text.as_bytes())
            }
        }
    }

    /// JSON as other systems write it.
    fn plain(&mut self, depth: u32) -> Value {
        match self.rng.u32(..if depth == 0 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.rng.bool()),
            2 => json!(self.pick(INTS)),
            3 => json!(self.pick(FLOATS)),
            4 => json!(self.pick(TEXTS)),
            5 => (0..self.rng.usize(..3)).map(|_| self.plain(depth - 1)).collect(),
            _ => {
                let count = self.rng.usize(..4);
                Value::Object((0..count).map(|_| (self.pick(NAMES).to_owned(), self.plain(depth - 1))).collect())
            }
        }
    }

    fn record(&mut self) -> Value {
        let ((key_schema, key), (value_schema, value)) = (self.side(), self.side());
        let headers: Vec<Value> = (0..self.rng.usize(..4))
            .map(|_| {
                let (schema, value) = self.scalar_or_any();
                json!({ "name": self.pick(&["h1", "h2", "h3"]), "schema": schema, "value": value })
            })
            .collect();
        let is_sink = self.chance(70);
        let timestamp = if self.chance(15) { Value::Null } else { json!(self.pick(&DATES[..3])) };
        let partition = if is_sink || self.chance(50) { json!(self.rng.u8(..5)) } else { Value::Null };
        let mut record = json!({
            "kind": if is_sink { "sink" } else { "source" },
            "topic": self.pick(&["topic-a", "t", "orders_eu.v1", "Topic-9"]),
            "partition": partition,
            "timestamp": timestamp,
            "keySchema": key_schema, "key": key, "valueSchema": value_schema, "value": value,
            "headers": headers,
        });
        if is_sink {
            record["offset"] = json!(self.rng.u16(..));
        }
        record
    }

    /// A schema (or none) and a value of it. Mostly something that has fields.
    fn side(&mut self) -> (Value, Value) {
        match self.rng.u32(..100) {
            0..38 => (Value::Null, self.map(3)),
            38..74 => {
                let schema = self.structure(3);
                let value = self.of(&schema);
                (schema, value)
            }
            _ => self.scalar_or_any(),
        }
    }

    fn scalar_or_any(&mut self) -> (Value, Value) {
        match self.rng.u32(..10) {
            0..3 => (Value::Null, self.free(2)),
            3 => (Value::Null, Value::Null),
            _ => {
                let schema = self.schema(2);
                let value = self.of(&schema);
                (schema, value)
            }
        }
    }

    fn map(&mut self, depth: u32) -> Value {
        let count = self.rng.usize(..6);
        let mut members: Vec<(&str, Value)> = Vec::new();
        for _ in 0..count {
            let name = self.pick(NAMES);
            if members.iter().all(|(known, _)| *known != name) {
                let value =
                    if name == "n" && depth > 0 { self.map(depth - 1) } else { self.free(depth.saturating_sub(1)) };
                members.push((name, value));
            }
        }
        members.sort_by_key(|(name, _)| *name);
        json!({ "map": members.into_iter().map(|(name, value)| json!([{ "string": name }, value])).collect::<Vec<_>>() })
    }

    /// A value without a schema.
    fn free(&mut self, depth: u32) -> Value {
        match self.rng.u32(..if depth == 0 { 12 } else { 16 }) {
            0 => Value::Null,
            1 => json!({ "boolean": self.rng.bool() }),
            2..5 => json!({ "int64": self.pick(INTS) }),
            5..7 => json!({ "float64": self.pick(FLOATS) }),
            7..10 => json!({ "string": self.pick(TEXTS) }),
            10..12 => {
                let schema = self.scalar_schema();
                self.required(&schema)
            }
            12 | 13 => json!({ "array": (0..self.rng.usize(..4)).map(|_| self.free(depth - 1)).collect::<Vec<_>>() }),
            _ => self.map(depth - 1),
        }
    }

    fn scalar_schema(&mut self) -> Value {
        const LOGICAL: &[(&str, &str)] =
            &[("int32", "Date"), ("int32", "Time"), ("int64", "Timestamp"), ("bytes", "Decimal")];
        if self.chance(25) {
            let (kind, name) = self.pick(LOGICAL);
            let mut schema = json!({
                "type": kind, "optional": self.chance(40), "name": format!("org.apache.kafka.connect.data.{name}"), "version": 1
            });
            if name == "Decimal" {
                schema["parameters"] = json!({ "scale": self.pick(&["0", "2", "5"]) });
            }
            return schema;
        }
        json!({ "type": self.pick(TYPES), "optional": self.chance(40) })
    }

    fn schema(&mut self, depth: u32) -> Value {
        let mut schema = match self.rng.u32(..if depth == 0 { 6 } else { 10 }) {
            0..6 => self.scalar_schema(),
            6 => json!({ "type": "array", "optional": self.chance(40), "items": self.schema(depth - 1) }),
            7 => {
                let keys = if self.chance(85) {
                    json!({ "type": "string", "optional": false })
                } else {
                    json!({ "type": "int32", "optional": false })
                };
                json!({ "type": "map", "optional": self.chance(40), "keys": keys, "values": self.schema(depth - 1) })
            }
            _ => return self.structure(depth - 1),
        };
        // A struct that is a default has the schema's builder for its schema, and Connect does not take it for one of its own.
        if self.chance(20) && !schema.to_string().contains("\"struct\"") {
            schema["default"] = self.required(&schema.clone());
        }
        self.metadata(&mut schema);
        schema
    }

    fn metadata(&mut self, schema: &mut Value) {
        if self.chance(10) {
            schema["doc"] = json!("of help");
        }
        if schema.get("name").is_none() && self.chance(10) {
            schema["name"] = json!("acme.Thing");
            if self.chance(50) {
                schema["version"] = json!(self.rng.u8(1..4));
            }
        }
        if schema.get("parameters").is_none() && self.chance(5) {
            schema["parameters"] = json!({ "p": "1" });
        }
    }

    fn structure(&mut self, depth: u32) -> Value {
        let mut fields: Vec<Value> = Vec::new();
        for _ in 0..self.rng.usize(..6) {
            let name = self.pick(NAMES);
            if fields.iter().any(|field| field["field"] == name) {
                continue;
            }
            let mut field = match depth {
                0 => self.scalar_schema(),
                _ if name == "n" => self.structure(depth - 1),
                depth => self.schema(depth - 1),
            };
            field["field"] = json!(name);
            fields.push(field);
        }
        let mut schema = json!({ "type": "struct", "optional": self.chance(30), "fields": fields });
        self.metadata(&mut schema);
        schema
    }

    fn of(&mut self, schema: &Value) -> Value {
        let may_be_null = schema["optional"] == true || schema.get("default").is_some();
        if may_be_null && self.chance(25) { Value::Null } else { self.required(schema) }
    }

    /// A value of a schema that is not null.
    fn required(&mut self, schema: &Value) -> Value {
        let kind = schema["type"].as_str().unwrap_or_default();
        match schema["name"].as_str().and_then(|name| name.strip_prefix("org.apache.kafka.connect.data.")) {
            Some("Date") => return json!({ "date": self.rng.i64(-800_000..800_000) / 10 * 86_400_000 }),
            Some("Time") => return json!({ "date": self.rng.i64(0..86_400_000) }),
            Some("Timestamp") => return json!({ "date": self.pick(DATES) }),
            Some("Decimal") => {
                let scale: i64 = schema["parameters"]["scale"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
                return json!({ "decimal": { "unscaled": self.pick(INTS).to_string(), "scale": scale } });
            }
            _ => {}
        }
        let int = self.pick(INTS);
        match kind {
            "int8" => json!({ "int8": int as i8 }),
            "int16" => json!({ "int16": int as i16 }),
            "int32" => json!({ "int32": int as i32 }),
            "int64" => json!({ "int64": int }),
            "float32" => match self.pick(FLOATS) as f32 {
                float if float.is_finite() => {
                    json!({ "float32": float.to_string().parse::<f64>().unwrap_or_default() })
                }
                _ => json!({ "float32": self.pick(&["NaN", "Infinity", "-Infinity"]) }),
            },
            "float64" if self.chance(8) => json!({ "float64": self.pick(&["NaN", "Infinity", "-Infinity"]) }),
            "float64" => json!({ "float64": self.pick(FLOATS) }),
            "boolean" => json!({ "boolean": self.rng.bool() }),
            "string" => json!({ "string": self.pick(TEXTS) }),
            "bytes" => json!({ "bytes": BASE64.encode(self.pick(TEXTS)) }),
            "array" => {
                let items = (0..self.rng.usize(..4)).map(|_| self.of(&schema["items"])).collect::<Vec<_>>();
                json!({ "array": items })
            }
            "map" => {
                let mut pairs: Vec<Value> = Vec::new();
                for _ in 0..self.rng.usize(..4) {
                    let key = self.required(&schema["keys"]);
                    if pairs.iter().all(|pair| pair[0] != key) {
                        pairs.push(json!([key, self.of(&schema["values"])]));
                    }
                }
                json!({ "map": pairs })
            }
            _ => {
                let fields = schema["fields"].as_array().cloned().unwrap_or_default();
                let fields =
                    fields.iter().map(|field| (field["field"].as_str().unwrap_or_default().to_owned(), self.of(field)));
                json!({ "struct": fields.collect::<Map<_, _>>() })
            }
        }
    }

    fn list(&mut self, from: &[&str]) -> String {
        let mut names: Vec<&str> = (0..self.rng.usize(1..4)).map(|_| self.pick(from)).collect();
        if self.chance(90) {
            names.dedup();
        }
        names.join(",")
    }

    fn predicate(&mut self) -> (&'static str, Map<String, Value>) {
        let mut config = Map::new();
        match self.rng.u32(..3) {
            0 => {
                config.insert("name".to_owned(), json!(self.pick(&["h1", "h9", ""])));
                ("predicates.HasHeaderKey", config)
            }
            1 => ("predicates.RecordIsTombstone", config),
            _ => {
                config.insert("pattern".to_owned(), json!(self.pick(REGEXES)));
                ("predicates.TopicNameMatches", config)
            }
        }
    }

    fn transform(&mut self) -> (String, Map<String, Value>) {
        let mut config = Map::new();
        let mut set = |key: &str, value: String| drop(config.insert(key.to_owned(), json!(value)));
        let both = |name: &str, is_key: bool| format!("{name}${}", if is_key { "Key" } else { "Value" });
        let is_key = self.chance(25);
        let class = match self.rng.u32(..16) {
            0 => {
                const TARGETS: &[&str] =
                    &["int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string"];
                let spec = match self.chance(35) {
                    true => self.pick(TARGETS).to_owned(),
                    false => {
                        let fields: Vec<String> = (0..self.rng.usize(1..4))
                            .map(|_| format!("{}:{}", self.pick(NAMES), self.pick(TARGETS)))
                            .collect();
                        fields.join(",")
                    }
                };
                set("spec", spec);
                both("Cast", is_key)
            }
            1 => {
                set("headers", self.list(&["h1", "h2", "h9"]));
                "DropHeaders".to_owned()
            }
            2 => {
                set("field", self.pick(PATHS).to_owned());
                if self.chance(60) {
                    set("field.syntax.version", self.pick(&["V1", "V2"]).to_owned());
                }
                both("ExtractField", is_key)
            }
            3 => "Filter".to_owned(),
            4 => {
                if self.chance(60) {
                    set("delimiter", self.pick(&[".", "_", "", "--"]).to_owned());
                }
                both("Flatten", is_key)
            }
            5 => {
                let fields = self.list(NAMES);
                let count = fields.split(',').count() + usize::from(self.chance(5));
                set("headers", (0..count).map(|at| ["x1", "h1", "x3", "x4"][at % 4]).collect::<Vec<_>>().join(","));
                set("fields", fields);
                set("operation", self.pick(&["copy", "move", "copy", "move", "cut"]).to_owned());
                both("HeaderFrom", is_key)
            }
            6 => {
                set("field", self.pick(NAMES).to_owned());
                both("HoistField", is_key)
            }
            7 => {
                for key in ["topic.field", "partition.field", "offset.field", "timestamp.field", "static.field"] {
                    if self.chance(40) {
                        set(key, format!("{}{}", self.pick(NAMES), self.pick(&["", "", "!", "?"])));
                    }
                }
                if self.chance(50) {
                    set("static.value", self.pick(TEXTS).to_owned());
                }
                both("InsertField", is_key)
            }
            8 => {
                set("header", self.pick(&["h1", "new"]).to_owned());
                set("value.literal", self.pick(TEXTS).to_owned());
                "InsertHeader".to_owned()
            }
            9 => {
                set("fields", self.list(NAMES));
                if self.chance(40) {
                    set("replacement", self.pick(TEXTS).to_owned());
                }
                both("MaskField", is_key)
            }
            10 => {
                set("regex", self.pick(REGEXES).to_owned());
                set("replacement", self.pick(&["x", "$1", "$0-y", "${topic}", "\\$1", "a$2b", "$"]).to_owned());
                "RegexRouter".to_owned()
            }
            11 => {
                if self.chance(40) {
                    set("exclude", self.list(NAMES));
                }
                if self.chance(40) {
                    set("include", self.list(NAMES));
                }
                if self.chance(50) {
                    let renames: Vec<String> = (0..self.rng.usize(1..3))
                        .map(|_| format!("{}:{}", self.pick(NAMES), self.pick(&["z", "a", "b", "n"])))
                        .collect();
                    set("renames", renames.join(","));
                }
                both("ReplaceField", is_key)
            }
            12 => {
                if self.chance(70) {
                    set("schema.name", self.pick(&["acme.New", ""]).to_owned());
                }
                if self.chance(50) {
                    set("schema.version", self.pick(&["1", "7"]).to_owned());
                }
                both("SetSchemaMetadata", is_key)
            }
            13 => {
                set("target.type", self.pick(&["string", "unix", "Date", "Time", "Timestamp", "date"]).to_owned());
                if self.chance(75) {
                    set("field", self.pick(NAMES).to_owned());
                }
                if self.chance(75) {
                    let format = self.pick(&[
                        "yyyy-MM-dd HH:mm:ss",
                        "yyyy-MM-dd",
                        "HH:mm:ss",
                        "EEE, d MMM yyyy",
                        "yyyy-MM-dd'T'HH:mm:ss.SSSX",
                    ]);
                    set("format", format.to_owned());
                }
                if self.chance(40) {
                    set(
                        "unix.precision",
                        self.pick(&["seconds", "milliseconds", "microseconds", "nanoseconds"]).to_owned(),
                    );
                }
                both("TimestampConverter", is_key)
            }
            14 => {
                set(
                    "topic.format",
                    self.pick(&["${topic}-${timestamp}", "x", "${timestamp}", "$1${topic}"]).to_owned(),
                );
                set("timestamp.format", self.pick(&["yyyyMMdd", "yyyy-MM", "HH:mm", "'q'yyyy", "yyyy 'x"]).to_owned());
                "TimestampRouter".to_owned()
            }
            _ => {
                set("fields", self.list(NAMES));
                "ValueToKey".to_owned()
            }
        };
        const NULLS: &[&str] = &[
            "Cast",
            "ExtractField",
            "HeaderFrom",
            "InsertField",
            "MaskField",
            "ReplaceField",
            "TimestampConverter",
            "ValueToKey",
        ];
        if NULLS.iter().any(|name| class.starts_with(name)) && self.chance(30) {
            config.insert("replace.null.with.default".to_owned(), json!(self.pick(&["true", "false"])));
        }
        (class, config)
    }
}

const REGEXES: &[&str] = &[
    "topic-(.*)",
    "(.*)",
    ".*",
    "t",
    "(?i)TOPIC-(\\w)",
    "([a-z]+)_([a-z]{2})\\.v\\d",
    "[^-]+-?.*",
    "(a|b)*",
    "\\p{Alpha}+",
    "(",
    "t??(.*+)",
];

fn bytes_json(bytes: &[u8]) -> Value {
    let mut json = json!({ "base64": BASE64.encode(bytes) });
    if let Ok(text) = std::str::from_utf8(bytes) {
        json["utf8"] = json!(text);
    }
    json
}
