//! `tidegate plugin new`: a folder with the smallest plugin of a kind, its tests and its README, and a line that says what
//! to do next.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::output::say;

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The plugin's name, which is also the folder's: small letters, digits and hyphens.
    name: String,
    /// The language to write it in.
    #[arg(long, value_enum)]
    lang: Language,
    /// What it shall be.
    #[arg(long, value_enum, default_value = "transform")]
    kind: Kind,
    /// The SDK's folder (sdk/rust of a checkout); found by itself inside a checkout.
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Language {
    Rust,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Source,
    Sink,
    Transform,
    Predicate,
    Converter,
}

/// A file of a template: where it goes and what is in it before the names are filled in.
type Template = (&'static str, &'static str);

const CARGO: Template = ("Cargo.toml", include_str!("../../../templates/rust/Cargo.toml.template"));
const GITIGNORE: Template = (".gitignore", "/target\n");
const README_TEST: Template = ("tests/readme.rs", include_str!("../../../templates/rust/readme.rs.template"));

macro_rules! of_kind {
    ($kind:literal) => {
        [
            CARGO,
            GITIGNORE,
            ("README.md", include_str!(concat!("../../../templates/rust/", $kind, ".md.template"))),
            ("src/lib.rs", include_str!(concat!("../../../templates/rust/", $kind, ".rs.template"))),
            README_TEST,
        ]
    };
}

impl Kind {
    fn templates(self) -> [Template; 5] {
        match self {
            Kind::Source => of_kind!("source"),
            Kind::Sink => of_kind!("sink"),
            Kind::Transform => of_kind!("transform"),
            Kind::Predicate => of_kind!("predicate"),
            Kind::Converter => of_kind!("converter"),
        }
    }
}

impl New {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Language::Rust = self.lang;
        check_name(&self.name)?;
        let folder = Path::new(&self.name);
        if folder.exists() {
            return Err(Failure::new(format!("\"{}\" exists already", self.name)).hint("choose another name"));
        }
        let sdk = match self.sdk {
            Some(path) => check_sdk(&path)?,
            None => find_sdk()?,
        };
        write_files(folder, &self.kind.templates(), &Names { package: &self.name, sdk: &sdk })?;
        say(format_args!("made {}", self.name))?;
        say(format_args!("next: cd {0} && cargo test && tidegate plugin build", self.name))
    }
}

/// What stands in templates between `{{` and `}}`.
struct Names<'n> {
    package: &'n str,
    /// The SDK's folder, absolute.
    sdk: &'n str,
}

impl Names<'_> {
    fn fill(&self, template: &str) -> String {
        template
            .replace("{{package}}", self.package)
            .replace("{{crate}}", &self.package.replace('-', "_"))
            .replace("{{Type}}", &type_name(self.package))
            .replace("{{sdk}}", &self.sdk.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn check_name(name: &str) -> Result<(), Failure> {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.split('-').all(is_word) {
        return Ok(());
    }
    Err(Failure::usage(format!("\"{name}\" cannot be a plugin's name"))
        .hint("use small letters, digits and hyphens, a letter first, as in my-plugin"))
}

/// `my-plugin` as a type: `MyPlugin`.
fn type_name(package: &str) -> String {
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    package.split('-').map(capital).collect()
}

/// The SDK of the checkout around the working directory.
fn find_sdk() -> Result<String, Failure> {
    let here = PathBuf::from(crate::app::working_directory()?);
    let found = here.ancestors().map(|folder| folder.join("sdk/rust")).find(|sdk| is_sdk(sdk));
    let missing = || {
        Failure::usage("the SDK for Rust was not found")
            .detail("it is not published to a registry yet, and this is not inside a checkout of Tidegate")
            .hint("name it with --sdk PATH, where PATH is the folder sdk/rust of a checkout")
    };
    check_sdk(&found.ok_or_else(missing)?)
}

fn is_sdk(folder: &Path) -> bool {
    fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|manifest| manifest.contains("name = \"tidegate-sdk\""))
}

fn check_sdk(folder: &Path) -> Result<String, Failure> {
    let shown = folder.display();
    if !is_sdk(folder) {
        return Err(Failure::usage(format!("\"{shown}\" is not the SDK for Rust"))
            .hint("name the folder sdk/rust of a checkout of Tidegate"));
    }
    let absolute = folder.canonicalize().map_err(|error| Failure::new(format!("\"{shown}\" is gone")).detail(error))?;
    absolute
        .into_os_string()
        .into_string()
        .map_err(|name| Failure::usage(format!("the path \"{}\" is not UTF-8", name.display())))
}

/// All files or none.
fn write_files(folder: &Path, files: &[Template], names: &Names<'_>) -> Result<(), Failure> {
    let write = || {
        for (path, template) in files {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, names.fill(template))?;
        }
        Ok(())
    };
    write().map_err(|error: std::io::Error| {
        // The folder was not there before; if it cannot be removed, the first error says why.
        let _ = fs::remove_dir_all(folder);
        Failure::new(format!("\"{}\" cannot be made", folder.display())).detail(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_cargo_and_rust_take() {
        for good in ["a", "my-plugin", "mask2-it"] {
            check_name(good).unwrap();
        }
        for bad in ["", "A", "2a", "a-", "a--b", "../a", "a_b", "ä"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(type_name("my-plugin2"), "MyPlugin2");
    }

    #[test]
    fn a_template_has_no_names_left_to_fill_in() {
        let names = Names { package: "my-plugin", sdk: "/somewhere/sdk/rust" };
        for (path, template) in Kind::value_variants().iter().flat_map(|kind| kind.templates()) {
            let text = names.fill(template);
            for left in ["{{package", "{{crate", "{{Type", "{{sdk"] {
                assert!(!text.contains(left), "{path}:\n{text}");
            }
        }
    }
}
