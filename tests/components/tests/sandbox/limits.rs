//! Crashes, processor time, memory, output: what one call may use.

use crate::harness::{attempt, describing, engine, guest, plugin, wait};
use std::time::Duration;
use tidegate_engine::{
    Budget, BudgetLimits, CallError, InstanceSpec, Level, LoadError, Payload, Recycle, Resource, SinkInstance,
    SinkRequest, SourceInstance, TopicPartition,
};

#[test]
fn a_trap_ends_the_instance_and_says_where() {
    let outcome = attempt("do=trap").check("the plugin crashed in \"transform.apply\"");
    let trace = outcome.error.as_ref().and_then(CallError::trace).unwrap();
    assert!(trace.frames.iter().any(|frame| frame.contains("abort")), "{trace}");
    assert_eq!(outcome.budget.memory(), 0, "its memory is given back");
}

#[test]
fn a_panic_is_told_in_its_own_words() {
    let outcome = attempt("do=panic").check("no such table: orders");
    let trace = outcome.error.as_ref().and_then(CallError::trace).unwrap();
    assert!(trace.output.contains("panicked at src/lib.rs"), "{trace}");
    assert!(outcome.lines.iter().any(|line| line.contains("no such table")), "{:?}", outcome.lines);
}

#[test]
fn a_guest_that_exits_is_a_crash() {
    attempt("do=exit").check("it ended itself with exit code");
}

#[test]
fn recursion_without_end_exhausts_the_guests_stack_only() {
    // A function with locals in memory first meets the end of the stack that its language keeps there.
    attempt("do=recurse")
        .limits(|limits| limits.call_cpu = Duration::from_secs(5))
        .check("out of bounds memory access");
    let error =
        wait(engine().load(&describing("", "(func $again (result i32) (call $again))", "(drop (call $again))")));
    let error = error.expect_err("it never comes back").to_string();
    assert!(error.contains("its call stack is exhausted"), "{error}");
}

#[test]
fn an_endless_loop_stops_at_its_processor_time() {
    let outcome = attempt("do=loop").check("used 100 ms of processor time in one call, 100 ms are allowed");
    assert!(outcome.text.ends_with("sandbox.call.cpu.max.ms lifts the limit"), "{}", outcome.text);
    // A tick is a millisecond; one or two may have fallen while the instance was made.
    let ticks = outcome.budget.ticks();
    assert!((100..105).contains(&ticks), "{ticks}");
}

#[test]
fn a_long_computation_is_sliced_and_answers() {
    let outcome = attempt("do=slow rounds=60000000").limits(|limits| limits.call_cpu = Duration::from_secs(20)).run();
    assert_eq!(outcome.error, None);
    assert!(outcome.budget.ticks() > 5, "it was interrupted and charged: {:?}", outcome.budget);
}

#[test]
fn processor_time_is_counted_anew_for_each_call() {
    wait(async {
        let mut instance = attempt("do=slow rounds=10000000").instance().await;
        for _ in 0..10 {
            instance.apply(&Payload::Arena(Vec::new())).await.expect("each call has its own 100 ms");
        }
    });
}

#[test]
fn memory_stops_at_the_instances_limit() {
    let outcome = attempt("do=memory-bomb")
        .limits(|limits| limits.call_cpu = Duration::from_secs(5))
        .check("needs more memory than the 33554432 bytes of the instance \"bad-0\"");
    assert!(outcome.text.ends_with("sandbox.memory.max.bytes lifts the limit"), "{}", outcome.text);
    let peak = outcome.budget.memory_peak();
    assert!((16 << 20..=32 << 20).contains(&peak), "{peak}");
    assert_eq!(outcome.budget.memory(), 0);
}

#[test]
fn memory_stops_at_the_limit_of_a_level_above() {
    let worker = Budget::worker(BudgetLimits::default());
    let tenant = worker.tenant("acme", BudgetLimits { memory: Some(8 << 20), ..BudgetLimits::default() });
    let connector = tenant.connector("bad", BudgetLimits::default());
    let outcome = attempt("do=memory-bomb")
        .limits(|limits| limits.call_cpu = Duration::from_secs(5))
        .budget(connector)
        .check("bytes of the tenant \"acme\"");
    assert!(outcome.text.ends_with("sandbox.tenant.memory.max.bytes lifts the limit"), "{}", outcome.text);
    assert!(worker.memory_peak() <= 8 << 20, "{worker:?}");
    assert_eq!(worker.memory(), 0);
}

#[test]
fn a_guest_that_asks_politely_is_refused_politely() {
    let outcome = attempt("do=memory-polite").limits(|limits| limits.call_cpu = Duration::from_secs(5)).check("MiB");
    assert_eq!(outcome.error, None, "no crash: memory.grow answered -1");
}

#[test]
fn tables_are_charged_as_memory() {
    let grow = "(if (i32.eq (table.grow $t (ref.null func) (i32.const 90000000)) (i32.const -1)) (then unreachable))";
    let component = describing("", "(table $t 1 funcref)", grow);
    let error = wait(engine().load(&component)).expect_err("a table of 90 million elements");
    let LoadError::Describe(CallError::OverBudget(overrun)) = &error else { panic!("{error}") };
    assert_eq!(overrun.what, Resource::Memory(Level::Instance), "{error}");
}

#[test]
fn logging_without_end_is_dropped_and_counted() {
    let outcome = attempt("do=log-flood lines=5000").limits(|limits| limits.call_cpu = Duration::from_secs(5)).run();
    assert_eq!(outcome.text, "logged");
    let seconds = 1 + outcome.budget.ticks() / 1_000;
    assert!(outcome.lines.len() as u64 <= 12 * (seconds + 1), "{} lines", outcome.lines.len());
}

#[test]
fn a_long_line_is_cut() {
    let outcome = attempt("do=log-long").check("logged");
    assert_eq!(outcome.lines.iter().map(String::len).collect::<Vec<_>>(), [8 << 10]);
}

#[test]
fn printing_without_end_is_dropped_and_its_end_is_kept() {
    wait(async {
        let attempt = attempt("do=stdout-flood lines=5000").limits(|limits| limits.call_cpu = Duration::from_secs(20));
        let mut instance = attempt.instance().await;
        instance.apply(&Payload::Arena(Vec::new())).await.expect("it prints");
        let output = instance.output();
        assert!(output.len() <= 4 << 10 && output.ends_with("line 4999 of many"), "{output}");
        assert!(attempt.lines.all().len() < 1_000, "{} lines", attempt.lines.all().len());
    });
}

#[test]
fn too_many_bytes_in_one_answer_name_their_limit() {
    attempt("do=large bytes=9000000")
        .limits(|limits| limits.call_bytes = 8 << 20)
        .check("handed more than 8388608 bytes to the host in one call");
    attempt("do=large bytes=8000000").limits(|limits| limits.call_bytes = 8 << 20).check("8000000 bytes");
}

#[test]
fn a_malformed_answer_is_handed_out_as_it_came() {
    attempt("do=garbage").check("1000 bytes");
}

#[test]
fn an_error_of_the_guests_leaves_it_healthy() {
    wait(async {
        let spec = attempt("do=").spec;
        let mut source = SourceInstance::new(plugin(), &spec).await.unwrap();
        let set = |fail: &str| vec![("fail".to_owned(), fail.to_owned())];
        let mut texts = Vec::new();
        for fail in ["config", "retriable", "connection-lost", "end", "broken"] {
            let error = source.start(&set(fail)).await.unwrap_err();
            assert!(!error.ends_instance());
            texts.push(error.to_string());
        }
        assert_eq!(
            texts,
            ["key \"fail\": told to fail", "retriable", "connection lost: connection-lost", "end of input", "broken"]
        );
        source.start(&vec![]).await.unwrap();
        assert_eq!(source.poll(1, 1, 0).await, Ok(Payload::Json("nothing".to_owned())));
        assert_eq!(source.validate(&vec![]).await.map(|problems| problems.len()), Ok(1));
        assert_eq!(source.task_configs(&set("x"), 3).await.map(|tasks| tasks.len()), Ok(3));
    });
}

#[test]
fn a_dropped_call_ends_the_instance() {
    wait(async {
        let mut instance =
            attempt("do=loop").limits(|limits| limits.call_cpu = Duration::from_secs(60)).instance().await;
        let nothing = Payload::Arena(Vec::new());
        let dropped = tokio::time::timeout(Duration::from_millis(20), instance.apply(&nothing)).await;
        assert!(dropped.is_err());
        assert!(instance.is_gone());
        assert_eq!(instance.apply(&nothing).await, Err(CallError::Gone));
    });
}

#[test]
fn growth_and_age_ask_for_a_replacement() {
    wait(async {
        let attempt = attempt("do=keep bytes=8500000").limits(|limits| limits.recycle_after_calls = 5);
        let mut instance = attempt.instance().await;
        assert_eq!(instance.wants_recycling(), None);
        for _ in 0..3 {
            instance.apply(&Payload::Arena(Vec::new())).await.unwrap();
        }
        let Some(Recycle::Memory { used, limit }) = instance.wants_recycling() else { panic!("it keeps 24 of 32 MB") };
        assert!(used > limit / 4 * 3, "{used}");
        let mut young = self::attempt("do=nothing").limits(|limits| limits.recycle_after_calls = 3).instance().await;
        young.apply(&Payload::Arena(Vec::new())).await.unwrap();
        assert_eq!(young.wants_recycling(), None);
        young.apply(&Payload::Arena(Vec::new())).await.unwrap();
        assert_eq!(young.wants_recycling(), Some(Recycle::Calls(3)));
    });
}

#[test]
fn metrics_and_schemas_are_bounded() {
    attempt("do=metric-flood names=1000").check("counted");
    attempt("do=schema-flood schemas=1001")
        .limits(|limits| limits.call_cpu = Duration::from_secs(5))
        .check("1000 schemas are defined");
}

#[test]
fn a_sink_asks_its_consumer_and_nobody_else_has_one() {
    attempt("do=pause").check("only the task of a sink");
    wait(async {
        let spec = InstanceSpec { definition: "BadSink".to_owned(), ..attempt("do=").spec };
        let mut sink = SinkInstance::new(plugin(), &spec).await.unwrap();
        sink.start(&vec![("do".to_owned(), "pause".to_owned())]).await.unwrap();
        let partition = TopicPartition { topic: "t".to_owned(), partition: 0 };
        assert_eq!(sink.open(std::slice::from_ref(&partition)).await.unwrap()[0].next_offset, 7);
        sink.put(&Payload::Arena(Vec::new())).await.unwrap();
        assert_eq!(sink.take_requests(), [SinkRequest::Pause(vec![partition]), SinkRequest::Commit]);
        assert_eq!(sink.take_requests(), []);
    });
}

#[test]
fn the_same_bytes_are_one_plugin() {
    wait(async {
        let again = engine().load(guest()).await.unwrap();
        assert_eq!(again.digest(), plugin().digest());
        assert!(engine().is_compiled(&again.digest()));
        assert!(engine().loaded(&again.digest()).is_some());
    });
}
