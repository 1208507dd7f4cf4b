//! Who runs what: a pure function of who is there and who runs what now.
//!
//! It keeps every valid owner, places what has none on the least loaded worker while spreading a connector's instances,
//! and then evens out the load within a budget of moves. It keeps no memory of its own: asked twice it answers the same,
//! and once the load differs by at most one it moves nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::id::{ConnectorKey, Incarnation, Subject};

/// A change of owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The new owner.
    pub owner: Incarnation,
    /// Whether it was taken from a live worker to even out the load.
    pub moved: bool,
}

/// What changes when `workers` share the keys of `owners`, moving at most `moves_max` instances of live workers.
pub fn assign(
    workers: &BTreeSet<Incarnation>,
    owners: &BTreeMap<Subject, Option<Incarnation>>,
    moves_max: usize,
) -> BTreeMap<Subject, Placement> {
    let mut loads = Loads::new(workers);
    let mut unowned = Vec::new();
    for (subject, owner) in owners {
        match owner.as_ref().filter(|owner| workers.contains(*owner)) {
            Some(owner) => loads.add(owner, subject),
            None => unowned.push(subject),
        }
    }

    let mut changes = BTreeMap::new();
    for subject in unowned {
        let Some(owner) = loads.least_for(&subject.connector) else { break };
        loads.add(&owner, subject);
        changes.insert(subject.clone(), Placement { owner, moved: false });
    }

    for _ in 0..moves_max {
        let Some((from, to)) = loads.imbalance() else { break };
        let candidates = owners.keys().filter(|subject| !changes.contains_key(*subject) && loads.has(&from, subject));
        // The connector that crowds the worker most gives one away; the last of equals, so that task 0 stays.
        let Some(subject) = candidates.max_by_key(|subject| loads.of_connector(&from, &subject.connector)) else {
            break;
        };
        loads.remove(&from, subject);
        loads.add(&to, subject);
        changes.insert(subject.clone(), Placement { owner: to, moved: true });
    }
    changes
}

/// What each worker would run.
struct Loads {
    by_worker: BTreeMap<Incarnation, BTreeMap<ConnectorKey, BTreeSet<Subject>>>,
}

impl Loads {
    fn new(workers: &BTreeSet<Incarnation>) -> Loads {
        Loads { by_worker: workers.iter().map(|worker| (worker.clone(), BTreeMap::new())).collect() }
    }

    fn add(&mut self, worker: &Incarnation, subject: &Subject) {
        let load = self.by_worker.entry(worker.clone()).or_default();
        load.entry(subject.connector.clone()).or_default().insert(subject.clone());
    }

    fn remove(&mut self, worker: &Incarnation, subject: &Subject) {
        if let Some(subjects) = self.by_worker.get_mut(worker).and_then(|load| load.get_mut(&subject.connector)) {
            subjects.remove(subject);
        }
    }

    fn has(&self, worker: &Incarnation, subject: &Subject) -> bool {
        self.by_worker[worker].get(&subject.connector).is_some_and(|subjects| subjects.contains(subject))
    }

    fn of_connector(&self, worker: &Incarnation, connector: &ConnectorKey) -> usize {
        self.by_worker[worker].get(connector).map_or(0, BTreeSet::len)
    }

    fn total(&self, worker: &Incarnation) -> usize {
        self.by_worker[worker].values().map(BTreeSet::len).sum()
    }

    fn least_for(&self, connector: &ConnectorKey) -> Option<Incarnation> {
        let order = |worker: &&Incarnation| (self.total(worker), self.of_connector(worker, connector));
        self.by_worker.keys().min_by_key(order).cloned()
    }

    /// The most and the least loaded worker when their loads differ by more than one.
    fn imbalance(&self) -> Option<(Incarnation, Incarnation)> {
        let most = self.by_worker.keys().max_by_key(|worker| self.total(worker))?;
        let least = self.by_worker.keys().min_by_key(|worker| self.total(worker))?;
        (self.total(most) > self.total(least) + 1).then(|| (most.clone(), least.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Instance;
    use proptest::prelude::*;

    fn worker(index: usize) -> Incarnation {
        Incarnation(format!("w{index}"))
    }

    fn workers(count: usize) -> BTreeSet<Incarnation> {
        (0..count).map(worker).collect()
    }

    fn tasks(connector: &str, count: u32) -> impl Iterator<Item = Subject> {
        (0..count).map(move |task| ConnectorKey::plain(connector).subject(Instance::Task(task)))
    }

    fn settle(owners: &mut BTreeMap<Subject, Option<Incarnation>>, changes: BTreeMap<Subject, Placement>) {
        for (subject, placement) in changes {
            owners.insert(subject, Some(placement.owner));
        }
    }

    fn loads(owners: &BTreeMap<Subject, Option<Incarnation>>, count: usize) -> Vec<usize> {
        (0..count).map(|index| owners.values().filter(|owner| **owner == Some(worker(index))).count()).collect()
    }

    #[test]
    fn tasks_of_one_connector_spread() {
        let mut owners: BTreeMap<_, _> = tasks("a", 3).chain(tasks("b", 3)).map(|subject| (subject, None)).collect();
        let changes = assign(&workers(3), &owners, 0);
        settle(&mut owners, changes);
        for connector in ["a", "b"] {
            let on: BTreeSet<_> = tasks(connector, 3).map(|subject| owners[&subject].clone()).collect();
            assert_eq!(on.len(), 3, "{connector}: {owners:?}");
        }
    }

    #[test]
    fn without_workers_nothing_is_placed() {
        let owners = tasks("a", 2).map(|subject| (subject, Some(worker(7)))).collect();
        assert!(assign(&workers(0), &owners, 10).is_empty());
    }

    proptest! {
        #[test]
        fn owners_that_are_there_stay_without_moves(
            owned in prop::collection::vec(prop::option::of(0usize..5), 0..40), count in 1usize..5,
        ) {
            let owners: BTreeMap<_, _> =
                tasks("c", owned.len() as u32).zip(owned.iter().map(|owner| owner.map(worker))).collect();
            let changes = assign(&workers(count), &owners, 0);
            for (subject, owner) in &owners {
                let live = owner.as_ref().is_some_and(|owner| workers(count).contains(owner));
                prop_assert_eq!(changes.contains_key(subject), !live);
            }
        }

        #[test]
        fn a_new_worker_gets_its_share_and_then_all_is_quiet(count in 1usize..6, n in 0u32..60) {
            let mut owners: BTreeMap<_, _> = tasks("c", n).map(|subject| (subject, None)).collect();
            let changes = assign(&workers(count), &owners, 0);
            settle(&mut owners, changes);
            let mut moves = 0;
            for _ in 0..=n {
                let changes = assign(&workers(count + 1), &owners, 1);
                moves += changes.len();
                settle(&mut owners, changes);
            }
            let loads = loads(&owners, count + 1);
            prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{:?}", loads);
            prop_assert!(moves <= (n as usize).div_ceil(count + 1) + 1, "{} moves", moves);
            prop_assert!(assign(&workers(count + 1), &owners, usize::MAX).is_empty());
        }
    }
}
