//! Any bytes are a message of a schema with all that Protobuf has, or an error.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidegate_registry::protobuf::{Decoder, Options};

mod view;

const TEXT: &str = "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; import \"google/type/date.proto\"; \
    import \"confluent/type/decimal.proto\"; message A { int32 a = 1; repeated sint64 b = 2; map<int32, B> c = 3; \
    google.protobuf.Timestamp d = 4; oneof o { string e = 5; B f = 6; } google.type.Date g = 7; confluent.type.Decimal h = 8; \
    map<string, double> i = 9; repeated B j = 10; optional fixed32 k = 11; K l = 12; enum K { X = 0; Y = 1; } } \
    message B { bytes x = 1; repeated float y = 2; repeated string z = 3; }";

static DECODER: LazyLock<Decoder> =
    LazyLock::new(|| Decoder::new(TEXT, &[], &[0], None, &Options::default()).expect("the schema above"));

fuzz_target!(|bytes: &[u8]| {
    view::decode(DECODER.schema(), bytes, |bytes, out| DECODER.decode(bytes, out));
});
