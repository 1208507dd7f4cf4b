//! How guests share the processors, and what a call costs.

use crate::harness::{attempt, compiler, engine, guest, kept, wait};
use std::time::{Duration, Instant};
use tidegate_engine::{Budget, BudgetLimits, Engine, EngineConfig, InstanceSpec, Payload, TransformInstance};

/// Threads of the engine that the neighbours share.
const THREADS: usize = 2;

/// Runs endless loops beside a neighbour that computes in calls, and answers the neighbour's share of its fair share.
fn fair_share_left_by(endless: usize) -> f64 {
    let config = EngineConfig { threads: THREADS, ..EngineConfig::new(compiler(), kept().join("cwasm")) };
    let engine = Engine::start(config).unwrap();
    let worker = Budget::worker(BudgetLimits::default());
    let spec = |name: &str, behaviour: &str| {
        let mut spec = attempt(behaviour).spec;
        spec.limits.call_cpu = Duration::from_secs(600);
        spec.limits.call = Duration::from_secs(600);
        InstanceSpec { name: name.to_owned(), budget: worker.connector(name, BudgetLimits::default()), ..spec }
    };
    let config = |text: &str| text.split(' ').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
    engine.handle().block_on(async {
        let plugin = engine.load(guest()).await.unwrap();
        let mut tasks = Vec::new();
        let mut budgets = Vec::new();
        for (index, behaviour) in std::iter::repeat_n("do=loop", endless).chain(["do=slow rounds=20000"]).enumerate() {
            let spec = spec(&format!("task-{index}"), behaviour);
            let mut instance = TransformInstance::new(&plugin, &spec).await.unwrap();
            instance.configure(&config(behaviour)).await.unwrap();
            budgets.push(instance.budget().clone());
            tasks.push(engine.spawn(async move {
                while instance.apply(&Payload::Arena(Vec::new())).await.is_ok() {
                    tokio::task::consume_budget().await;
                }
            }));
        }
        // Ticks, not time, say when enough has happened: a busy machine only takes longer.
        while worker.ticks() < 2_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        let neighbour = budgets.last().unwrap().ticks() as f64;
        let all: u64 = budgets.iter().map(Budget::ticks).sum();
        let guests = budgets.len();
        let fair = all as f64 * (1.0 / guests.max(THREADS) as f64);
        let ticks: Vec<u64> = budgets.iter().map(Budget::ticks).collect();
        println!("{endless} endless loops on {THREADS} threads: ticks {ticks:?}, fair {fair:.0}");
        neighbour / fair
    })
}

#[test]
fn endless_loops_leave_a_neighbour_its_fair_share() {
    for endless in [1, 2, 5] {
        let share = fair_share_left_by(endless);
        assert!(share >= 0.9, "{endless} endless loops leave a neighbour {share:.2} of its fair share");
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
    assert!((50..=125).contains(&ticks), "ten of each hundred milliseconds: {ticks} ticks");
}

#[test]
fn a_call_costs_little() {
    wait(engine().spawn(async {
        let mut instance = attempt("do=nothing").instance().await;
        let columns = Payload::Arena(vec![0; 16 << 10]);
        for (name, payload) in [("no bytes", Payload::Arena(Vec::new())), ("16 KiB in", columns)] {
            const CALLS: u32 = 20_000;
            let begun = Instant::now();
            for _ in 0..CALLS {
                instance.apply(&payload).await.unwrap();
            }
            println!("empty apply, {name}: {:?} a call", begun.elapsed() / CALLS);
        }
    }))
    .unwrap();
}
