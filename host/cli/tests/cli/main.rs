//! The program as its users see it: what they type, what they read, what the exit code is, what is on the disk.
//!
//! Everything runs the real binary in a directory of its own, on ports that the system gives out. What one crate can
//! prove alone is proved there.

mod bad_input;
mod demo;
mod dev;
mod dlq;
mod exactly_once;
mod hostile;
mod offsets;
mod own_transforms;
mod plugin;
mod process;
mod readmes;
mod rest;
mod restart;
mod standalone;
mod r#try;
mod uploads;
