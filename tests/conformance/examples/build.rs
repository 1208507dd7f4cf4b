//! Builds `hello-transform` of the languages given on the command line and prints where the components lie.

use tidegate_conformance::build::{Built, Language, hello_transform};

#[allow(clippy::print_stdout, reason = "the result of a command")]
fn main() -> anyhow::Result<()> {
    for name in std::env::args().skip(1) {
        let language = match name.as_str() {
            "rust" => Language::Rust,
            "python" => Language::Python,
            "javascript" => Language::JavaScript,
            "go" => Language::Go,
            "c" => Language::C,
            other => anyhow::bail!("no language \"{other}\""),
        };
        match hello_transform(language)? {
            Built::Component(path) => println!("{name}: {}", path.display()),
            Built::Missing(reason) => println!("{name}: skipped: {reason}"),
        }
    }
    Ok(())
}
