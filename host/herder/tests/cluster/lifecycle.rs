//! Stories: what is asked, what is done, what status says in the end.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use tidegate_herder::Target;
use tidegate_herder::cluster::worker::{self, CallError};
use tidegate_herder::cluster::{Body, ConnectorKey, Instance, Outcome, RestartScope, RunId, Subject};

use crate::world::{World, boom, put, restarts, with_restarts};

/// Plays `script`, one statement after the other, each until nothing more happens, and compares what was done. What `&`
/// joins happens at once: nobody has heard of the first when the second comes.
fn check(script: &str, expected: Expect) {
    let mut world = World::new();
    let mut hung = BTreeSet::new();
    for statement in script.split(';').map(str::trim) {
        world.told.push(format!("> {statement}"));
        statement.split(" & ").for_each(|part| play(&mut world, &mut hung, part));
        world.settle(&hung);
    }
    let last = match statuses(&world) {
        empty if empty.is_empty() => "nothing".to_owned(),
        statuses => statuses.join(", "),
    };
    world.told.push(format!("= {last}"));
    if hung.is_empty() {
        world.check_settled();
    }
    expected.assert_eq(&(world.told.join("\n") + "\n"));
}

fn play(world: &mut World, hung: &mut BTreeSet<String>, statement: &str) {
    let words: Vec<&str> = statement.split(' ').collect();
    let state = world.leader.state().clone();
    let option = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let tasks = || option("tasks").map_or(1, |count| count.parse().unwrap());
    let flag = |name: &str| words[2..].contains(&name);
    let policy = || option("restarts").map(|attempts| restarts(attempts.parse().unwrap()));
    let body = match words[0] {
        "join" => return world.join(words[1]),
        "lose" => return world.lose(words[1]),
        "reboot" => return world.reboot(),
        "leave" => return world.step_worker(words[1], worker::Event::Leave),
        "hang" => {
            hung.insert(words[1].to_owned());
            return;
        }
        "unhang" => {
            hung.remove(words[1]);
            return;
        }
        "status" => {
            let line = format!("  {}", statuses(world).join(", "));
            return world.told.push(line);
        }
        "wait" => return world.wait(words[1].strip_suffix('s').unwrap().parse::<u64>().unwrap() * 1_000, hung),
        "fail" => {
            let (name, run) = running(world, words[1]);
            let error = CallError { invalid: flag("invalid"), ..boom(words[2]) };
            return world.fail(&name, run, error);
        }
        "return" => {
            let (name, run) = running(world, words[1]);
            let index = world.node(&name).calls.iter().position(|(id, _)| *id == run).unwrap();
            let error = CallError { retriable: flag("retriable"), ..boom(words[2]) };
            return world.finish(&name, index, Some(error));
        }
        "late" => {
            while !world.late.is_empty() {
                world.hear_late(0);
            }
            return;
        }
        "reconfigure" => {
            let (name, run) = running(world, words[1]);
            return world.step_worker(&name, worker::Event::Reconfigure(run));
        }
        "create" => {
            let target = match words.get(2) {
                Some(&"paused") => Target::Paused,
                Some(&"stopped") => Target::Stopped,
                _ => Target::Running,
            };
            with_restarts(put(&state, words[1], tasks(), "", Some(target)), policy())
        }
        "put" => with_restarts(put(&state, words[1], tasks(), option("x").unwrap_or_default(), None), policy()),
        "delete" => Body::DeleteConnector { connector: ConnectorKey::plain(words[1]) },
        "pause" => Body::SetTarget { connector: ConnectorKey::plain(words[1]), target: Target::Paused },
        "resume" => Body::SetTarget { connector: ConnectorKey::plain(words[1]), target: Target::Running },
        "stop" => Body::SetTarget { connector: ConnectorKey::plain(words[1]), target: Target::Stopped },
        "restart" => {
            let Subject { connector, instance } = subject(words[1]);
            let scope = match instance {
                Instance::Task(index) => RestartScope::Task { index },
                Instance::Connector => {
                    RestartScope::Connector { include_tasks: flag("tasks"), only_failed: flag("failed") }
                }
            };
            Body::Restart { connector, scope }
        }
        other => panic!("unknown statement {other:?}"),
    };
    match world.ask(body) {
        Outcome::Done | Outcome::Created | Outcome::Restarting { .. } => {}
        refused => world.told.push(format!("  {refused:?}")),
    }
}

fn subject(text: &str) -> Subject {
    match text.split_once('/') {
        None => ConnectorKey::plain(text).subject(Instance::Connector),
        Some((name, index)) => ConnectorKey::plain(name).subject(Instance::Task(index.parse().unwrap())),
    }
}

fn running(world: &World, text: &str) -> (String, RunId) {
    let subject = subject(text);
    let alive = world.nodes.iter().flat_map(|(name, node)| node.alive.keys().map(move |run| (name, run)));
    let (name, run) = alive.into_iter().find(|(_, run)| run.subject == subject).expect("it runs somewhere");
    (name.clone(), run.clone())
}

fn statuses(world: &World) -> Vec<String> {
    let state = world.leader.state();
    let mut lines = Vec::new();
    for key in state.connectors.keys() {
        let tasks = (0..state.task_count(key)).map(Instance::Task);
        for subject in std::iter::once(Instance::Connector).chain(tasks).map(|instance| key.subject(instance)) {
            lines.push(match world.status(&subject) {
                None => format!("{subject} UNASSIGNED"),
                Some((name, status)) => {
                    let trace = status.trace.as_ref().map(|trace| format!(" {trace:?}")).unwrap_or_default();
                    let on = if world.nodes.len() > 1 { format!(" on {name}") } else { String::new() };
                    let restart = status.restart.map(|restart| {
                        let due = restart.at.map(|at| format!(" in {}ms", at.since(world.now))).unwrap_or_default();
                        format!(" ({} of {:?}{due})", restart.attempts, restart.attempts_max.unwrap_or_default())
                    });
                    format!("{subject} {}{on}{trace}{}", status.state, restart.unwrap_or_default())
                }
            });
        }
    }
    lines
}

#[test]
fn a_created_connector_starts_is_asked_and_its_tasks_start() {
    check(
        "join w; create c tasks=2",
        expect![[r#"
        > join w
        > create c tasks=2
          w: start c@1
          w: ask c@1
          w: start c/0@1
          w: start c/1@1
        = c RUNNING, c/0 RUNNING, c/1 RUNNING
    "#]],
    );
}

#[test]
fn a_restart_after_a_failure_runs_again_under_the_next_epoch() {
    check(
        "join w; create c tasks=2; fail c/0 boom; restart c tasks failed",
        expect![[r#"
        > join w
        > create c tasks=2
          w: start c@1
          w: ask c@1
          w: start c/0@1
          w: start c/1@1
        > fail c/0 boom
          w: abandon c/0@1
        > restart c tasks failed
          w: start c/0@2
        = c RUNNING, c/0 RUNNING, c/1 RUNNING
    "#]],
    );
}

#[test]
fn a_failed_task_stays_failed_and_others_run_on() {
    check(
        "join w; create c tasks=2; fail c/0 boom; pause c; resume c",
        expect![[r#"
        > join w
        > create c tasks=2
          w: start c@1
          w: ask c@1
          w: start c/0@1
          w: start c/1@1
        > fail c/0 boom
          w: abandon c/0@1
        > pause c
          w: pause c@1
          w: pause c/1@1
        > resume c
          w: resume c@1
          w: resume c/1@1
          w: ask c@1
        = c RUNNING, c/0 FAILED "boom", c/1 RUNNING
    "#]],
    );
}

#[test]
fn a_plain_restart_touches_the_connector_instance_only() {
    check(
        "join w; create c; restart c",
        expect![[r#"
        > join w
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > restart c
          w: stop within 5000ms c@1
          w: start c@2
          w: ask c@2
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}

#[test]
fn restarts_name_what_is_missing() {
    check(
        "join w; create c; restart c/7; restart d; restart d/0",
        expect![[r#"
        > join w
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > restart c/7
          UnknownTask { index: 7 }
        > restart d
          UnknownConnector
        > restart d/0
          UnknownConnector
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}

#[test]
fn pause_and_resume_keep_the_runs() {
    check(
        "join w; create c; pause c; pause c; resume c",
        expect![[r#"
        > join w
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > pause c
          w: pause c@1
          w: pause c/0@1
        > pause c
        > resume c
          w: resume c@1
          w: resume c/0@1
          w: ask c@1
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}

#[test]
fn a_stopped_connector_has_no_tasks_and_comes_back_with_them() {
    check(
        "join w; create c; stop c; resume c",
        expect![[r#"
        > join w
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > stop c
          w: stop within 5000ms c@1
          w: stop within 5000ms c/0@1
        > resume c
          w: start c@2
          w: ask c@2
          w: start c/0@3
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}

#[test]
fn a_failed_connector_that_is_stopped_is_stopped() {
    check(
        "join w; create c tasks=1; fail c boom; stop c",
        expect![[r#"
        > join w
        > create c tasks=1
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > fail c boom
          w: abandon c@1
        > stop c
          w: stop within 5000ms c/0@1
        = c STOPPED
    "#]],
    );
}

#[test]
fn a_failure_that_is_heard_of_after_the_stop_changes_nothing() {
    check(
        "join w; create c tasks=1; fail c boom & stop c",
        expect![[r#"
        > join w
        > create c tasks=1
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > fail c boom & stop c
          w: abandon c@1
          w: stop within 5000ms c/0@1
        = c STOPPED
    "#]],
    );
}

#[test]
fn a_connector_created_paused_has_no_tasks_until_it_runs() {
    check(
        "join w; create c paused; resume c",
        expect![[r#"
        > join w
        > create c paused
          w: start paused c@1
        > resume c
          w: resume c@1
          w: ask c@1
          w: start c/0@1
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}

#[test]
fn a_connector_created_stopped_starts_nothing() {
    check(
        "join w; create c stopped",
        expect![[r#"
        > join w
        > create c stopped
        = c STOPPED
    "#]],
    );
}

#[test]
fn a_new_configuration_restarts_connector_and_tasks() {
    check(
        "join w; create c; put c tasks=1 x=b",
        expect![[r#"
        > join w
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > put c tasks=1 x=b
          w: stop within 5000ms c@1
          w: start c@2
          w: ask c@2
          w: stop within 5000ms c/0@1
          w: start c/0@2
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}

#[test]
fn fewer_tasks_stop_the_rest_and_more_go_on_with_their_epochs() {
    check(
        "join w; create c tasks=2; put c tasks=1; put c tasks=2",
        expect![[r#"
        > join w
        > create c tasks=2
          w: start c@1
          w: ask c@1
          w: start c/0@1
          w: start c/1@1
        > put c tasks=1
          w: stop within 5000ms c@1
          w: start c@2
          w: ask c@2
          w: stop within 5000ms c/0@1
          w: stop within 5000ms c/1@1
          w: start c/0@2
        > put c tasks=2
          w: stop within 5000ms c@2
          w: start c@3
          w: ask c@3
          w: stop within 5000ms c/0@2
          w: start c/1@3
          w: start c/0@3
        = c RUNNING, c/0 RUNNING, c/1 RUNNING
    "#]],
    );
}

#[test]
fn a_connector_that_wants_the_same_tasks_again_restarts_nothing() {
    check(
        "join w; create c; reconfigure c",
        expect![[r#"
        > join w
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > reconfigure c
          w: ask c@1
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}

#[test]
fn a_name_is_free_at_once_but_the_successor_waits_for_the_old_run() {
    check(
        "join w; create c; hang c/0; delete c; create c; wait 2s; wait 3s; unhang c/0",
        expect![[r#"
        > join w
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > hang c/0
        > delete c
          w: stop within 5000ms c@1
          w: stop within 5000ms c/0@1
        > create c
          w: start c@1
          w: ask c@1
        > wait 2s
        > wait 3s
          w: abandon c/0@1
          w: start c/0@3
        > unhang c/0
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}

#[test]
fn a_stop_that_does_not_end_is_abandoned_after_the_grace() {
    check(
        "join w; create c; hang c/0; delete c; wait 5s; unhang c/0",
        expect![[r#"
        > join w
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > hang c/0
        > delete c
          w: stop within 5000ms c@1
          w: stop within 5000ms c/0@1
        > wait 5s
          w: abandon c/0@1
        > unhang c/0
        = nothing
    "#]],
    );
}

#[test]
fn late_words_about_an_earlier_run_are_not_believed() {
    check(
        "join w; create c; fail c/0 boom; restart c/0; hang c; restart c; wait 5s; unhang c; late",
        expect![[r#"
        > join w
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > fail c/0 boom
          w: abandon c/0@1
        > restart c/0
          w: start c/0@2
        > hang c
        > restart c
          w: stop within 5000ms c@1
        > wait 5s
          w: abandon c@1
          w: start c@2
        > unhang c
          w: ask c@2
        > late
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}

#[test]
fn a_start_that_does_not_end_holds_up_nobody_else() {
    check(
        "join w; hang a; create a; create b; delete a; wait 5s; unhang a",
        expect![[r#"
        > join w
        > hang a
        > create a
          w: start a@1
        > create b
          w: start b@1
          w: ask b@1
          w: start b/0@1
        > delete a
        > wait 5s
          w: abandon a@1
        > unhang a
        = b RUNNING, b/0 RUNNING
    "#]],
    );
}

#[test]
fn task_configurations_are_asked_for_again_after_a_passing_failure() {
    check(
        "join w; hang c; create c; return c boom; unhang c",
        expect![[r#"
        > join w
        > hang c
        > create c
          w: start c@1
        > return c boom
          w: abandon c@1
        > unhang c
        = c FAILED "boom"
    "#]],
    );
    check(
        "join w; create c; hang c; reconfigure c; return c later retriable; unhang c; wait 1s",
        expect![[r#"
        > join w
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > hang c
        > reconfigure c
          w: ask c@1
        > return c later retriable
        > unhang c
        > wait 1s
          w: ask c@1
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}

#[test]
fn what_exists_cannot_be_created_and_what_does_not_cannot_be_changed() {
    check(
        "join w; create c; create c; delete d; pause d; stop d",
        expect![[r#"
        > join w
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > create c
          AlreadyExists
        > delete d
          UnknownConnector
        > pause d
          UnknownConnector
        > stop d
          UnknownConnector
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}

#[test]
fn after_a_crash_running_starts_paused_comes_up_paused_and_stopped_stays() {
    check(
        "join w; create a; create b; pause b; create c; stop c; create d; fail d/0 boom; reboot",
        expect![[r#"
        > join w
        > create a
          w: start a@1
          w: ask a@1
          w: start a/0@1
        > create b
          w: start b@1
          w: ask b@1
          w: start b/0@1
        > pause b
          w: pause b@1
          w: pause b/0@1
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > stop c
          w: stop within 5000ms c@1
          w: stop within 5000ms c/0@1
        > create d
          w: start d@1
          w: ask d@1
          w: start d/0@1
        > fail d/0 boom
          w: abandon d/0@1
        > reboot
          w: start a@3
          w: start a/0@3
          w: start paused b@3
          w: start paused b/0@3
          w: start d@3
          w: start d/0@3
          w: ask a@3
          w: ask d@3
        = a RUNNING, a/0 RUNNING, b PAUSED, b/0 PAUSED, c STOPPED, d RUNNING, d/0 RUNNING
    "#]],
    );
}

#[test]
fn work_waits_for_a_worker() {
    check(
        "create c; join w",
        expect![[r#"
        > create c
        > join w
          w: start c@2
          w: ask c@2
          w: start c/0@1
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}

#[test]
fn tasks_of_a_lost_worker_start_elsewhere_and_others_are_not_touched() {
    check(
        "join a; join b; create c tasks=3; lose b",
        expect![[r#"
        > join a
        > join b
        > create c tasks=3
          a: start c@1
          a: ask c@1
          b: start c/0@1
          b: start c/2@1
          a: start c/1@1
        > lose b
          a: start c/0@2
          a: start c/2@2
        = c RUNNING, c/0 RUNNING, c/1 RUNNING, c/2 RUNNING
    "#]],
    );
}

#[test]
fn a_worker_that_joins_gets_its_share_one_at_a_time_after_the_owner_let_go() {
    check(
        "join a; create c tasks=3; join b; wait 2s; wait 60s",
        expect![[r#"
        > join a
        > create c tasks=3
          a: start c@1
          a: ask c@1
          a: start c/0@1
          a: start c/1@1
          a: start c/2@1
        > join b
        > wait 2s
        > wait 60s
          a: stop within 5000ms c/2@1
          b: start c/2@2
          a: stop within 5000ms c/1@1
          b: start c/1@2
        = c RUNNING on a, c/0 RUNNING on a, c/1 RUNNING on b, c/2 RUNNING on b
    "#]],
    );
}

#[test]
fn a_worker_that_leaves_stops_everything_first() {
    check(
        "join w; create c; leave w; lose w",
        expect![[r#"
        > join w
        > create c
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > leave w
          w: stop within 5000ms c@1
          w: stop within 5000ms c/0@1
          w: left
        > lose w
        = c UNASSIGNED, c/0 UNASSIGNED
    "#]],
    );
}

#[test]
fn a_failed_task_is_restarted_on_its_own_with_longer_and_longer_waits() {
    check(
        "join w; create c restarts=3; fail c/0 boom; status; wait 1s; status; fail c/0 boom; status; wait 2s; \
         fail c/0 boom; status; wait 4s; fail c/0 boom; wait 60s",
        expect![[r#"
            > join w
            > create c restarts=3
              w: start c@1
              w: ask c@1
              w: start c/0@1
            > fail c/0 boom
              w: abandon c/0@1
            > status
              c RUNNING, c/0 RESTARTING "boom" (1 of 3 in 767ms)
            > wait 1s
              w: start c/0@2
            > status
              c RUNNING, c/0 RUNNING (1 of 3)
            > fail c/0 boom
              w: abandon c/0@2
            > status
              c RUNNING, c/0 RESTARTING "boom" (2 of 3 in 1056ms)
            > wait 2s
              w: start c/0@3
            > fail c/0 boom
              w: abandon c/0@3
            > status
              c RUNNING, c/0 RESTARTING "boom" (3 of 3 in 3436ms)
            > wait 4s
              w: start c/0@4
            > fail c/0 boom
              w: abandon c/0@4
            > wait 60s
            = c RUNNING, c/0 FAILED "boom" (3 of 3)
        "#]],
    );
}

#[test]
fn a_restart_that_does_not_start_is_an_attempt_too() {
    check(
        "join w; create c restarts=2; hang c/0; fail c/0 boom; wait 1s; return c/0 no; status; unhang c/0; wait 2s",
        expect![[r#"
        > join w
        > create c restarts=2
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > hang c/0
        > fail c/0 boom
          w: abandon c/0@1
        > wait 1s
          w: start c/0@2
        > return c/0 no
          w: abandon c/0@2
        > status
          c RUNNING, c/0 RESTARTING "no" (2 of 2 in 1056ms)
        > unhang c/0
        > wait 2s
          w: start c/0@3
        = c RUNNING, c/0 RUNNING (2 of 2)
    "#]],
    );
}

#[test]
fn the_connector_instance_is_restarted_too_and_its_tasks_run_on() {
    check(
        "join w; create c restarts=3; fail c boom; status; wait 1s",
        expect![[r#"
        > join w
        > create c restarts=3
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > fail c boom
          w: abandon c@1
        > status
          c RESTARTING "boom" (1 of 3 in 694ms), c/0 RUNNING
        > wait 1s
          w: start c@2
          w: ask c@2
        = c RUNNING (1 of 3), c/0 RUNNING
    "#]],
    );
}

#[test]
fn a_run_that_lasted_makes_the_next_failure_the_first_again() {
    check(
        "join w; create c restarts=1; fail c/0 boom; wait 1s; wait 60s; fail c/0 boom; status; wait 1s",
        expect![[r#"
        > join w
        > create c restarts=1
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > fail c/0 boom
          w: abandon c/0@1
        > wait 1s
          w: start c/0@2
        > wait 60s
        > fail c/0 boom
          w: abandon c/0@2
        > status
          c RUNNING, c/0 RESTARTING "boom" (1 of 1 in 990ms)
        > wait 1s
          w: start c/0@3
        = c RUNNING, c/0 RUNNING (1 of 1)
    "#]],
    );
}

#[test]
fn a_restart_by_hand_comes_at_once_and_counts_from_the_beginning() {
    check(
        "join w; create c restarts=1; fail c/0 boom; wait 1s; fail c/0 boom; status; restart c/0; fail c/0 boom; status; \
         restart c failed tasks; wait 60s",
        expect![[r#"
            > join w
            > create c restarts=1
              w: start c@1
              w: ask c@1
              w: start c/0@1
            > fail c/0 boom
              w: abandon c/0@1
            > wait 1s
              w: start c/0@2
            > fail c/0 boom
              w: abandon c/0@2
            > status
              c RUNNING, c/0 FAILED "boom" (1 of 1)
            > restart c/0
              w: start c/0@3
            > fail c/0 boom
              w: abandon c/0@3
            > status
              c RUNNING, c/0 RESTARTING "boom" (1 of 1 in 712ms)
            > restart c failed tasks
              w: start c/0@4
            > wait 60s
            = c RUNNING, c/0 RUNNING
        "#]],
    );
}

#[test]
fn what_only_another_configuration_can_mend_is_not_restarted_and_a_configuration_without_restarts_ends_them() {
    check(
        "join w; create c restarts=3; fail c/0 wrong invalid; wait 60s",
        expect![[r#"
        > join w
        > create c restarts=3
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > fail c/0 wrong invalid
          w: abandon c/0@1
        > wait 60s
        = c RUNNING, c/0 FAILED "wrong"
    "#]],
    );
    check(
        "join w; create c restarts=3; fail c/0 boom; put c x=1; fail c/0 boom; wait 60s",
        expect![[r#"
        > join w
        > create c restarts=3
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > fail c/0 boom
          w: abandon c/0@1
        > put c x=1
          w: stop within 5000ms c@1
          w: start c@2
          w: ask c@2
          w: start c/0@2
        > fail c/0 boom
          w: abandon c/0@2
        > wait 60s
        = c RUNNING, c/0 FAILED "boom"
    "#]],
    );
}

#[test]
fn a_stopped_or_deleted_connector_is_not_restarted() {
    check(
        "join w; create c restarts=3; fail c/0 boom; stop c; wait 60s; resume c",
        expect![[r#"
        > join w
        > create c restarts=3
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > fail c/0 boom
          w: abandon c/0@1
        > stop c
          w: stop within 5000ms c@1
        > wait 60s
        > resume c
          w: start c@2
          w: ask c@2
          w: start c/0@3
        = c RUNNING, c/0 RUNNING
    "#]],
    );
    check(
        "join w; create c restarts=3; fail c/0 boom; delete c; wait 60s",
        expect![[r#"
        > join w
        > create c restarts=3
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > fail c/0 boom
          w: abandon c/0@1
        > delete c
          w: stop within 5000ms c@1
        > wait 60s
        = nothing
    "#]],
    );
}

#[test]
fn a_worker_that_comes_back_starts_what_waited_for_its_restart() {
    check(
        "join w; create c restarts=3; fail c/0 boom; reboot; wait 60s",
        expect![[r#"
        > join w
        > create c restarts=3
          w: start c@1
          w: ask c@1
          w: start c/0@1
        > fail c/0 boom
          w: abandon c/0@1
        > reboot
          w: start c@3
          w: start c/0@3
          w: ask c@3
        > wait 60s
        = c RUNNING, c/0 RUNNING
    "#]],
    );
}
