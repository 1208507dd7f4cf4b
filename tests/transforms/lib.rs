//! The transforms through the host's view of a batch: see `tests/view.rs`.
