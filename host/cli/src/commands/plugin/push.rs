//! `tidegate plugin push`: a component becomes a plugin of a running worker.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use futures_util::stream;
use indicatif::{ProgressBar, ProgressStyle};

use super::{UrlArg, read_component};
use crate::failure::Failure;
use crate::output::{say, say_json};
use crate::rest::Rest;

#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    #[command(flatten)]
    worker: UrlArg,
    /// Print the plugin as REST answers it.
    #[arg(long)]
    json: bool,
}

/// Bytes that are sent at a time, and by which the bar moves.
const PIECE_BYTES: usize = 64 << 10;

impl Push {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let component = Bytes::from(read_component(&self.file)?);
        let rest = Rest::new(&self.worker.url)?;
        let bar = progress_bar(component.len() as u64);
        let what = format!("\"{}\" was refused", self.file.display());
        let answer = rest.post_bytes(&["plugins"], component.len() as u64, body(component, bar.clone()), &what).await;
        bar.finish_and_clear();
        let plugin = answer?;
        if self.json {
            return say_json(&plugin);
        }
        let text = |key: &str| plugin[key].as_str().unwrap_or_default().to_owned();
        say(format_args!("{} {} is ready", text("name"), text("version")))?;
        say(format_args!("  digest  {}", text("digest")))?;
        for definition in plugin["definitions"].as_array().into_iter().flatten() {
            let text = |key: &str| definition[key].as_str().unwrap_or_default();
            say(format_args!("  {}  {}", text("kind"), text("name")))?;
        }
        Ok(())
    }
}

/// Shown when stderr is a terminal, and silent otherwise.
fn progress_bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style = ProgressStyle::with_template("{msg} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message("uploading");
    bar
}

/// The component in pieces, each of which moves the bar. Once all are sent the worker compiles, which takes a while.
fn body(component: Bytes, bar: ProgressBar) -> reqwest::Body {
    let pieces = stream::unfold((component, bar), |(mut left, bar)| async move {
        if left.is_empty() {
            bar.set_message("sent, the worker checks and compiles it");
            bar.enable_steady_tick(Duration::from_millis(200));
            return None;
        }
        let piece = left.split_to(left.len().min(PIECE_BYTES));
        bar.inc(piece.len() as u64);
        Some((Ok::<Bytes, io::Error>(piece), (left, bar)))
    });
    reqwest::Body::wrap_stream(pieces)
}
