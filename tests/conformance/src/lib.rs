//! Builds the guests of `sdk/<language>/examples` with the tools of their languages, so that one suite can run all of them.
//!
//! A language whose tools are not on this machine is skipped with a sentence that says what is missing; under
//! `TIDEGATE_REQUIRE_ALL` (CI) a skip is a failure.

pub mod build;
pub mod link;
