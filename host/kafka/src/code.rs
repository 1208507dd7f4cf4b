//! Error codes of the Kafka protocol and of librdkafka, by number.

use std::borrow::Cow;
use std::fmt;

use crate::native;

/// An error code: positive ones are the broker's (the Kafka protocol's), negative ones librdkafka's own.
///
/// Only the codes somebody decides by have a name here; every other code can still be carried, compared and shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub(crate) i32);

impl Code {
    pub const NONE: Code = Code(0);
    pub const OFFSET_OUT_OF_RANGE: Code = Code(1);
    pub const UNKNOWN_TOPIC_OR_PARTITION: Code = Code(3);
    pub const MESSAGE_TOO_LARGE: Code = Code(10);
    pub const INVALID_TOPIC: Code = Code(17);
    pub const ILLEGAL_GENERATION: Code = Code(22);
    pub const UNKNOWN_MEMBER_ID: Code = Code(25);
    pub const REBALANCE_IN_PROGRESS: Code = Code(27);
    pub const INVALID_TIMESTAMP: Code = Code(32);
    pub const TOPIC_ALREADY_EXISTS: Code = Code(36);
    pub const INVALID_CONFIG: Code = Code(40);
    pub const INVALID_PRODUCER_EPOCH: Code = Code(47);
    pub const NON_EMPTY_GROUP: Code = Code(68);
    pub const GROUP_ID_NOT_FOUND: Code = Code(69);
    pub const FENCED_INSTANCE_ID: Code = Code(82);
    pub const GROUP_SUBSCRIBED_TO_TOPIC: Code = Code(86);
    pub const PRODUCER_FENCED: Code = Code(90);

    pub const TRANSPORT: Code = Code(-195);
    pub const PARTITION_EOF: Code = Code(-191);
    pub const UNKNOWN_PARTITION: Code = Code(-190);
    pub const UNKNOWN_TOPIC: Code = Code(-188);
    pub const ALL_BROKERS_DOWN: Code = Code(-187);
    pub const TIMED_OUT: Code = Code(-185);
    pub const QUEUE_FULL: Code = Code(-184);
    pub const WAIT_COORDINATOR: Code = Code(-180);
    pub const ASSIGN_PARTITIONS: Code = Code(-175);
    pub const REVOKE_PARTITIONS: Code = Code(-174);
    pub const AUTHENTICATION: Code = Code(-169);
    pub const NO_OFFSET: Code = Code(-168);
    pub const MESSAGE_TIMED_OUT: Code = Code(-192);
    pub const PURGE_QUEUE: Code = Code(-152);
    pub const PURGE_IN_FLIGHT: Code = Code(-151);
    pub const FATAL: Code = Code(-150);
    pub const FENCED: Code = Code(-144);

    /// The code's number, as in the Kafka protocol.
    pub fn number(self) -> i32 {
        self.0
    }

    /// The code's name, e.g. `UNKNOWN_TOPIC_OR_PART`; librdkafka's own begin with an underscore.
    pub fn name(self) -> Cow<'static, str> {
        native::code_name(self.0)
    }

    /// One sentence about the code.
    pub fn text(self) -> Cow<'static, str> {
        native::code_text(self.0)
    }

    pub(crate) fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// Somebody else took over this client's transactional id.
    pub(crate) fn means_fenced(self) -> bool {
        [Self::FENCED, Self::PRODUCER_FENCED, Self::INVALID_PRODUCER_EPOCH].contains(&self)
    }

    /// The group does not (or no longer) take this client for a member.
    pub(crate) fn means_not_a_member(self) -> bool {
        [Self::ILLEGAL_GENERATION, Self::UNKNOWN_MEMBER_ID, Self::FENCED_INSTANCE_ID].contains(&self)
    }

    /// The same call may succeed later without anybody changing anything.
    pub(crate) fn means_retry(self) -> bool {
        /// LEADER_NOT_AVAILABLE, NOT_LEADER, REQUEST_TIMED_OUT, NETWORK_EXCEPTION, the three coordinator states,
        /// NOT_ENOUGH_REPLICAS and its twin, REBALANCE_IN_PROGRESS, NOT_CONTROLLER, CONCURRENT_TRANSACTIONS,
        /// KAFKA_STORAGE_ERROR, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, UNSTABLE_OFFSET_COMMIT, THROTTLING_QUOTA.
        const BROKER: [i32; 17] = [5, 6, 7, 13, 14, 15, 16, 19, 20, 27, 41, 51, 56, 74, 75, 88, 89];
        BROKER.contains(&self.0)
            || [
                Self::TRANSPORT,
                Self::ALL_BROKERS_DOWN,
                Self::TIMED_OUT,
                Self::QUEUE_FULL,
                Self::WAIT_COORDINATOR,
                Self::MESSAGE_TIMED_OUT,
            ]
            .contains(&self)
    }

    /// The principal lacks a right, or was not let in at all.
    pub(crate) fn means_denied(self) -> bool {
        /// TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID authorization, SASL_AUTHENTICATION_FAILED.
        const BROKER: [i32; 5] = [29, 30, 31, 53, 58];
        BROKER.contains(&self.0) || self == Self::AUTHENTICATION
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}
