//! Every bound of the sandbox, met by a guest that means harm.
//!
//! Not here: what the worker makes of a failed call, and the checks of what a guest answers (`host/record`,
//! `host/worker`).

mod capabilities;
mod gate;
mod harness;
mod limits;
mod scheduling;
