//! One function per language: from the example's sources to a component.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use wit_bindgen_core::wit_parser::{Resolve, WorldId};
use wit_bindgen_core::{Files, WorldGenerator};

use crate::link::{self, Runtime};

/// A guest language of the contract's proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    Rust,
    Python,
    JavaScript,
    Go,
    C,
}

/// A component, or why this machine cannot make it.
pub enum Built {
    Component(PathBuf),
    /// A sentence that names the missing tool and how to get it.
    Missing(String),
}

const WORLD: &str = "transform-plugin";

/// Builds `hello-transform` of a language; the component lies in a private folder under the target directory.
pub fn hello_transform(language: Language) -> Result<Built> {
    let out = out_dir(language)?;
    match language {
        Language::Rust => rust("hello-transform", &out).map(Built::Component),
        Language::Python => python(&out),
        Language::JavaScript => javascript(&out),
        Language::Go => go(&out),
        Language::C => c(&out),
    }
}

/// The repository, from the place of this crate's manifest.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the crate lies two folders below the root")
}

fn out_dir(language: Language) -> Result<PathBuf> {
    // The test executable lies in <target>/<profile>/deps.
    let exe = std::env::current_exe()?;
    let target = exe.ancestors().nth(3).context("the test executable lies outside a target directory")?;
    let dir = target.join("guests").join("hello-transform").join(format!("{language:?}").to_lowercase());
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Builds an example of the SDK for Rust.
pub fn rust_example(name: &str) -> Result<PathBuf> {
    rust(name, &out_dir(Language::Rust)?)
}

fn rust(example: &str, out: &Path) -> Result<PathBuf> {
    let mut cargo = clean("cargo");
    cargo.args(["build", "--locked", "--quiet", "--profile", "guest", "--target", "wasm32-wasip2"]);
    cargo.args(["--package", example, "--target-dir"]).arg(out).current_dir(root());
    run(&mut cargo)?;
    Ok(out.join("wasm32-wasip2/guest").join(format!("{}.wasm", example.replace('-', "_"))))
}

fn python(out: &Path) -> Result<Built> {
    let Some(tool) = find("componentize-py", &[]) else {
        return Ok(Built::Missing("componentize-py is not installed (pip install componentize-py==0.25.1)".into()));
    };
    let component = out.join("hello-transform.wasm");
    let mut build = Command::new(tool);
    build.args([
        "-d",
        "wit",
        "-w",
        WORLD,
        "componentize",
        "-s",
        "-p",
        "sdk/python/examples/hello-transform",
        "app",
        "-o",
    ]);
    run(build.arg(&component).current_dir(root()))?;
    Ok(Built::Component(component))
}

fn javascript(out: &Path) -> Result<Built> {
    let source = root().join("sdk/typescript/examples/hello-transform");
    let Some(tool) = find("componentize-qjs", &[source.join("node_modules/.bin")]) else {
        return Ok(Built::Missing(
            "componentize-qjs is not installed (npm install --global componentize-qjs@0.4.5)".into(),
        ));
    };
    let component = out.join("hello-transform.wasm");
    let mut build = Command::new(tool);
    build.args(["--sync", "--stub-wasi", "-w", "wit", "-n", WORLD, "--js"]).arg(source.join("transform.js"));
    run(build.arg("-o").arg(&component).current_dir(root()))?;
    Ok(Built::Component(component))
}

fn c(out: &Path) -> Result<Built> {
    let Some(python) =
        ["python3", "python"].into_iter().find(|p| works(Command::new(p).args(["-m", "ziglang", "version"])))
    else {
        return Ok(Built::Missing("zig is not installed (pip install ziglang==0.17.1)".into()));
    };
    let (mut resolve, world) = contract()?;
    let mut generator = wit_bindgen_c::Opts::default().build();
    generate(&mut *generator, &mut resolve, world, out)?;
    let core = out.join("core.wasm");
    let mut cc = Command::new(python);
    cc.args([
        "-m",
        "ziglang",
        "cc",
        "-target",
        "wasm32-wasi",
        "-mexec-model=reactor",
        "-O2",
        "-s",
        "-Wall",
        "-Werror",
        "-I",
    ]);
    cc.arg(out).arg(root().join("sdk/c/examples/hello-transform/transform.c"));
    cc.arg(out.join("transform_plugin.c")).arg(out.join("transform_plugin_component_type.o")).arg("-o").arg(&core);
    run(&mut cc)?;
    linked(out, &core, Runtime::C)
}

fn go(out: &Path) -> Result<Built> {
    let Some(tool) = find("go", &[PathBuf::from("/usr/local/go/bin")]) else {
        return Ok(Built::Missing("Go is not installed (1.26 or newer)".into()));
    };
    let (mut resolve, world) = contract()?;
    let app = out.join("app");
    let mut generator = wit_bindgen_go::Opts::default().build();
    generate(&mut *generator, &mut resolve, world, &app)?;
    let example = root().join("sdk/go/examples/hello-transform");
    for package in ["export_tidegate_connect_plugin", "export_tidegate_connect_transform"] {
        std::fs::create_dir_all(app.join(package))?;
        for file in
            std::fs::read_dir(example.join(package)).with_context(|| format!("the Go example has no {package}"))?
        {
            let file = file?;
            std::fs::copy(file.path(), app.join(package).join(file.file_name()))?;
        }
    }
    let runtime = root().join("sdk/go/third_party/go.bytecodealliance.org/pkg");
    std::fs::write(
        app.join("go.mod"),
        format!(
            "module wit_component\n\ngo 1.25\n\nrequire go.bytecodealliance.org/pkg v0.4.0\n\n\
             replace go.bytecodealliance.org/pkg => {}\n",
            runtime.display()
        ),
    )?;
    let core = out.join("core.wasm");
    let mut build = Command::new(tool);
    build.envs([
        ("GOOS", "wasip1"),
        ("GOARCH", "wasm"),
        ("GOFLAGS", "-mod=mod"),
        ("GOPROXY", "off"),
        ("GOTOOLCHAIN", "local"),
    ]);
    build
        .args(["build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w -checklinkname=0", "-o"])
        .arg(&core)
        .arg(".");
    run(build.current_dir(&app))?;
    linked(out, &core, Runtime::Go)
}

fn linked(out: &Path, core: &Path, runtime: Runtime) -> Result<Built> {
    let (resolve, world) = contract()?;
    let component = out.join("hello-transform.wasm");
    std::fs::write(&component, link::component(std::fs::read(core)?, &resolve, world, runtime)?)?;
    Ok(Built::Component(component))
}

fn contract() -> Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root().join("wit"))?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    Ok((resolve, world))
}

fn generate(generator: &mut dyn WorldGenerator, resolve: &mut Resolve, world: WorldId, dir: &Path) -> Result<()> {
    let mut files = Files::default();
    generator.generate(resolve, world, &mut files)?;
    for (name, contents) in files.iter() {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder"))?;
        std::fs::write(path, contents)?;
    }
    Ok(())
}

/// A cargo whose environment does not carry the settings of the cargo that runs this test.
fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if (text.starts_with("CARGO") && text != "CARGO_HOME") || text.starts_with("RUSTFLAGS") || text == "RUSTC" {
            command.env_remove(&name);
        }
    }
    command
}

/// Where a program lies: in one of the given folders or on the search path.
fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    folders.iter().cloned().chain(std::env::split_paths(&path)).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
