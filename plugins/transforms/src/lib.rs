//! Apache Kafka Connect's transforms and predicates, and some of our own: one file each, one line each in the list below.
//!
//! Connect's mean what they mean there, judged by vectors that were recorded from Connect itself (`tests/vectors.rs`). What cannot
//! be honoured here, such as a date pattern with the week of a month, is refused when the configuration is validated.
//! Nothing walks over records where an edit for the whole batch says the same.

mod cast;
mod drop_headers;
mod explode;
mod expression;
mod extract_field;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod json_parse;
mod json_stringify;
mod mask_field;
mod redact;
mod regex_router;
mod rename;
mod replace_field;
mod restore_dead_letter;
mod set_schema_metadata;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;

mod has_header_key;
mod record_is_tombstone;
mod topic_name_matches;

mod cel_columns;
mod cel_values;
mod date_format;
mod field_path;
mod java_number;
mod java_values;
mod json_text;
mod side;

#[cfg(test)]
mod hostile;

use cast::Cast;
use drop_headers::DropHeaders;
use explode::Explode;
use expression::Expression;
use extract_field::ExtractField;
use filter::Filter;
use flatten::Flatten;
use has_header_key::HasHeaderKey;
use header_from::HeaderFrom;
use hoist_field::HoistField;
use insert_field::InsertField;
use insert_header::InsertHeader;
use json_parse::JsonParse;
use json_stringify::JsonStringify;
use mask_field::MaskField;
use record_is_tombstone::RecordIsTombstone;
use redact::Redact;
use regex_router::RegexRouter;
use rename::Rename;
use replace_field::ReplaceField;
use restore_dead_letter::RestoreDeadLetter;
use set_schema_metadata::SetSchemaMetadata;
use side::{OnKey, OnValue};
use tidegate_java_regex as java_regex;
use timestamp_converter::TimestampConverter;
use timestamp_router::TimestampRouter;
use topic_name_matches::TopicNameMatches;
use value_to_key::ValueToKey;

tidegate_sdk::export! {
    transforms: [
        Cast<OnKey>,
        Cast<OnValue>,
        DropHeaders,
        Explode<OnKey>,
        Explode<OnValue>,
        Expression<OnKey>,
        Expression<OnValue>,
        ExtractField<OnKey>,
        ExtractField<OnValue>,
        Filter,
        Flatten<OnKey>,
        Flatten<OnValue>,
        HeaderFrom<OnKey>,
        HeaderFrom<OnValue>,
        HoistField<OnKey>,
        HoistField<OnValue>,
        InsertField<OnKey>,
        InsertField<OnValue>,
        InsertHeader,
        JsonParse<OnKey>,
        JsonParse<OnValue>,
        JsonStringify<OnKey>,
        JsonStringify<OnValue>,
        MaskField<OnKey>,
        MaskField<OnValue>,
        Redact<OnKey>,
        Redact<OnValue>,
        RegexRouter,
        Rename<OnKey>,
        Rename<OnValue>,
        ReplaceField<OnKey>,
        ReplaceField<OnValue>,
        RestoreDeadLetter,
        SetSchemaMetadata<OnKey>,
        SetSchemaMetadata<OnValue>,
        TimestampConverter<OnKey>,
        TimestampConverter<OnValue>,
        TimestampRouter,
        ValueToKey,
    ],
    predicates: [HasHeaderKey, RecordIsTombstone, TopicNameMatches],
}
