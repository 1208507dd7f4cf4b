//! `tidegate plugin check`: what a worker's door would say, without a worker.

use std::path::PathBuf;

use clap::Args;
use tidegate_config::{Definition, Type};
use tidegate_engine::{Accepted, Engine, EngineConfig};

use super::read_component;
use crate::app;
use crate::failure::Failure;
use crate::output::{bytes, say};

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
}

impl Check {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let component = read_component(&self.file)?;
        let size = component.len();
        let cache = tempfile::tempdir()
            .map_err(|error| Failure::new("no directory for temporary files can be made").detail(error))?;
        let engine = Engine::start(EngineConfig::new(app::compiler()?, cache.path().to_owned()))
            .map_err(|error| Failure::new(error.to_string()))?;
        let checker = engine.clone();
        let checked = engine
            .spawn(async move { checker.check(&component).await })
            .await
            .map_err(|error| Failure::new("the check crashed").detail(error))?;
        let accepted = checked
            .map_err(|refusal| Failure::new(format!("\"{}\" is refused", self.file.display())).detail(refusal))?;
        show(&accepted, size)
    }
}

fn show(accepted: &Accepted, size: usize) -> Result<(), Failure> {
    let plugin = &accepted.description;
    say(format_args!("{} {}", plugin.name, plugin.version))?;
    say(format_args!("  digest   sha256:{}", accepted.plugin.digest()))?;
    say(format_args!("  size     {}", bytes(size as u64)))?;
    say("  imports")?;
    for import in accepted.plugin.imports() {
        say(format_args!("    {import}"))?;
    }
    plugin.definitions.iter().try_for_each(show_definition)
}

fn show_definition(definition: &Definition) -> Result<(), Failure> {
    say(format_args!("  {} {}", definition.kind.name(), definition.name))?;
    for key in definition.keys.iter().filter(|key| !key.internal) {
        let asks = asks_for(key.of_type).map(|what| format!(", asks to {what}")).unwrap_or_default();
        say(format_args!("    {} ({}{asks})", key.name, key.of_type.name()))?;
    }
    Ok(())
}

/// What a key's value lets the plugin do.
fn asks_for(of_type: Type) -> Option<&'static str> {
    match of_type {
        Type::PathRead => Some("read the path it names"),
        Type::PathWrite => Some("write the path it names"),
        Type::Url | Type::HostPort => Some("reach the host it names"),
        Type::ListenAddress => Some("listen on the address it names"),
        Type::Password | Type::Secret => Some("know a secret"),
        Type::Boolean
        | Type::String
        | Type::Int
        | Type::Short
        | Type::Long
        | Type::Double
        | Type::List
        | Type::Class => None,
    }
}
