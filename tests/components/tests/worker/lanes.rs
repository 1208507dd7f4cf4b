//! Lanes and lingering of a sink task on the embedded broker.

use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_kafka::{Admin, ClientSettings, NewTopic};

use crate::life::DEADLINE;
use crate::sink::Stage;

const PARTITIONS: i32 = 8;

/// A task of this class that reads a topic of eight partitions.
fn stage(class: &str, script: &str, settings: &[(&'static str, &str)]) -> Stage {
    let mut stage = Stage::set(script, settings);
    stage.class = class.to_owned();
    let admin = Admin::open(&ClientSettings::for_control(&stage.bootstrap())).unwrap();
    let topic = NewTopic {
        name: "t".to_owned(),
        partitions: Some(PARTITIONS),
        replication_factor: Some(1),
        configs: Vec::new(),
    };
    admin.create_topic(&topic, DEADLINE).unwrap();
    stage
}

/// Sends numbers round the partitions: number n is in partition n % 8.
fn send(stage: &mut Stage, count: u32) {
    let numbers: Vec<String> = (stage.sent..stage.sent + count).map(|number| number.to_string()).collect();
    let values: Vec<(i32, &str)> =
        numbers.iter().map(|number| ((number.parse::<u32>().unwrap() % 8) as i32, number.as_str())).collect();
    stage.send_to(&values);
    stage.sent += count;
}

/// What a slow sink wrote: the numbers in their order, and how many puts overlapped at most.
fn written(path: &Path) -> (Vec<u32>, usize, usize) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (mut numbers, mut now, mut most, mut puts) = (Vec::new(), 0, 0, 0);
    for line in text.lines() {
        match line {
            "+" => now += 1,
            "-" => {
                now -= 1;
                puts += 1;
            }
            values => numbers.extend(values.split(' ').filter_map(|value| value.parse::<u32>().ok())),
        }
        most = most.max(now);
    }
    (numbers, most, puts)
}

/// Nothing is missing, and nothing came before what is before it in its partition. Answers how often something came again.
fn check_order(numbers: &[u32], sent: u32) -> usize {
    let mut next = [0u32; PARTITIONS as usize];
    let mut again = 0;
    for number in numbers {
        let (partition, place) = ((number % 8) as usize, number / 8);
        assert!(place <= next[partition], "{number} came too early: {numbers:?}");
        again += usize::from(place < next[partition]);
        next[partition] = next[partition].max(place + 1);
    }
    assert_eq!(next.iter().sum::<u32>(), sent, "{numbers:?}");
    again
}

fn until_written(stage: &mut Stage, count: usize) -> Duration {
    let begun = Instant::now();
    while written(&stage.path("out")).0.len() < count {
        assert!(begun.elapsed() < DEADLINE, "{:?}", written(&stage.path("out")));
        assert!(stage.failure().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}

/// Delivers 800 records in batches of ten to a target that takes 20 ms for each.
fn deliver(lanes: &str) -> (usize, Duration) {
    let mut stage =
        stage("SlowSink", "", &[("max.concurrent.requests", lanes), ("batch.size", "10"), ("delay.ms", "20")]);
    send(&mut stage, 800);
    stage.start();
    let took = until_written(&mut stage, 800);
    stage.stop();
    let (numbers, most, _) = written(&stage.path("out"));
    assert_eq!(check_order(&numbers, 800), 0, "nothing twice");
    (most, took)
}

#[test]
fn more_lanes_deliver_more_at_once_and_each_partition_in_order() {
    let (alone, slow) = deliver("1");
    let (together, fast) = deliver("4");
    eprintln!("1 lane: {slow:?}, 4 lanes: {fast:?}");
    assert_eq!((alone, together), (1, 4), "puts at once");
}

#[test]
fn lanes_lose_nothing_when_their_targets_fail_and_the_task_is_killed() {
    for seed in 0..3 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let words = ["ok", "ok", "ok", "lost", "retry", "part", "grow", "back", "pause", "commit"];
        let script: Vec<&str> = (0..80).map(|_| words[chance.usize(..words.len())]).collect();
        let settings = [("max.concurrent.requests", "3"), ("sandbox.memory.max.bytes", "33554432")];
        let mut stage = stage("FaultySink", &script.join(" "), &settings);
        for _ in 0..3 {
            send(&mut stage, chance.u32(40..160));
            stage.start();
            std::thread::sleep(Duration::from_millis(chance.u64(20..500)));
            if chance.bool() { stage.kill() } else { stage.stop() }
        }
        std::fs::write(stage.path("script"), "").unwrap();
        stage.start();
        eprintln!("seed {seed}");
        until_all(&mut stage);
        stage.stop();
        check_order(&crate::sink::numbers(&stage.path("out")), stage.sent);
    }
}

#[test]
fn a_guest_that_goes_back_in_one_partition_gets_it_again_and_loses_nothing_of_the_others() {
    let mut stage =
        stage("FaultySink", "ok back ok ok back ok commit ok", &[("consumer.override.max.poll.records", "16")]);
    stage.has_batch_size = false;
    send(&mut stage, 200);
    stage.start();
    until_all(&mut stage);
    stage.stop();
    let numbers = crate::sink::numbers(&stage.path("out"));
    assert!(check_order(&numbers, 200) > 0, "nothing came again: {numbers:?}");
}

#[test]
fn a_guest_that_pauses_partitions_gets_them_when_it_resumes_them() {
    let mut stage = stage("FaultySink", "ok pause ok pause", &[]);
    send(&mut stage, 200);
    stage.start();
    until_all(&mut stage);
    stage.stop();
    assert_eq!(check_order(&crate::sink::numbers(&stage.path("out")), 200), 0, "nothing twice");
}

#[test]
fn a_batch_is_no_larger_than_the_consumer_is_told() {
    let mut stage = stage("SlowSink", "", &[("consumer.override.max.poll.records", "5"), ("delay.ms", "0")]);
    stage.has_batch_size = false;
    send(&mut stage, 40);
    stage.start();
    until_written(&mut stage, 40);
    stage.stop();
    let text = std::fs::read_to_string(stage.path("out")).unwrap();
    assert!(text.lines().all(|line| line.split(' ').count() <= 5), "{text}");
}

/// Waits until every number has come at least once.
fn until_all(stage: &mut Stage) {
    let begun = Instant::now();
    let missing = |stage: &Stage| {
        let numbers = crate::sink::numbers(&stage.path("out"));
        (0..stage.sent).filter(|number| !numbers.contains(number)).count()
    };
    while missing(stage) > 0 {
        assert!(begun.elapsed() < DEADLINE, "{:?}", crate::sink::numbers(&stage.path("out")));
        if let Some(failure) = stage.failure() {
            panic!("{}", failure.trace);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_batch_that_lingers_goes_when_it_is_full() {
    let mut stage = stage("SlowSink", "", &[("linger.ms", "60000"), ("batch.size", "50"), ("delay.ms", "0")]);
    stage.start();
    for _ in 0..10 {
        send(&mut stage, 10);
    }
    until_written(&mut stage, 100);
    stage.stop();
    let (numbers, _, puts) = written(&stage.path("out"));
    assert_eq!((check_order(&numbers, 100), puts), (0, 2), "two full batches");
}

#[test]
fn a_batch_that_lingers_goes_when_it_has_waited_long_enough() {
    let mut stage = stage("SlowSink", "", &[("linger.ms", "300"), ("batch.size", "50"), ("delay.ms", "0")]);
    send(&mut stage, 7);
    let begun = Instant::now();
    stage.start();
    until_written(&mut stage, 7);
    assert!(begun.elapsed() >= Duration::from_millis(300), "it went too early");
    stage.stop();
    let (numbers, _, puts) = written(&stage.path("out"));
    assert_eq!((check_order(&numbers, 7), puts), (0, 1), "one batch of them all");
}
