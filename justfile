# What CI runs, by name. `just` lists them.
default:
    @just --list

# Everything a change must pass.
check: test
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check

# All tests (what a plain machine lacks is skipped and says so).
test:
    cargo test --workspace

fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --fix --allow-dirty -- -D warnings

# The main job on the embedded broker.
run:
    cargo run --release -- demo

# Microbenchmarks; the whole-pipeline runs are described in docs/performance.md.
bench:
    cargo bench --workspace
