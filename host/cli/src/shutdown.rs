//! How the process is told to stop: SIGINT or SIGTERM. The first asks, the second insists.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Failure;

/// Where the wish to stop is seen. Clones see the same.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown(watch::Receiver<bool>);

/// The exit code of a process that did not get to stop by itself.
const INSISTED: i32 = 1;

impl Shutdown {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Shutdown, Failure> {
        let unheard = |error| Failure::new("the program cannot listen for signals").detail(error);
        let interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
        let terminate = signal(SignalKind::terminate()).map_err(unheard)?;
        let (wish, seen) = watch::channel(false);
        tokio::spawn(hear(interrupt, terminate, wish));
        Ok(Shutdown(seen))
    }

    /// Ready once the process shall stop.
    pub(crate) async fn wanted(&self) {
        let mut seen = self.0.clone();
        // An error means that nobody listens any more, which is the end as well.
        let _ = seen.wait_for(|wanted| *wanted).await;
    }
}

async fn hear(mut interrupt: Signal, mut terminate: Signal, wish: watch::Sender<bool>) {
    either(&mut interrupt, &mut terminate).await;
    tracing::info!("stopping; a second signal ends the process at once");
    wish.send_replace(true);
    either(&mut interrupt, &mut terminate).await;
    tracing::warn!("ended by a second signal");
    std::process::exit(INSISTED);
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
