//! The cores together, without a runtime: a leader, some workers, a log and hosts that behave.
//!
//! `lifecycle` shows single stories as text; `random` runs many stories nobody thought of and checks what must hold in
//! all of them.

mod lifecycle;
mod random;
mod world;
