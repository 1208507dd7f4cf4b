//! Guests that misbehave, built as components once per test run.
//!
//! `tests/` holds what is proved with it: each bound of the sandbox is met by a guest that means harm, and asserted by
//! charged ticks and bytes and by the text of the error, never by wall time.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a child process of cargo's keeps of the environment. Everything else is the outer build's: flags, targets and
/// wrappers that do not fit WebAssembly.
const KEPT_VARIABLES: [&str; 8] =
    ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "TMPDIR", "CARGO_NET_OFFLINE", "SSL_CERT_FILE"];

/// Builds the guest in a folder beside this file's into a folder of its own below `target` and answers the component's bytes.
///
/// # Panics
///
/// When it does not build, with cargo's output.
pub fn build_guest(folder: &str, target: &Path) -> Vec<u8> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("Cargo.toml");
    let target = target.join(folder);
    let kept = std::env::vars_os().filter(|(name, _)| KEPT_VARIABLES.iter().any(|kept| name == kept));
    let output = Command::new("cargo")
        .args(["build", "--release", "--locked", "--target", "wasm32-wasip2", "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target)
        .env_clear()
        .envs(kept)
        .output()
        .expect("cargo is on the PATH");
    assert!(output.status.success(), "the guest does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    // The only component there, whatever the crate is called.
    let built = std::fs::read_dir(target.join("wasm32-wasip2/release")).expect("cargo built into its folder");
    let component: PathBuf = built
        .map(|entry| entry.expect("the folder can be read").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .expect("cargo built the component");
    std::fs::read(&component).expect("the component can be read")
}
