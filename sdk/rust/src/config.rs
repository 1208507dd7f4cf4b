//! A configuration with typed getters: what the operator wrote over what the definition's keys say by default.

use crate::{Definition, Error, Result};

/// The keys and values a connector, task, transform or predicate was configured with.
///
/// A getter answers the operator's value, else the default of the key, and an [`Error::InvalidConfig`] that names the key
/// when there is neither or the value is not of the type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// What the operator wrote, in order; later what task configurations add.
    written: Vec<(String, String)>,
    defaults: Vec<(String, String)>,
}

impl Config {
    /// A configuration of these pairs with the defaults of a definition. As in Connect, the values of its keys lose the
    /// white space around them.
    pub fn new<K: Into<String>, V: Into<String>>(
        definition: &Definition,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Config {
        let defaults = definition
            .keys()
            .iter()
            .filter_map(|key| Some((key.name().to_owned(), key.default_value()?.to_owned())))
            .collect();
        let is_known = |name: &str| definition.keys().iter().any(|key| key.name() == name);
        let written = pairs.into_iter().map(|(key, value)| {
            let (key, value): (String, String) = (key.into(), value.into());
            let value = if is_known(&key) { value.trim().to_owned() } else { value };
            (key, value)
        });
        Config { written: written.collect(), defaults }
    }

    /// The value, if it was written or has a default.
    pub fn get(&self, key: &str) -> Option<&str> {
        let find = |pairs: &'_ [(String, String)]| pairs.iter().position(|(name, _)| name == key);
        match find(&self.written) {
            Some(at) => Some(&self.written[at].1),
            None => find(&self.defaults).map(|at| self.defaults[at].1.as_str()),
        }
    }

    /// Whether the operator wrote the key, whatever its default.
    pub fn is_written(&self, key: &str) -> bool {
        self.written.iter().any(|(name, _)| name == key)
    }

    /// Sets a value, as `task_configs` does to tell a task its share.
    pub fn set(&mut self, key: &str, value: impl ToString) {
        match self.written.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value.to_string(),
            None => self.written.push((key.to_owned(), value.to_string())),
        }
    }

    /// As [`set`](Config::set), for chaining.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> Config {
        self.set(key, value);
        self
    }

    /// The text of a key.
    pub fn string(&self, key: &str) -> Result<&str> {
        self.get(key).ok_or_else(|| Error::invalid_config(key, "is required and not set"))
    }

    /// `true` or `false`, in any case.
    pub fn boolean(&self, key: &str) -> Result<bool> {
        let text = self.string(key)?.trim();
        match text {
            _ if text.eq_ignore_ascii_case("true") => Ok(true),
            _ if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(Error::invalid_config(key, format!("\"{text}\" is not true or false"))),
        }
    }

    /// A whole number of 32 bits.
    pub fn int(&self, key: &str) -> Result<i32> {
        self.number(key, "a whole number of 32 bits")
    }

    /// A whole number of 64 bits.
    pub fn long(&self, key: &str) -> Result<i64> {
        self.number(key, "a whole number of 64 bits")
    }

    /// A floating-point number.
    pub fn double(&self, key: &str) -> Result<f64> {
        self.number(key, "a number")
    }

    /// Texts separated by commas, white space around them removed; none for a key that is not set or empty.
    pub fn list(&self, key: &str) -> Vec<&str> {
        match self.get(key).map(str::trim) {
            None | Some("") => Vec::new(),
            Some(text) => text.split(',').map(str::trim).collect(),
        }
    }

    fn number<T: std::str::FromStr>(&self, key: &str, what: &str) -> Result<T> {
        let text = self.string(key)?.trim();
        text.parse().map_err(|_| Error::invalid_config(key, format!("\"{text}\" is not {what}")))
    }

    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.written
    }
}
