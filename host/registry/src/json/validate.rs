//! Checking payloads against their JSON schema, where that is asked for.

use serde_json::Value as Json;

/// Where names of referenced schemas are looked up. Nothing is fetched from there.
const BASE: &str = "https://schema-registry.invalid/";
/// Characters of a reason that a message shows.
const SHOWN_MAX: usize = 300;

pub(super) struct Validator(jsonschema::Validator);

impl Validator {
    pub(super) fn new(text: &str, references: &[(String, String)]) -> Result<Validator, String> {
        let parse =
            |text: &str| serde_json::from_str::<Json>(text).map_err(|error| format!("not a JSON schema: {error}"));
        let schema = parse(text)?;
        let mut registry = jsonschema::Registry::new().draft(jsonschema::Draft::Draft7);
        for (name, text) in references {
            let uri = if name.contains("://") { name.clone() } else { format!("{BASE}{name}") };
            registry = registry.add(uri, parse(text)?).map_err(|error| format!("reference \"{name}\": {error}"))?;
        }
        let registry = registry.prepare().map_err(|error| format!("the referenced schemas: {error}"))?;
        let validator = jsonschema::options()
            .with_base_uri(BASE)
            .with_registry(&registry)
            .offline()
            .build(&schema)
            .map_err(|error| format!("not a valid JSON schema: {error}"))?;
        Ok(Validator(validator))
    }

    pub(super) fn check(&self, text: &[u8]) -> Result<(), String> {
        let value: Json = serde_json::from_slice(text).map_err(|error| format!("not JSON: {error}"))?;
        self.0.validate(&value).map_err(|error| {
            let place = error.instance_path().to_string();
            let why: String = error.to_string().chars().take(SHOWN_MAX).collect();
            format!("does not fit its JSON schema at \"{place}\": {why}")
        })
    }
}
