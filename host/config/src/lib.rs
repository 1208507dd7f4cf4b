//! Configuration as data: what keys exist, what they mean, and whether the values an operator wrote are right.
//!
//! A key is declared once, with its type, default, rules and text ([`Key`]); validation, Connect's `config/validate`
//! answer, reference pages and sandbox grants are all read from that declaration. The path of a configuration:
//!
//! 1. somebody outside reads bytes; [`properties`] (or a JSON parser at the edge) turns them into [`Settings`];
//! 2. [`validate`] checks settings against keys and reports every problem at once;
//! 3. [`worker`] and [`connector`] turn what is valid into the structs that the program works with;
//! 4. [`class`] finds the definition behind a class name, [`describe`] reads the definitions that a plugin declares,
//!    [`grant`] derives what an instance may reach, [`client`] translates Kafka client settings to librdkafka's.
//!
//! Nothing here does I/O, reads the environment or a clock, or knows who uses a key: callers pass text and maps in.

pub mod address;
pub mod class;
pub mod client;
pub mod connector;
pub mod converter;
pub mod definition;
pub mod describe;
pub mod grant;
pub mod key;
pub mod nearest;
pub mod properties;
pub mod settings;
pub mod topic_creation;
pub mod validate;
pub mod worker;

pub use definition::{Capabilities, Definition, Encoding, Kind, Plugin};
pub use key::{DefaultValue, Importance, Key, Rule, Type, Width};
pub use settings::Settings;
pub use validate::{Problem, Validation, Value, Warning};
