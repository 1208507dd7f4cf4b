//! The crate against brokers: the embedded one always, and a real Kafka where `TIDEGATE_TEST_KAFKA` names one
//! (`host:port`). Each test makes topics and groups of its own, so the real one may be shared and need not be empty.

mod admin;
mod cluster;
mod consume;
mod outage;
mod partitioner;
mod produce;
mod table;
mod transactions;
