//! How a running task is told to pause, resume, stop, or to be gone.

use std::future::Future;
use std::time::Duration;

use tidegate_herder::Failure;
use tokio::sync::{mpsc, oneshot, watch};

/// What a task is told. Each is answered when it has taken effect.
#[derive(Debug)]
pub(crate) enum Command {
    Pause(oneshot::Sender<()>),
    Resume(oneshot::Sender<()>),
    /// Commit what can be committed within the grace, and end.
    Stop(Duration, oneshot::Sender<()>),
}

/// Commands that may wait; the control plane sends one at a time.
const COMMANDS_MAX: usize = 8;

/// The outside of a running task. Clones control the same task.
#[derive(Clone, Debug)]
pub(crate) struct TaskHandle {
    commands: mpsc::Sender<Command>,
    killed: watch::Sender<bool>,
}

/// The inside: where a task hears of commands.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) commands: mpsc::Receiver<Command>,
    killed: watch::Receiver<bool>,
}

/// A task was told to be gone at once.
#[derive(Debug)]
pub(crate) struct Killed;

pub(crate) fn channel() -> (TaskHandle, Control) {
    let (commands, received) = mpsc::channel(COMMANDS_MAX);
    let (killed, seen) = watch::channel(false);
    (TaskHandle { commands, killed }, Control { commands: received, killed: seen })
}

impl TaskHandle {
    pub(crate) async fn pause(&self) -> Result<(), Failure> {
        self.tell(Command::Pause).await
    }

    pub(crate) async fn resume(&self) -> Result<(), Failure> {
        self.tell(Command::Resume).await
    }

    /// Ready when the task has ended, whatever became of it.
    pub(crate) async fn stop(&self, grace: Duration) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Stop(grace, reply)).await.is_ok() {
            // A task that failed meanwhile drops the reply; either way it is gone.
            let _ = done.await;
        }
    }

    /// Ends the task without its help.
    pub(crate) fn kill(&self) {
        self.killed.send_replace(true);
    }

    /// A task that has ended has failed; its failure was reported, so the command is simply done.
    async fn tell(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) -> Result<(), Failure> {
        let (reply, done) = oneshot::channel();
        if self.commands.send(command(reply)).await.is_ok() {
            let _ = done.await;
        }
        Ok(())
    }
}

impl Control {
    /// Runs a future until it is ready or the task is killed. A killed future is dropped, and with it the guest's call.
    pub(crate) async fn unless_killed<T>(&self, work: impl Future<Output = T>) -> Result<T, Killed> {
        let mut killed = self.killed.clone();
        tokio::select! {
            biased;
            _ = killed.wait_for(|killed| *killed) => Err(Killed),
            done = work => Ok(done),
        }
    }

    pub(crate) fn is_killed(&self) -> bool {
        *self.killed.borrow()
    }
}
