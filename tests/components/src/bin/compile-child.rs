//! The compiler process of the engine under test: what the program does when it is started for compiling.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidegate_engine::compile_child_main()
}
