//! A source that makes up realistic records, for demonstrations, tests and load.
//!
//! Record number *i* is a pure function of the seed and *i*. That is what makes a run repeatable, lets any number of tasks
//! share the work, and lets a task go on after a crash with exactly the record that comes next.

mod chance;
mod source;
mod template;

pub use source::Datagen;

tidegate_sdk::export! { sources: [Datagen] }
