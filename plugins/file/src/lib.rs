//! Apache Kafka's file connectors: `FileStreamSource` turns the lines of a file into records, `FileStreamSink` writes records
//! as lines. Keys, names and offsets are those of Apache Kafka, so that its configurations and its stored offsets go on
//! working; what is ours beyond that (`follow`) is off the beaten path unless it is set.

mod lines;
mod sink;
mod source;

pub use sink::FileStreamSink;
pub use source::FileStreamSource;

tidegate_sdk::export! { sources: [FileStreamSource], sinks: [FileStreamSink] }
