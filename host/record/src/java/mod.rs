//! Texts as Java writes and reads them: numbers, dates, `toString`, character sets.
//!
//! Kafka Connect's StringConverter and SimpleHeaderConverter are defined by what Java's classes print, so records that pass
//! through them have these texts byte for byte.

pub mod charset;
pub(crate) mod date;
pub(crate) mod number;
mod text;

pub(crate) use text::to_string;
