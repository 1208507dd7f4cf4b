//! The `$Key` and `$Value` variants of a transform, and what all of them say about keys and schemas.

use tidegate_sdk::{Definition, Error, Key, Place, Result, Schema, Type};

/// Which of key and value a variant works on.
pub(crate) trait Side: 'static {
    const PLACE: Place;
    /// Behind the name of the transform.
    const SUFFIX: &'static str;
}

/// `$Key`.
pub(crate) struct OnKey;
/// `$Value`.
pub(crate) struct OnValue;

impl Side for OnKey {
    const PLACE: Place = Place::Key;
    const SUFFIX: &'static str = "$Key";
}

impl Side for OnValue {
    const PLACE: Place = Place::Value;
    const SUFFIX: &'static str = "$Value";
}

/// A transform with a variant for keys and one for values, named as in Connect.
pub(crate) fn definition<S: Side>(name: &str) -> Definition {
    let name = format!("{name}{}", S::SUFFIX);
    Definition::transform(&name).alias(&format!("org.apache.kafka.connect.transforms.{name}"))
}

/// The key that Connect gives to all transforms that read fields.
///
/// A null that has a default in its schema keeps being null here, whatever the key says; the converters, which have a key
/// of the same name, put the default in its place when the record is written.
pub(crate) fn replace_null_with_default() -> Key {
    Key::boolean("replace.null.with.default").default(true).doc(
        "Whether to replace fields that have a default value and that are null to the default value. When set to true, \
         the default value is used, otherwise null is used.",
    )
}

/// A struct whose fields are about to be changed. Connect keeps its name, version, doc and parameters and makes it required.
pub(crate) fn struct_to_change(schema: &Schema, purpose: &str) -> Result<Schema> {
    if schema.of_type != Type::Struct {
        return Err(Error::fatal(format!(
            "Only Struct objects supported for [{purpose}], found: {}",
            java_class(schema.of_type)
        )));
    }
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
