//! Reads a connector's configuration: `{"name", "config"}` as REST takes it, a flat JSON object, or `.properties`.

use std::path::Path;

use serde::Deserialize;
use tidegate_herder::Config;

use crate::failure::Failure;
use crate::settings_file;

/// A connector as its author wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConnectorFile {
    pub(crate) name: String,
    pub(crate) config: Config,
}

impl ConnectorFile {
    /// Reads a file whose name comes from the command line.
    pub(crate) fn read(path: &Path) -> Result<ConnectorFile, Failure> {
        ConnectorFile::parse(path, &settings_file::read_bytes(path)?)
    }

    /// The connector in `bytes`, which were read from `path`.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<ConnectorFile, Failure> {
        let is_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        let (name, config) = match is_json {
            true => from_json(path, bytes)?,
            false => (None, settings_file::parse(path, bytes)?.into_iter().collect()),
        };
        let name = name.or_else(|| config.get("name").cloned()).unwrap_or_default();
        match name.trim() {
            "" => Err(Failure::usage(format!("the connector in \"{}\" has no name", path.display()))
                .hint("add a \"name\" to it")),
            name => Ok(ConnectorFile { name: name.to_owned(), config }),
        }
    }
}

/// A value of a configuration: numbers and booleans stand for their texts, as in Connect.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(serde_json::Number),
    Flag(bool),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Named { name: String, config: std::collections::BTreeMap<String, Scalar> },
    Flat(std::collections::BTreeMap<String, Scalar>),
}

fn from_json(path: &Path, bytes: &[u8]) -> Result<(Option<String>, Config), Failure> {
    let shown = path.display();
    // First as any JSON, for an error that knows its line; then as one of the two forms.
    let value: serde_json::Value = serde_json::from_slice(bytes)
        .map_err(|error| Failure::usage(format!("\"{shown}\" is not valid JSON")).detail(error))?;
    let document: Document = serde_json::from_value(value).map_err(|_| {
        Failure::usage(format!("\"{shown}\" is no connector configuration"))
            .detail("it is neither {\"name\": …, \"config\": {…}} nor an object of texts, numbers and booleans")
            .hint("quote values that have other forms")
    })?;
    let (name, scalars) = match document {
        Document::Named { name, config } => (Some(name), config),
        Document::Flat(config) => (None, config),
    };
    let text = |scalar| match scalar {
        Scalar::Text(text) => text,
        Scalar::Number(number) => number.to_string(),
        Scalar::Flag(flag) => flag.to_string(),
    };
    Ok((name, scalars.into_iter().map(|(key, value)| (key, text(value))).collect()))
}

#[cfg(test)]
mod tests {
    use super::ConnectorFile;
    use expect_test::{Expect, expect};
    use std::path::Path;

    #[track_caller]
    fn check(text: &str, expected: Expect) {
        let shown = match ConnectorFile::parse(Path::new("c"), text.as_bytes()) {
            Ok(connector) => format!("{}: {:?}", connector.name, connector.config),
            Err(failure) => failure.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn all_three_forms_say_the_same() {
        let same = || expect![[r#"lines: {"name": "lines", "tasks.max": "1", "topic": "t"}"#]];
        check("name=lines\ntasks.max=1\ntopic=t\n", same());
        check(r#"{"name": "lines", "tasks.max": 1, "topic": "t"}"#, same());
        check(
            r#" {"name": "lines", "config": {"tasks.max": 1, "topic": "t"}}"#,
            expect![[r#"lines: {"tasks.max": "1", "topic": "t"}"#]],
        );
    }

    #[test]
    fn what_is_no_connector_is_told_apart() {
        check(
            "{\n\"name\" 1}",
            expect![[r#"
                error: "c" is not valid JSON
                  expected `:` at line 2 column 8"#]],
        );
        check(
            r#"{"name": "a", "topics": ["x"]}"#,
            expect![[r#"
                error: "c" is no connector configuration
                  it is neither {"name": …, "config": {…}} nor an object of texts, numbers and booleans
                hint: quote values that have other forms"#]],
        );
        check(
            "topic=t",
            expect![[r#"
                error: the connector in "c" has no name
                hint: add a "name" to it"#]],
        );
    }
}
