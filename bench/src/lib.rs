//! What the pipelines and the microbenchmarks share: the records.

pub mod records;
