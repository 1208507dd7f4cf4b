//! Converters as a configuration names them: `key.converter`, `value.converter` and `header.converter` with the settings
//! below each. Worker and connector say this alike; a connector that names none uses the worker's as a whole.

use crate::settings::Settings;

/// What a converter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    Key,
    Value,
    Header,
}

impl Part {
    pub const ALL: [Part; 3] = [Part::Key, Part::Value, Part::Header];

    /// The configuration key that names the class.
    pub fn key(self) -> &'static str {
        match self {
            Part::Key => "key.converter",
            Part::Value => "value.converter",
            Part::Header => "header.converter",
        }
    }

    /// What stands before the converter's own settings.
    pub fn prefix(self) -> &'static str {
        match self {
            Part::Key => "key.converter.",
            Part::Value => "value.converter.",
            Part::Header => "header.converter.",
        }
    }

    /// What Connect tells the converter in its setting `converter.type`.
    pub fn converter_type(self) -> &'static str {
        match self {
            Part::Key => "key",
            Part::Value => "value",
            Part::Header => "header",
        }
    }
}

/// A converter that was named, and its own settings without the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConverterConfig {
    pub class: String,
    pub settings: Settings,
}

impl ConverterConfig {
    /// The converter that the settings name for a part, if they do.
    pub fn of(part: Part, settings: &Settings) -> Option<ConverterConfig> {
        let class = settings.get(part.key())?.trim();
        if class.is_empty() {
            return None;
        }
        Some(ConverterConfig { class: class.to_owned(), settings: settings.below(part.prefix()) })
    }
}
