//! The whole control plane over a journal on disk, with a host that behaves, fails or hangs as configurations tell it.

mod crash;
mod host;
mod offsets;
mod verbs;
