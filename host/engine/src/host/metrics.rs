//! `metrics`: counters and gauges by name, so many names per instance.

use super::HostState;
use crate::bindings::tidegate::connect::metrics::Host;
use std::collections::HashSet;

/// Longest name of a metric, in bytes.
const NAME_MAX: usize = 100;

/// Names that an instance has used.
#[derive(Default)]
pub(crate) struct MetricNames(HashSet<String>);

impl MetricNames {
    /// Whether a name may be used: known, or well formed and not one too many.
    fn admits(&mut self, name: &str, max: usize) -> bool {
        if self.0.contains(name) {
            return true;
        }
        let is_right = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_name = !name.is_empty() && name.len() <= NAME_MAX && name.bytes().all(is_right);
        is_name && self.0.len() < max && self.0.insert(name.to_owned())
    }
}

impl Host for HostState {
    fn add(&mut self, name: String, delta: f64) {
        // A counter does not go down, and one that is not a number stays so.
        if delta.is_finite() && delta >= 0.0 && self.metrics.admits(&name, self.limits.metrics) {
            self.hooks.metrics.add(&name, delta);
        }
    }

    fn set(&mut self, name: String, value: f64) {
        if self.metrics.admits(&name, self.limits.metrics) {
            self.hooks.metrics.set(&name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_counted() {
        let mut names = MetricNames::default();
        let admitted = ["rows", "", "a b", "rows", "bytes", "third"].map(|name| names.admits(name, 2));
        assert_eq!(admitted, [true, false, false, true, true, false]);
    }
}
