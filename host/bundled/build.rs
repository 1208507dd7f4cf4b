//! Compiles the folders of `plugins/` to components with a nested cargo, for `src/lib.rs` to embed.
//!
//! The nested build has a target folder of its own beside the profiles of the outer one, so that `run`, `test` and `clippy`
//! share it, and an environment of its own, so that flags and wrappers meant for the host do not reach the guests.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "guest";

/// What the nested cargo sees of the environment; with `CARGO_NET_*` and `CARGO_HTTP_*`, how to reach a registry.
const ENVIRONMENT: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "LANG",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_DIST_SERVER",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

fn main() -> ExitCode {
    match bundle() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

fn bundle() -> Result<(), String> {
    let manifest_dir = PathBuf::from(cargo_gives("CARGO_MANIFEST_DIR")?);
    let root = manifest_dir.ancestors().nth(2).ok_or("this crate does not lie in the workspace")?.to_owned();
    let out_dir = PathBuf::from(cargo_gives("OUT_DIR")?);
    let plugins = plugins(&root).map_err(|error| format!("the plugins folder cannot be read: {error}"))?;
    watch(&root);

    let rustc = cargo_gives("RUSTC")?;
    if !target_is_installed(&rustc) {
        return Err(format!("the built-in plugins need the target {TARGET}: run `rustup target add {TARGET}`"));
    }
    // <target>/<profile>/build/<package>/out, or one deeper when the outer build names a target.
    let target_dir = out_dir.ancestors().nth(4).ok_or("the output folder has an unknown shape")?.join("guests");
    build(&root, &target_dir, &rustc, &plugins)?;

    let mut list = "&[\n".to_owned();
    for plugin in &plugins {
        let built = target_dir.join(TARGET).join(PROFILE).join(format!("tidegate_plugin_{plugin}.wasm"));
        let embedded = out_dir.join(format!("{plugin}.wasm"));
        fs::copy(&built, &embedded).map_err(|error| format!("{} cannot be copied: {error}", built.display()))?;
        list.push_str(&format!("    Bundled {{ name: {plugin:?}, bytes: include_bytes!({embedded:?}) }},\n"));
    }
    list.push(']');
    fs::write(out_dir.join("components.rs"), list).map_err(|error| format!("components.rs: {error}"))
}

fn cargo_gives(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set: this is a build script of cargo's"))
}

/// The folders of `plugins/`, in order. The package of `plugins/file` is `tidegate-plugin-file`.
fn plugins(root: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("plugins"))? {
        let entry = entry?;
        if let (true, Ok(name)) = (entry.path().join("Cargo.toml").exists(), entry.file_name().into_string()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Says what a change of means another build of the components.
fn watch(root: &Path) {
    let watch = |path: PathBuf| println!("cargo::rerun-if-changed={}", path.display());
    [
        "plugins",
        "wit",
        "sdk/rust/src",
        "sdk/rust/Cargo.toml",
        "host/java-regex",
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain.toml",
    ]
    .iter()
    .for_each(|path| watch(root.join(path)));
}

fn target_is_installed(rustc: &OsStr) -> bool {
    let libraries = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    libraries.is_ok_and(|output| {
        let path = String::from_utf8_lossy(&output.stdout);
        output.status.success() && Path::new(path.trim()).is_dir()
    })
}

fn build(root: &Path, target_dir: &Path, rustc: &OsStr, plugins: &[String]) -> Result<(), String> {
    let mut cargo = Command::new(cargo_gives("CARGO")?);
    cargo
        .current_dir(root)
        .env_clear()
        .envs(env::vars_os().filter(|(name, _)| is_passed_on(name)))
        .env("RUSTC", rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(root))
        .args(["build", "--lib", "--locked", "--profile", PROFILE, "--target", TARGET, "--target-dir"])
        .arg(target_dir);
    for plugin in plugins {
        cargo.args(["--package", &format!("tidegate-plugin-{plugin}")]);
    }
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("the built-in plugins do not compile, see the compiler's messages".to_owned()),
        Err(error) => Err(format!("cargo cannot be run: {error}")),
    }
}

fn is_passed_on(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    ENVIRONMENT.contains(&name) || name.starts_with("CARGO_NET_") || name.starts_with("CARGO_HTTP_")
}

/// Vector instructions, for scanning text; and panics name source files, but not with the paths of this machine, or every
/// checkout would give other bytes.
fn flags(root: &Path) -> OsString {
    let mut flags = OsString::from("-Ctarget-feature=+simd128");
    let mut remap = |from: &Path, to: &str| {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    };
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    if let Some(cargo_home) = cargo_home {
        remap(&cargo_home, "/cargo");
        // One folder per registry or mirror, whose names differ; of several prefixes the last one counts.
        let registries = fs::read_dir(cargo_home.join("registry/src")).into_iter().flatten().flatten();
        registries.for_each(|registry| remap(&registry.path(), "/cargo"));
    }
    remap(root, "/tidegate");
    flags
}
