//! The `$Key` and `$Value` variants of a transform, and what all of them say about keys and schemas.

use tidegate_sdk::{Columns, Config, Definition, Error, Key, Place, Problem, Result, Schema, Type};

/// Which of key and value a variant works on.
pub(crate) trait Side: 'static {
    const PLACE: Place;
    /// Behind the name of the transform.
    const SUFFIX: &'static str;

    /// Whether it is null in a record.
    fn is_null(columns: &Columns<'_>, record: usize) -> bool;
    /// Whether it has a schema in a record.
    fn has_schema(columns: &Columns<'_>, record: usize) -> bool;

    /// What Connect says of a null where it wants fields.
    fn null_message(columns: &Columns<'_>, record: usize, purpose: &str) -> String {
        match Self::has_schema(columns, record) {
            true => format!("Only Struct objects supported for [{purpose}], found: null"),
            false => format!("Only Map objects supported in absence of schema for [{purpose}], found: null"),
        }
    }
}

/// `$Key`.
pub(crate) struct OnKey;
/// `$Value`.
pub(crate) struct OnValue;

impl Side for OnKey {
    const PLACE: Place = Place::Key;
    const SUFFIX: &'static str = "$Key";

    fn is_null(columns: &Columns<'_>, record: usize) -> bool {
        columns.key_is_null(record)
    }

    fn has_schema(columns: &Columns<'_>, record: usize) -> bool {
        columns.key_has_schema(record)
    }
}

impl Side for OnValue {
    const PLACE: Place = Place::Value;
    const SUFFIX: &'static str = "$Value";

    fn is_null(columns: &Columns<'_>, record: usize) -> bool {
        columns.value_is_null(record)
    }

    fn has_schema(columns: &Columns<'_>, record: usize) -> bool {
        columns.value_has_schema(record)
    }
}

/// A transform with a variant for keys and one for values, named as in Connect.
pub(crate) fn definition<S: Side>(name: &str) -> Definition {
    let name = format!("{name}{}", S::SUFFIX);
    Definition::transform(&name).alias(&format!("org.apache.kafka.connect.transforms.{name}"))
}

/// A transform of our own with a variant for keys and one for values.
pub(crate) fn own_definition<S: Side>(name: &str) -> Definition {
    Definition::transform(&format!("{name}{}", S::SUFFIX))
}

/// The key that Connect gives to the transforms that read fields.
pub(crate) fn replace_null_with_default() -> Key {
    Key::boolean("replace.null.with.default").default(true).doc(
        "Whether to replace fields that have a default value and that are null to the default value. When set to true, \
         the default value is used, otherwise null is used.",
    )
}

/// Whether a null counts as the default of its schema.
pub(crate) fn replaces_nulls(config: &Config) -> Result<bool> {
    config.boolean("replace.null.with.default")
}

/// As [`names`], of which each counts once.
pub(crate) fn set_of_names(config: &Config, key: &str) -> Result<Vec<String>, Problem> {
    let mut set: Vec<String> = Vec::new();
    for name in names(config, key)? {
        if !set.contains(&name) {
            set.push(name);
        }
    }
    Ok(set)
}

/// The names of a list that has to have some.
pub(crate) fn names(config: &Config, key: &str) -> Result<Vec<String>, Problem> {
    let names: Vec<String> = config.list(key).into_iter().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Problem::new(key, "must not be empty"));
    }
    match names.iter().any(String::is_empty) {
        true => Err(Problem::new(key, "has an empty element")),
        false => Ok(names),
    }
}

/// Refuses a schema that is no struct.
pub(crate) fn require_struct(schema: &Schema, purpose: &str) -> Result<()> {
    match schema.of_type {
        Type::Struct => Ok(()),
        other => {
            Err(Error::fatal(format!("Only Struct objects supported for [{purpose}], found: {}", java_class(other))))
        }
    }
}

/// A struct whose fields are about to be changed. Connect keeps its name, version, doc and parameters and makes it required.
pub(crate) fn struct_to_change(schema: &Schema, purpose: &str) -> Result<Schema> {
    require_struct(schema, purpose)?;
    Ok(Schema { optional: false, default: None, ..schema.clone() })
}

fn java_class(of_type: Type) -> &'static str {
    match of_type {
        Type::Int8 => "java.lang.Byte",
        Type::Int16 => "java.lang.Short",
        Type::Int32 => "java.lang.Integer",
        Type::Int64 => "java.lang.Long",
        Type::Float32 => "java.lang.Float",
        Type::Float64 => "java.lang.Double",
        Type::Boolean => "java.lang.Boolean",
        Type::String => "java.lang.String",
        Type::Bytes => "[B",
        Type::Array => "java.util.List",
        Type::Map => "java.util.Map",
        Type::Struct => "org.apache.kafka.connect.data.Struct",
    }
}

/// Adds a field to a struct, which must not have one of that name.
pub(crate) fn add_field(schema: &mut Schema, name: &str, field: Schema) -> Result<()> {
    if schema.field(name).is_some() {
        return Err(Error::fatal(format!("Cannot create field because of field name duplication {name}")));
    }
    schema.fields.push(tidegate_sdk::Field::new(name, field));
    Ok(())
}
