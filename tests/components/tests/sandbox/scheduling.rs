//! How guests share the processors, and what a call costs.
#![allow(clippy::print_stdout, reason = "figures are printed for people")]

use crate::harness::{attempt, compiler, engine, guest, kept, prepare, wait};
use std::time::{Duration, Instant};
use tidegate_engine::{Budget, BudgetLimits, Engine, EngineConfig, InstanceSpec, Payload, TransformInstance};

/// Runs endless loops beside a neighbour that computes in calls, more of them than threads, and answers which part of
/// its fair share the neighbour got.
///
/// Ticks are compared, not time: how much of the machine the threads get is not the engine's affair, how they divide it
/// among guests is.
fn fair_share_left_by(endless: usize, threads: usize) -> f64 {
    prepare();
    let config = EngineConfig { threads, ..EngineConfig::new(compiler(), kept().join("cwasm")) };
    let engine = Engine::start(config).unwrap();
    let worker = Budget::worker(BudgetLimits::default());
    engine.handle().block_on(async {
        let plugin = engine.load(guest()).await.unwrap();
        let mut instances = Vec::new();
        for behaviour in std::iter::repeat_n("do=loop", endless).chain(["do=slow rounds=1000000"]) {
            let attempt = attempt(behaviour).limits(|limits| {
                limits.call_cpu = Duration::from_secs(600);
                limits.call = Duration::from_secs(600);
            });
            let name = format!("task-{}", instances.len());
            let budget = worker.connector(&name, BudgetLimits::default());
            let spec = InstanceSpec { name, budget, ..attempt.spec.clone() };
            let mut instance = TransformInstance::new(&plugin, &spec).await.unwrap();
            instance.configure(&attempt.config).await.unwrap();
            instances.push(instance);
        }
        let budgets: Vec<Budget> = instances.iter().map(|instance| instance.budget().clone()).collect();
        let ticks = || budgets.iter().map(Budget::ticks).collect::<Vec<u64>>();
        let tasks: Vec<_> = instances
            .into_iter()
            .map(|mut instance| {
                engine.spawn(async move {
                    while instance.apply(&Payload::Arena(Vec::new())).await.is_ok() {
                        tokio::task::consume_budget().await;
                    }
                })
            })
            .collect();
        let reached = async |count: u64| {
            while worker.ticks() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // All of them have begun by then.
        reached(200).await;
        let before = ticks();
        reached(2_200).await;
        let got: Vec<u64> = ticks().iter().zip(&before).map(|(after, before)| after - before).collect();
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        let fair = got.iter().sum::<u64>() as f64 / got.len() as f64;
        eprintln!("{endless} endless loops and a neighbour on {threads} threads: ticks {got:?}, fair {fair:.0}");
        got[endless] as f64 / fair
    })
}

#[test]
fn endless_loops_leave_a_neighbour_its_fair_share() {
    for (endless, threads) in [(1, 1), (2, 2), (7, 2)] {
        let share = fair_share_left_by(endless, threads);
        assert!(share >= 0.9, "{endless} endless loops on {threads} threads leave a neighbour {share:.2} of its share");
    }
}

#[test]
fn a_share_of_the_processors_is_kept() {
    let worker = Budget::worker(BudgetLimits::default());
    let tenth = BudgetLimits { processors: Some(0.1), ..BudgetLimits::default() };
    let outcome = attempt("do=loop")
        .budget(worker.connector("noisy", tenth))
        .limits(|limits| {
            limits.call_cpu = Duration::from_secs(60);
            limits.call = Duration::from_millis(1_050);
        })
        .check("did not answer within");
    let ticks = outcome.budget.ticks();
    assert!(ticks <= 125, "ten of each hundred milliseconds at most: {ticks} ticks");
}

/// Prints; what is asserted is only that the calls were made. `docs/performance.md` has the figures of a release build.
#[test]
fn a_call_costs_little() {
    wait(engine().spawn(async {
        let mut instance = attempt("do=nothing").instance().await;
        let columns = Payload::Arena(vec![0; 16 << 10]);
        for (name, payload) in [("no bytes", Payload::Arena(Vec::new())), ("16 KiB in", columns)] {
            const CALLS: u32 = 10_000;
            let begun = Instant::now();
            for _ in 0..CALLS {
                assert_eq!(instance.apply(&payload).await, Ok(Payload::Arena(Vec::new())));
            }
            eprintln!("empty apply, {name}: {:?} a call", begun.elapsed() / CALLS);
        }
    }))
    .expect("the task ends");
}

#[test]
fn the_hop_to_another_task_is_what_costs() {
    let (requests, mut served) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<()>>(1);
    wait(async {
        let owner = engine().spawn(async move {
            let mut instance = attempt("do=nothing").instance().await;
            while let Some(answer) = served.recv().await {
                instance.apply(&Payload::Arena(Vec::new())).await.unwrap();
                answer.send(()).unwrap();
            }
        });
        const CALLS: u32 = 2_000;
        let begun = Instant::now();
        for _ in 0..CALLS {
            let (answer, answered) = tokio::sync::oneshot::channel();
            requests.send(answer).await.unwrap();
            answered.await.unwrap();
        }
        eprintln!("empty apply through a channel: {:?} a call", begun.elapsed() / CALLS);
        drop(requests);
        owner.await.unwrap();
    });
}
