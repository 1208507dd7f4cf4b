//! The formats, text in and text out: schemas both ways, values both ways, others' implementations as oracles, and bytes that
//! nobody should send.

mod avro;
mod hostile;
mod json;
mod protobuf;
mod samples;
mod support;
