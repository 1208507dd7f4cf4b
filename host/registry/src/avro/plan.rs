//! What is done to read a datum, worked out once per schema.

use crate::nodes;

/// How bytes become nodes.
#[derive(Debug)]
pub(super) enum Plan {
    Boolean,
    Int(Int),
    Long,
    Timestamp,
    Float,
    Double,
    Bytes,
    String,
    /// Unscaled bytes of their own length.
    Decimal(i32),
    Fixed(usize),
    FixedDecimal(usize, i32),
    Enum(Vec<String>),
    Array(Box<Plan>),
    Map(Box<Plan>),
    /// A map with other keys, which is an array of records of two fields; false: the value comes first.
    Entries(Box<Plan>, Box<Plan>, bool),
    Struct(Vec<Member>),
    Optional {
        null_first: bool,
        plan: Box<Plan>,
    },
    Union(Vec<Branch>),
    /// A value without a schema.
    Anything,
}

/// What an Avro int is to Connect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Int {
    Int8,
    Int16,
    Int32,
    Date,
    Time,
}

/// A field of a struct.
#[derive(Debug)]
pub(super) struct Member {
    /// The header of its node.
    pub(super) head: Box<[u8]>,
    pub(super) plan: Plan,
}

impl Member {
    pub(super) fn new(name: &str, plan: Plan) -> Member {
        Member { head: nodes::header(name), plan }
    }
}

/// A branch of a union that is a struct to Connect.
#[derive(Debug)]
pub(super) enum Branch {
    Null,
    Is(Member),
}
