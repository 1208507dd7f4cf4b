//! What web forms send, `name=Ada&lang=en`, as a map of strings: in keys and values, and in headers.
use tidegate_sdk::{Config, ConvertError, Converter, Data, Definition, HeaderConverter, Result, Value};

struct HelloConverter;

impl Converter for HelloConverter {
    fn definition() -> Definition {
        Definition::converter("HelloConverter").doc("Keys and values as URL-encoded form fields.")
    }

    fn configure(_: &Config, _: bool) -> Result<Self> {
        Ok(HelloConverter)
    }

    fn to_connect(&mut self, _: &str, bytes: Option<&[u8]>) -> Result<Data, ConvertError> {
        read(bytes)
    }

    fn from_connect(&mut self, _: &str, data: Data) -> Result<Option<Vec<u8>>, ConvertError> {
        write(&data.value)
    }
}

struct HelloHeaderConverter;

impl HeaderConverter for HelloHeaderConverter {
    fn definition() -> Definition {
        Definition::header_converter("HelloHeaderConverter").doc("Header values as URL-encoded form fields.")
    }

    fn configure(_: &Config) -> Result<Self> {
        Ok(HelloHeaderConverter)
    }

    fn to_connect(&mut self, _: &str, bytes: Option<&[u8]>) -> Result<Data, ConvertError> {
        read(bytes)
    }

    fn from_connect(&mut self, _: &str, data: Data) -> Result<Option<Vec<u8>>, ConvertError> {
        write(&data.value)
    }
}

fn read(bytes: Option<&[u8]>) -> Result<Data, ConvertError> {
    let Some(bytes) = bytes else { return Ok(Data::NULL) };
    // The crate would put U+FFFD in place of what is no text.
    let text = std::str::from_utf8(bytes).map_err(ConvertError::record)?;
    let fields = form_urlencoded::parse(text.as_bytes());
    Ok(Data::new(Value::Map(fields.map(|(name, value)| (name.into_owned(), value.as_ref().into())).collect())))
}

fn write(value: &Value) -> Result<Option<Vec<u8>>, ConvertError> {
    let fields = match value {
        Value::Null => return Ok(None),
        Value::Map(fields) | Value::Struct(fields) => fields,
        _ => return Err(ConvertError::record("only a map or a struct has form fields")),
    };
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        match value {
            Value::Null => {}
            Value::String(text) | Value::Number(text) => {
                form.append_pair(name, text);
            }
            _ => return Err(ConvertError::record(format!("field \"{name}\" is neither a text nor a number"))),
        }
    }
    Ok(Some(form.finish().into_bytes()))
}

tidegate_sdk::export! { converters: [HelloConverter], header_converters: [HelloHeaderConverter] }

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_sdk::Error;
    use tidegate_sdk::testing::ConverterHarness;

    #[test]
    fn form_fields_become_a_map_and_form_fields_again() {
        for mut hello in [
            ConverterHarness::values::<HelloConverter>(&[]).unwrap(),
            ConverterHarness::headers::<HelloHeaderConverter>(&[]).unwrap(),
        ] {
            let form = r#"[{"topic":"t","value":"who=Ada+Lovelace&lang=en%26fr"},{"topic":"t"}]"#;
            let data = hello.to_connect_json(form).unwrap();
            assert_eq!(data, r#"[{"topic":"t","value":{"who":"Ada Lovelace","lang":"en&fr"}},{"topic":"t"}]"#);
            assert_eq!(hello.from_connect_json(&data).unwrap(), form);
        }
    }

    #[test]
    fn what_is_no_form_is_refused_record_by_record() {
        let mut hello = ConverterHarness::values::<HelloConverter>(&[]).unwrap();
        let refused = hello.from_connect_json(r#"[{"topic":"t","value":{"who":["Ada"]}}]"#);
        assert_eq!(refused, Err(Error::fatal("field \"who\" is neither a text nor a number")));
        assert!(hello.to_connect_json(r#"[{"topic":"t","valueSchema":9,"value":"/w=="}]"#).is_err());
    }
}
