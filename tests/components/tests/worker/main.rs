//! A worker with real guests, without the control plane: what its catalog keeps, and what its tasks do when things fail.

mod catalog;
mod counters;
mod exactly_once;
mod explode;
mod keys;
mod lanes;
mod life;
mod rebalance;
mod sink;
mod source;
