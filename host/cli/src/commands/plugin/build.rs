//! `tidegate plugin build`: a plugin's folder becomes a component.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use serde::Deserialize;

use crate::failure::Failure;
use crate::output::{bytes, say};

#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The plugin's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

const TARGET: &str = "wasm32-wasip2";

impl Build {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let folder = &self.folder;
        if !folder.join("Cargo.toml").is_file() {
            return Err(Failure::usage(format!("\"{}\" is not the folder of a plugin in Rust", folder.display()))
                .detail("it has no Cargo.toml")
                .hint("make one with `tidegate plugin new --lang rust NAME`"));
        }
        check_target(folder)?;
        let component = cargo_build(folder)?;
        let size = std::fs::metadata(&component)
            .map_err(|error| Failure::new(format!("\"{}\" cannot be read", component.display())).detail(error))?;
        say(format_args!("{} ({})", component.display(), bytes(size.len())))
    }
}

/// Whether the toolchain of that folder can build components.
fn check_target(folder: &Path) -> Result<(), Failure> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(folder);
    let answer = rustc.output().map_err(|error| {
        Failure::new("rustc cannot be started").detail(error).hint("install Rust with rustup, https://rustup.rs")
    })?;
    let libraries = String::from_utf8_lossy(&answer.stdout);
    match answer.status.success() && Path::new(libraries.trim()).is_dir() {
        true => Ok(()),
        false => Err(Failure::new(format!("the target {TARGET} is not installed"))
            .hint(format!("run `rustup target add {TARGET}`"))),
    }
}

/// The messages of cargo that matter here.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        filenames: Vec<PathBuf>,
    },
    #[serde(other)]
    Other,
}

/// Builds and answers where the component is, which cargo's settings decide.
fn cargo_build(folder: &Path) -> Result<PathBuf, Failure> {
    let failed = |error: std::io::Error| Failure::new("cargo cannot be run").detail(error);
    let mut cargo = Command::new("cargo")
        .args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let messages = cargo.stdout.take().ok_or_else(|| Failure::new("cargo has no output"))?;
    let mut component = None;
    for line in BufReader::new(messages).lines() {
        if let Ok(Message::CompilerArtifact { filenames }) = serde_json::from_str(&line.map_err(failed)?) {
            // The last one is the plugin itself, what it depends on comes before.
            component = filenames.into_iter().find(|file| is_wasm(file)).or(component);
        }
    }
    let status = cargo.wait().map_err(failed)?;
    if !status.success() {
        return Err(Failure::new("the plugin does not build").detail(format_args!("cargo ended with {status}")));
    }
    component.ok_or_else(|| {
        Failure::new("cargo built no component")
            .hint("a plugin's Cargo.toml has `crate-type = [\"cdylib\"]` under [lib]")
    })
}

fn is_wasm(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "wasm")
}
