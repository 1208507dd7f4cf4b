use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tidegate_kafka::{
    Closed, Consumer, KafkaError, PartitionOffset, Polled, Rebalance, RebalanceKind, StartOffset, Subscription,
    TopicPartition,
};

use crate::cluster::{BUDGET_BYTES, Cluster, PATIENCE, on_each_broker, text, write_values};

const STEP: Duration = Duration::from_millis(100);

/// A group member that commits what it has read before it gives a partition up.
struct Member {
    consumer: Consumer,
    /// By partition: the next offset to be read.
    done: BTreeMap<i32, i64>,
    values: Vec<String>,
    events: Vec<String>,
}

impl Member {
    fn join(cluster: &Cluster, topic: &str, strategy: &str) -> Self {
        let mut settings = cluster.consumer_settings("g");
        settings.set("partition.assignment.strategy", strategy);
        let mut consumer = Consumer::open(&settings).unwrap();
        consumer.subscribe(Subscription::Topics(&[topic.to_owned()])).unwrap();
        Self { consumer, done: BTreeMap::new(), values: Vec::new(), events: Vec::new() }
    }

    fn step(&mut self) {
        match self.consumer.poll(100, STEP).unwrap() {
            Polled::Records(batch) => {
                for message in batch.iter() {
                    let next = self.done.get_mut(&message.partition()).expect("a record of a partition not assigned");
                    if *next >= 0 {
                        assert_eq!(message.offset(), *next, "a record was skipped or repeated");
                    }
                    *next = message.offset() + 1;
                    self.values.push(text(message.value().unwrap()));
                }
            }
            Polled::Rebalance(rebalance) => self.answer(rebalance),
            Polled::EndOfPartition { .. } => {}
            Polled::Trouble(error) => self.events.push(error.to_string()),
        }
    }

    fn answer(&mut self, rebalance: Rebalance) {
        assert!(matches!(self.consumer.poll(1, STEP), Err(KafkaError::OutOfOrder { .. })));
        let partitions: Vec<i32> = rebalance.partitions().iter().map(|tp| tp.partition).collect();
        self.events.push(format!("{:?} {}", rebalance.kind(), partitions.len()));
        match rebalance.kind() {
            RebalanceKind::Assigned => self.done.extend(partitions.iter().map(|&p| (p, -1))),
            RebalanceKind::Revoked => {
                let offsets: Vec<_> = rebalance
                    .partitions()
                    .iter()
                    .filter_map(|tp| Some(tp.clone().at(*self.done.get(&tp.partition)?)))
                    .filter(|at| at.offset >= 0)
                    .collect();
                self.consumer.commit_sync(&offsets, PATIENCE).unwrap();
                self.done.retain(|p, _| !partitions.contains(p));
            }
            RebalanceKind::Lost => self.done.clear(),
        }
        self.consumer.accept(rebalance).unwrap();
    }
}

fn until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "it did not happen in time");
    }
}

fn values(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Two members in turn on a topic that is written to all the time: every record once.
fn check_handover(strategy: &str, moved_at_join: usize) {
    on_each_broker(&format!("group-{strategy}"), |cluster| {
        let topic = cluster.topic("t", 4, &[]);
        let mut producer = cluster.producer();
        // Small batches, so that a partitioner that sticks to a partition per batch uses all of them.
        let mut write = |range: std::ops::Range<usize>| {
            for chunk in values(range).chunks(10) {
                write_values(&mut producer, &topic, chunk);
            }
        };
        write(0..200);
        let mut first = Member::join(cluster, &topic, strategy);
        until(|| {
            first.step();
            first.values.len() == 200
        });
        let mut second = Member::join(cluster, &topic, strategy);
        until(|| {
            first.step();
            second.step();
            first.done.len() == 2 && second.done.len() == 2
        });
        assert!(first.events.contains(&format!("Revoked {moved_at_join}")), "{:?}", first.events);
        write(200..400);
        until(|| {
            first.step();
            second.step();
            first.values.len() + second.values.len() >= 400
        });
        // The second leaves; what it had not committed is read again by nobody, since all was committed.
        let offsets: Vec<_> = second
            .done
            .iter()
            .filter(|(_, offset)| **offset >= 0)
            .map(|(&p, &offset)| PartitionOffset::new(&topic, p, offset))
            .collect();
        second.consumer.commit_sync(&offsets, PATIENCE).unwrap();
        let (left, start) = (second.consumer.close(Duration::from_secs(10)).unwrap(), Instant::now());
        assert_eq!(left, Closed::Left);
        until(|| {
            first.step();
            first.done.len() == 4
        });
        // A member that is only missed is noticed after its session, six seconds here.
        assert!(start.elapsed() < Duration::from_secs(5), "leaving went unnoticed for {:?}", start.elapsed());
        write(400..500);
        until(|| {
            first.step();
            first.values.len() + second.values.len() >= 500
        });
        let mut all: Vec<usize> = first.values.iter().chain(&second.values).map(|v| v.parse().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..500).collect::<Vec<_>>());
    });
}

#[test]
fn partitions_move_one_by_one_with_a_cooperative_assignor() {
    check_handover("cooperative-sticky", 2);
}

#[test]
fn partitions_move_all_at_once_with_an_eager_assignor() {
    check_handover("range", 4);
}

#[test]
fn an_assignment_can_start_where_the_caller_says() {
    on_each_broker("start", |cluster| {
        let topic = cluster.topic("t", 1, &[]);
        write_values(&mut cluster.producer(), &topic, &values(0..10));
        let mut consumer = Consumer::open(&cluster.consumer_settings("g")).unwrap();
        consumer.subscribe(Subscription::Topics(std::slice::from_ref(&topic))).unwrap();
        let mut read = Vec::new();
        until(|| {
            match consumer.poll(100, STEP).unwrap() {
                Polled::Records(batch) => read.extend(batch.iter().map(|m| m.offset())),
                Polled::Rebalance(rebalance) => {
                    consumer.accept_from(rebalance, |_, _| Some(StartOffset::At(7))).unwrap();
                }
                other => panic!("unexpected {other:?}"),
            }
            read.len() >= 3
        });
        assert_eq!(read, [7, 8, 9]);
    });
}

#[test]
fn a_poll_of_large_records_ends_before_its_records_do() {
    on_each_broker("bytes", |cluster| {
        let topic = cluster.topic("t", 1, &[]);
        let large: Vec<_> = (0..40).map(|i| format!("{i:050000}").repeat(2)).collect();
        write_values(&mut cluster.producer(), &topic, &large);
        let mut consumer = Consumer::open(&cluster.consumer_settings("g")).unwrap();
        consumer.subscribe(Subscription::Topics(std::slice::from_ref(&topic))).unwrap();
        let mut read = 0;
        until(|| {
            match consumer.poll(1_000, STEP).unwrap() {
                Polled::Records(batch) => {
                    assert!(batch.len() <= 6, "{} records of 100 KB in a batch", batch.len());
                    read += batch.len();
                }
                Polled::Rebalance(rebalance) => consumer.accept(rebalance).unwrap(),
                other => panic!("unexpected {other:?}"),
            }
            read >= 40
        });
        assert_eq!(read, 40);
    });
}

#[test]
fn a_pattern_matches_whole_names_only() {
    on_each_broker("pattern", |cluster| {
        let wanted = [cluster.topic("in-a", 1, &[]), cluster.topic("in-b", 1, &[])];
        cluster.topic("in-a-not", 1, &[]);
        let mut consumer = Consumer::open(&cluster.consumer_settings("g")).unwrap();
        consumer.subscribe(Subscription::Pattern(&format!("{}[ab]", cluster.name("in-")))).unwrap();
        let mut topics = Vec::new();
        until(|| {
            if let Polled::Rebalance(rebalance) = consumer.poll(1, STEP).unwrap() {
                topics.extend(rebalance.partitions().iter().map(|tp| tp.topic.clone()));
                consumer.accept(rebalance).unwrap();
            }
            topics.len() >= 2
        });
        topics.sort();
        assert_eq!(topics, wanted);
        consumer.close(PATIENCE).unwrap();
    });
}

#[test]
fn positions_commits_seeks_and_pauses_of_an_assigned_partition() {
    on_each_broker("positions", |cluster| {
        let topic = cluster.topic("t", 1, &[]);
        write_values(&mut cluster.producer(), &topic, &values(0..100));
        let partition = TopicPartition::new(&topic, 0);
        let partitions = [partition.clone()];
        let mut consumer = Consumer::open(&cluster.consumer_settings("g")).unwrap();
        consumer.assign(&[(partition.clone(), StartOffset::Beginning)]).unwrap();
        let next = |consumer: &mut Consumer| {
            let mut found = None;
            until(|| {
                if let Polled::Records(batch) = consumer.poll(1, STEP).unwrap() {
                    found = batch.iter().next().map(|m| m.offset());
                }
                found.is_some()
            });
            found.unwrap()
        };
        assert_eq!(next(&mut consumer), 0);
        assert_eq!(consumer.position(&partitions).unwrap(), [partition.clone().at(1)]);

        assert_eq!(consumer.committed(&partitions, PATIENCE).unwrap(), []);
        consumer.commit_sync(&[partition.clone().at(1)], PATIENCE).unwrap();
        consumer.commit_async(&[partition.clone().at(2)]).unwrap();
        let mut results = Vec::new();
        until(|| {
            results.extend(consumer.take_commit_results());
            !results.is_empty()
        });
        assert_eq!(results, [Ok(vec![partition.clone().at(2)])]);
        assert_eq!(consumer.committed(&partitions, PATIENCE).unwrap(), [partition.clone().at(2)]);

        consumer.seek(&[partition.clone().at(50)], PATIENCE).unwrap();
        assert_eq!(next(&mut consumer), 50);
        consumer.pause(&partitions).unwrap();
        for _ in 0..3 {
            let polled = consumer.poll(100, STEP).unwrap();
            assert!(matches!(&polled, Polled::Records(batch) if batch.is_empty()), "{polled:?}");
        }
        consumer.resume(&partitions).unwrap();
        assert_eq!(next(&mut consumer), 51);
        assert_eq!(consumer.assignment().unwrap(), partitions);
    });
}

#[test]
fn a_batch_outlives_its_consumer_and_is_told_in_runs() {
    on_each_broker("runs", |cluster| {
        let topic = cluster.topic("t", 2, &[]);
        let records: Vec<_> = (0..20)
            .map(|n| tidegate_kafka::OutRecord {
                topic: &topic,
                partition: Some(n / 10),
                value: Some(b"v"),
                ..Default::default()
            })
            .collect();
        assert!(crate::cluster::deliver(&mut cluster.producer(), &records).is_ok());
        let mut consumer = Consumer::open(&cluster.reader_settings()).unwrap();
        consumer.assign(&[0, 1].map(|p| (TopicPartition::new(&topic, p), StartOffset::Beginning))).unwrap();
        let mut batches = Vec::new();
        until(|| {
            if let Polled::Records(batch) = consumer.poll(100, STEP).unwrap() {
                batches.push(batch);
            }
            batches.iter().map(|batch| batch.len()).sum::<usize>() == 20
        });
        drop(consumer);
        let mut counted = [0, 0];
        for batch in &batches {
            for run in batch.runs() {
                assert_eq!(run.topic, topic);
                for index in run.range.clone() {
                    assert_eq!(batch.get(index).partition(), run.partition);
                    assert_eq!(batch.get(index).value(), Some(&b"v"[..]));
                }
                counted[run.partition as usize] += run.range.len();
            }
        }
        assert_eq!(counted, [10, 10]);
    });
}

#[test]
fn a_consumer_without_a_broker_closes_in_bounded_time() {
    let settings = tidegate_kafka::ClientSettings::for_consumer("127.0.0.1:1", "g", BUDGET_BYTES);
    let mut consumer = Consumer::open(&settings).unwrap();
    consumer.subscribe(Subscription::Topics(&["t".to_owned()])).unwrap();
    let polled = consumer.poll(1, STEP).unwrap();
    assert!(matches!(&polled, Polled::Records(batch) if batch.is_empty()), "{polled:?}");
    let start = Instant::now();
    assert_eq!(consumer.close(Duration::from_secs(1)).unwrap(), Closed::Abandoned);
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
}

#[test]
fn a_consumer_can_be_dropped_while_a_rebalance_waits() {
    on_each_broker("dropped", |cluster| {
        let topic = cluster.topic("t", 1, &[]);
        let mut consumer = Consumer::open(&cluster.consumer_settings("g")).unwrap();
        consumer.subscribe(Subscription::Topics(&[topic])).unwrap();
        let mut open = None;
        until(|| {
            if let Polled::Rebalance(rebalance) = consumer.poll(1, STEP).unwrap() {
                open = Some(rebalance);
            }
            open.is_some()
        });
        let start = Instant::now();
        drop(consumer);
        drop(open);
        assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
    });
}
