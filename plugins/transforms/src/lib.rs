//! Apache Kafka Connect's transforms and predicates: one file each, one line each in the list below.
//!
//! They mean what Connect's mean, judged by vectors that were recorded from Connect itself (`tests/vectors.rs`). What cannot
//! be honoured here, such as a regular expression with a look-behind, is refused when the configuration is validated.
//! Nothing walks over records where an edit for the whole batch says the same.

mod filter;
mod insert_field;
mod mask_field;
mod regex_router;
mod replace_field;
mod timestamp_converter;

mod has_header_key;
mod record_is_tombstone;
mod topic_name_matches;

mod date_format;
mod java_regex;
mod side;

use filter::Filter;
use has_header_key::HasHeaderKey;
use insert_field::InsertField;
use mask_field::MaskField;
use record_is_tombstone::RecordIsTombstone;
use regex_router::RegexRouter;
use replace_field::ReplaceField;
use side::{OnKey, OnValue};
use timestamp_converter::TimestampConverter;
use topic_name_matches::TopicNameMatches;

tidegate_sdk::export! {
    transforms: [
        Filter,
        InsertField<OnKey>,
        InsertField<OnValue>,
        MaskField<OnKey>,
        MaskField<OnValue>,
        RegexRouter,
        ReplaceField<OnKey>,
        ReplaceField<OnValue>,
        TimestampConverter<OnKey>,
        TimestampConverter<OnValue>,
    ],
    predicates: [HasHeaderKey, RecordIsTombstone, TopicNameMatches],
}
