//! The sink's configuration, read once.

use crate::quote;
use tidegate_sdk::{Config, Definition, Encoding, Error, Key, Problem, Result};

pub(super) const PK_KAFKA: [&str; 3] = ["__connect_topic", "__connect_partition", "__connect_offset"];

/// How a record meets a row that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InsertMode {
    Insert,
    Upsert,
    Update,
}

/// Where primary keys come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PkMode {
    None,
    Kafka,
    RecordKey,
    RecordValue,
}

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) path: String,
    pub(super) connector: String,
    pub(super) table_format: String,
    pub(super) insert_mode: InsertMode,
    pub(super) pk_mode: PkMode,
    pub(super) pk_fields: Vec<String>,
    /// Empty: all fields.
    pub(super) whitelist: Vec<String>,
    pub(super) auto_create: bool,
    pub(super) auto_evolve: bool,
    pub(super) delete: bool,
    pub(super) exactly_once: bool,
    pub(super) positions_table: String,
}

pub(super) fn definition() -> Definition {
    Definition::sink("SqliteSink")
        .doc("Writes records as rows of the tables of an SQLite database.")
        .encoding(Encoding::Tlv)
        .exactly_once()
        .key(
            Key::path_write("db.path")
                .database()
                .high()
                .required()
                .doc("The database file. It is made if it is not there; its directory must be there."),
        )
        .key(
            Key::string("table.name.format")
                .default("${topic}")
                .non_empty()
                .doc("The table of a record; ${topic} is replaced by the record's topic."),
        )
        .key(Key::string("insert.mode").default("insert").one_of(&["insert", "upsert", "update"]).high().doc(
            "insert: a row more; upsert: the row with the same primary key is changed, or a row made; update: the row with \
             the same primary key is changed, if there is one.",
        ))
        .key(Key::string("pk.mode").default("none").one_of(&["none", "kafka", "record_key", "record_value"]).high().doc(
            "Where the primary key comes from: none; kafka: topic, partition and offset; record_key: the record's key, or \
             fields of it; record_value: fields of its value.",
        ))
        .key(Key::list("pk.fields").doc(
            "The columns of the primary key. Unless set: __connect_topic, __connect_partition and __connect_offset with \
             pk.mode=kafka, else all fields; a key that is one value needs one name.",
        ))
        .key(Key::list("fields.whitelist").doc("The fields of the value that are written. Unless set: all."))
        .key(Key::boolean("auto.create").default(false).doc("Whether to make a table that is missing."))
        .key(Key::boolean("auto.evolve").default(false).doc("Whether to add columns that are missing."))
        .key(
            Key::boolean("delete.enabled")
                .default(false)
                .doc("Whether a record without value deletes the row of its key; needs pk.mode=record_key."),
        )
        .key(Key::string("positions.table").default("tidegate_positions").non_empty().low().doc(
            "With delivery.guarantee=exactly_once: the table that keeps how far each partition is written, one row per \
             connector, topic and partition.",
        ))
}

impl Settings {
    pub(super) fn of(config: &Config) -> Result<Settings> {
        if let Some(problem) = problems(config).into_iter().next() {
            return Err(Error::InvalidConfig(problem));
        }
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let pk_mode = match config.string("pk.mode")? {
            "kafka" => PkMode::Kafka,
            "record_key" => PkMode::RecordKey,
            "record_value" => PkMode::RecordValue,
            _ => PkMode::None,
        };
        let mut pk_fields = owned(config.list("pk.fields"));
        if pk_mode == PkMode::Kafka && pk_fields.is_empty() {
            pk_fields = owned(PK_KAFKA.to_vec());
        }
        Ok(Settings {
            path: config.string("db.path")?.to_owned(),
            connector: config.get("name").unwrap_or_default().to_owned(),
            table_format: config.string("table.name.format")?.to_owned(),
            insert_mode: match config.string("insert.mode")? {
                "upsert" => InsertMode::Upsert,
                "update" => InsertMode::Update,
                _ => InsertMode::Insert,
            },
            pk_mode,
            pk_fields,
            whitelist: owned(config.list("fields.whitelist")),
            auto_create: config.boolean("auto.create")?,
            auto_evolve: config.boolean("auto.evolve")?,
            delete: config.boolean("delete.enabled")?,
            exactly_once: config.get("delivery.guarantee") == Some("exactly_once"),
            positions_table: config.string("positions.table")?.to_owned(),
        })
    }

    /// The table of a topic.
    pub(super) fn table(&self, topic: &str) -> String {
        self.table_format.replace("${topic}", topic)
    }
}

/// What keys say of one another, and no single key's rules do.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let get = |key: &str| config.get(key).unwrap_or_default();
    let mut problems = Vec::new();
    let pk_mode = get("pk.mode");
    if matches!(get("insert.mode"), "upsert" | "update") && pk_mode == "none" {
        problems.push(Problem::new(
            "insert.mode",
            format!("is {}, which finds rows by their primary key: pk.mode must not be none", get("insert.mode")),
        ));
    }
    if get("delete.enabled") == "true" && pk_mode != "record_key" {
        problems.push(Problem::new("delete.enabled", "is true, which needs pk.mode=record_key"));
    }
    if pk_mode == "kafka" && !matches!(config.list("pk.fields").len(), 0 | 3) {
        problems.push(Problem::new("pk.fields", "must be three names with pk.mode=kafka: topic, partition and offset"));
    }
    if !quote::is_possible(get("positions.table")) {
        problems.push(Problem::new("positions.table", "is not the name of a table"));
    }
    problems
}
