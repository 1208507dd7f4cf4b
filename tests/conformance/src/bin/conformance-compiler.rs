//! The compiler process of the engine under test.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidegate_engine::compile_child_main()
}
