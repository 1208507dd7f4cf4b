//! Keeps earlier incarnations of a connector's tasks from writing, before tasks of a new one ask where to go on.
//!
//! A task's own producer fences its predecessor of the same number. That is not enough where there were or will be several
//! tasks: what one of them brought may now be another's to bring. So the first task of each set of task configurations takes
//! over every transactional id that may be in use, and only then does any of them read offsets.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_herder::{ConnectorKey, Failure, Instance, RunId};
use tidegate_kafka::{ClientSettings, KafkaError};

use crate::source_task::take_over;

/// Ids that are fenced though this process has not used them: at most so many tasks may have run elsewhere before.
const EARLIER_TASKS_MAX: u32 = 128;
/// Ids that are fenced side by side: each needs a client, with its threads.
const AT_ONCE: usize = 8;
/// How long one id may take: its open transaction is aborted first.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How the transactional ids of a connector's tasks are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incarnation<'a> {
    pub(crate) group: &'a str,
    pub(crate) connector: &'a str,
    /// The connector's `transactional.id`.
    pub(crate) prefix: Option<&'a str>,
}

impl Incarnation<'_> {
    /// As Kafka Connect names it, unless the connector says otherwise.
    pub(crate) fn transactional_id(&self, task: u32) -> String {
        match self.prefix {
            Some(prefix) => format!("{prefix}-{task}"),
            None => format!("{}-{}-{task}", self.group, self.connector),
        }
    }
}

/// Which ids each connector has used, and for which set of task configurations they were fenced last.
#[derive(Debug, Default)]
pub(crate) struct Fencing {
    connectors: Mutex<HashMap<ConnectorKey, Arc<tokio::sync::Mutex<Fenced>>>>,
}

#[derive(Debug, Default)]
struct Fenced {
    /// Incarnation of the connector and generation of its tasks.
    done_for: Option<(u64, u64)>,
    ids: BTreeSet<String>,
}

impl Fencing {
    /// Sees to it that nobody but the tasks of this generation can write. `tasks` is how many there are, or may have been.
    /// Tasks that start together wait for the first of them.
    pub(crate) async fn begin(
        &self,
        run: &RunId,
        generation: u64,
        names: &Incarnation<'_>,
        tasks: u32,
        client: impl Fn(&str) -> Result<ClientSettings, Failure>,
    ) -> Result<(), Failure> {
        let entry = self.lock().entry(run.subject.connector.clone()).or_default().clone();
        let mut fenced = entry.lock().await;
        if let Instance::Task(task) = run.subject.instance {
            fenced.ids.insert(names.transactional_id(task));
        }
        if fenced.done_for == Some((run.uid, generation)) {
            return Ok(());
        }
        fenced.ids.extend((0..tasks.min(EARLIER_TASKS_MAX)).map(|task| names.transactional_id(task)));
        // A single task's own start fences the only one there was.
        if fenced.ids.len() > 1 {
            let clients = fenced.ids.iter().map(|id| client(id)).collect::<Result<Vec<_>, _>>()?;
            let fencing = tokio::task::spawn_blocking(move || fence(&clients));
            fencing
                .await
                .unwrap_or_else(|crash| Err(Failure::fatal(format!("fencing earlier tasks crashed: {crash}"))))?;
        }
        fenced.done_for = Some((run.uid, generation));
        Ok(())
    }

    /// Forgets a connector of which nothing runs.
    pub(crate) fn forget(&self, connector: &ConnectorKey) {
        self.lock().remove(connector);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectorKey, Arc<tokio::sync::Mutex<Fenced>>>> {
        self.connectors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes over each of the ids and lets go of it.
fn fence(clients: &[ClientSettings]) -> Result<(), Failure> {
    let share = clients.len().div_ceil(AT_ONCE).max(1);
    let fence_all =
        |clients: &[ClientSettings]| clients.iter().try_for_each(|client| take_over(client, TIMEOUT).map(drop));
    let fenced: Vec<Result<(), KafkaError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = clients.chunks(share).map(|share| scope.spawn(|| fence_all(share))).collect();
        threads.into_iter().map(|thread| thread.join().expect("fencing does not panic")).collect()
    });
    fenced
        .into_iter()
        .collect::<Result<(), _>>()
        .map_err(|error| Failure::retriable(format!("earlier tasks of the connector could not be fenced: {error}")))
}

/// What somebody does whose task has lost its transactional id.
pub(crate) fn timeout_hint(task: &str) -> String {
    format!(
        "hint: either another worker runs task {task}, or a transaction was open longer than transaction.timeout.ms: then \
         make transactions smaller (batch.size, transaction.boundary) or raise producer.override.transaction.timeout.ms"
    )
}

#[cfg(test)]
mod tests {
    use tidegate_broker::{Broker, BrokerConfig};
    use tidegate_herder::Instance;
    use tidegate_kafka::OutRecord;

    use super::*;

    #[test]
    fn ids_are_connects_unless_the_connector_names_its_own() {
        let mut names = Incarnation { group: "g", connector: "orders", prefix: None };
        assert_eq!(names.transactional_id(3), "g-orders-3");
        names.prefix = Some("shop");
        assert_eq!(names.transactional_id(0), "shop-0");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_generation_fences_earlier_tasks_that_it_has_no_successor_for_and_later_ones_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let broker = Broker::start(BrokerConfig::new(([127, 0, 0, 1], 0).into(), dir.path().to_owned())).unwrap();
        let bootstrap = broker.address().to_string();
        let client = |id: &str| Ok(ClientSettings::for_transactional_producer(&bootstrap, id, 1 << 20));
        let names = Incarnation { group: "g", connector: "c", prefix: None };
        let run = RunId { subject: ConnectorKey::plain("c").subject(Instance::Task(0)), uid: 1, epoch: 1 };
        let fencing = Fencing::default();
        let task = |number| {
            let mut producer = take_over(&client(&names.transactional_id(number)).unwrap(), TIMEOUT).unwrap();
            producer.begin_transaction().unwrap();
            let record = OutRecord { topic: "t", value: Some(b"x"), ..OutRecord::default() };
            assert_eq!(producer.produce(&[record], TIMEOUT).accepted, 1);
            producer
        };

        fencing.begin(&run, 1, &names, 3, client).await.unwrap();
        let (mut first, mut last) = (task(0), task(2));
        // A task that starts again among its fellows is none of their business.
        fencing.begin(&run, 1, &names, 3, client).await.unwrap();
        first.commit_transaction(TIMEOUT).unwrap();
        fencing.begin(&run, 2, &names, 1, client).await.unwrap();
        assert!(matches!(last.commit_transaction(TIMEOUT), Err(KafkaError::Fenced { .. })));
        drop((first, last));
        broker.stop().await;
    }
}
