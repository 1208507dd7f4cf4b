//! Stories nobody thought of: random requests, failures, delays, crashes and joins. [`World`] checks on every step that
//! no run starts twice or beside another of its instance, that epochs rise by one, that the log says what the leader
//! thinks, and that every request has an outcome; at the end everything must have come to rest as wanted.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tidegate_herder::cluster::worker::{self, CallError};
use tidegate_herder::cluster::{Body, ConnectorKey, Millis, RestartScope, Write};
use tidegate_herder::{RestartPolicy, Target};

use crate::world::{World, boom, fold, put, restarts, with_restarts};

#[derive(Clone, Debug)]
enum Action {
    Create { name: u8, tasks: u32, target: Target },
    Put { name: u8, tasks: u32, x: u8 },
    Delete { name: u8 },
    SetTarget { name: u8, target: Target },
    RestartTask { name: u8, index: u32 },
    RestartConnector { name: u8, include_tasks: bool, only_failed: bool },
    Read { worker: u8 },
    Hear { worker: u8 },
    Return { worker: u8, call: usize, error: Option<bool> },
    Fail { worker: u8, run: usize },
    Reconfigure { worker: u8, run: usize },
    Wait { duration_ms: u64 },
    Join { worker: u8 },
    Lose { worker: u8 },
    NewLeader,
    Reboot,
    ReadAgain { request: usize },
    AskAgain { request: usize },
    HearLate { word: usize },
}

fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    let target = prop_oneof![Just(Target::Running), Just(Target::Paused), Just(Target::Stopped)];
    let (name, worker) = (0u8..3, 0u8..3);
    prop_oneof![
        3 => (name.clone(), 0u32..4, target.clone()).prop_map(|(name, tasks, target)| Create { name, tasks, target }),
        2 => (name.clone(), 0u32..4, 0u8..2).prop_map(|(name, tasks, x)| Put { name, tasks, x }),
        2 => name.clone().prop_map(|name| Delete { name }),
        3 => (name.clone(), target).prop_map(|(name, target)| SetTarget { name, target }),
        2 => (name.clone(), 0u32..4).prop_map(|(name, index)| RestartTask { name, index }),
        2 => (name, any::<bool>(), any::<bool>()).prop_map(|(name, include_tasks, only_failed)| RestartConnector {
            name, include_tasks, only_failed
        }),
        20 => worker.clone().prop_map(|worker| Read { worker }),
        15 => worker.clone().prop_map(|worker| Hear { worker }),
        20 => (worker.clone(), 0usize..8, prop_oneof![8 => Just(None), 1 => any::<bool>().prop_map(Some)])
            .prop_map(|(worker, call, error)| Return { worker, call, error }),
        2 => (worker.clone(), 0usize..8).prop_map(|(worker, run)| Fail { worker, run }),
        1 => (worker.clone(), 0usize..8).prop_map(|(worker, run)| Reconfigure { worker, run }),
        3 => prop_oneof![0u64..300, 0u64..7_000].prop_map(|duration_ms| Wait { duration_ms }),
        3 => worker.clone().prop_map(|worker| Join { worker }),
        1 => worker.prop_map(|worker| Lose { worker }),
        1 => Just(NewLeader),
        1 => Just(Reboot),
        1 => (0usize..40).prop_map(|request| ReadAgain { request }),
        1 => (0usize..40).prop_map(|request| AskAgain { request }),
        3 => (0usize..10).prop_map(|word| HearLate { word }),
    ]
}

fn key(name: u8) -> ConnectorKey {
    ConnectorKey::plain(&format!("c{name}"))
}

/// One of the connectors is restarted on its own.
fn policy(name: u8) -> Option<RestartPolicy> {
    (name == 2).then(|| restarts(2))
}

fn act(world: &mut World, action: Action) {
    let name = |worker: u8| format!("w{worker}");
    let there = |world: &World, worker: u8| world.nodes.contains_key(&name(worker));
    let state = world.leader.state();
    let body = match action {
        Action::Create { name, tasks, target } => {
            with_restarts(put(state, &key(name).name, tasks, "", Some(target)), policy(name))
        }
        Action::Put { name, tasks, x } => {
            with_restarts(put(state, &key(name).name, tasks, &x.to_string(), None), policy(name))
        }
        Action::Delete { name } => Body::DeleteConnector { connector: key(name) },
        Action::SetTarget { name, target } => Body::SetTarget { connector: key(name), target },
        Action::RestartTask { name, index } => {
            Body::Restart { connector: key(name), scope: RestartScope::Task { index } }
        }
        Action::RestartConnector { name, include_tasks, only_failed } => {
            Body::Restart { connector: key(name), scope: RestartScope::Connector { include_tasks, only_failed } }
        }
        Action::Join { worker } if !there(world, worker) => return world.join(&name(worker)),
        Action::Lose { worker } => return world.lose(&name(worker)),
        Action::NewLeader => return world.lead(),
        Action::Reboot => return world.reboot(),
        Action::ReadAgain { request } => return world.read_again(request),
        Action::AskAgain { request } => return world.ask_again(request),
        Action::HearLate { word } => return world.hear_late(word),
        Action::Wait { duration_ms } => {
            // Time passes, but nothing else happens by itself.
            world.now = Millis(world.now.0 + duration_ms);
            return world.tick();
        }
        Action::Read { worker } if there(world, worker) => return world.read(&name(worker)),
        Action::Hear { worker } if there(world, worker) => return world.hear(&name(worker)),
        Action::Return { worker, call, error } if there(world, worker) => {
            let worker = name(worker);
            if call < world.node(&worker).calls.len() {
                let error = error.map(|retriable| CallError { retriable, ..boom("refused") });
                world.finish(&worker, call, error);
            }
            return;
        }
        Action::Fail { worker, run } | Action::Reconfigure { worker, run } if there(world, worker) => {
            let worker = name(worker);
            if let Some(run) = world.node(&worker).alive.keys().nth(run).cloned() {
                match action {
                    Action::Fail { .. } => world.fail(&worker, run, boom("boom")),
                    _ => world.step_worker(&worker, worker::Event::Reconfigure(run)),
                }
            }
            return;
        }
        _ => return,
    };
    world.ask(body);
}

/// The log with everything left out that a later record of the same key replaces.
fn compacted(log: &[Vec<Write>]) -> Vec<Write> {
    let writes: Vec<&Write> = log.iter().flatten().collect();
    let last = |index: usize| !writes[index + 1..].iter().any(|later| later.key == writes[index].key);
    (0..writes.len()).filter(|index| last(*index)).map(|index| writes[index].clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_comes_to_rest_as_wanted(actions in prop::collection::vec(action(), 1..120)) {
        let mut world = World::new();
        world.join("w0");
        for action in actions {
            act(&mut world, action);
        }
        prop_assert_eq!(&fold(compacted(&world.log).iter()), world.leader.state());

        let none = BTreeSet::new();
        world.wait(10 * 60 * 1_000, &none);
        world.check_settled();
        let state = world.leader.state();
        let owned = |node: &crate::world::Node| {
            let assigns = state.assigns.values().flat_map(|instances| instances.values());
            assigns.filter(|assign| assign.owner.as_ref() == Some(&node.me)).count()
        };
        let loads: Vec<usize> = world.nodes.values().map(owned).collect();
        let spread = loads.iter().max().unwrap_or(&0) - loads.iter().min().unwrap_or(&0);
        prop_assert!(spread <= 1, "loads {:?}", loads);

        // At rest, nothing moves any more, and answers are forgotten after an hour.
        let before = world.log.len();
        world.wait(50 * 60 * 1_000, &none);
        let moved = world.log[before..].iter().flatten().any(|write| write.key.to_string().starts_with("assign/"));
        prop_assert!(!moved, "something moved at rest");
        world.wait(11 * 60 * 1_000, &none);
        prop_assert!(world.leader.state().outcomes.is_empty());

        // The same again after a restart from the log.
        let connectors = world.leader.state().connectors.clone();
        world.reboot();
        world.wait(10 * 60 * 1_000, &none);
        world.check_settled();
        prop_assert_eq!(&world.leader.state().connectors, &connectors);
        let failed = world.leader.state().assigns.values().flat_map(|instances| instances.values());
        prop_assert!(failed.filter(|assign| assign.failed).count() == 0, "a restart starts what had failed");
    }
}
