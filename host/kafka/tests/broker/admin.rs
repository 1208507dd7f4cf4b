use std::time::{Duration, Instant};

use tidegate_kafka::{
    Admin, ClientSettings, Isolation, KafkaError, NewTopic, PartitionOffset, TopicCreated, TopicPartition,
};

use crate::cluster::{PATIENCE, on_each_broker, write_values};

#[test]
fn topics_are_created_once_described_listed_and_deleted() {
    on_each_broker("topics", |cluster| {
        let admin = cluster.admin();
        admin.check_reachable(PATIENCE).unwrap();
        let topic = NewTopic {
            name: cluster.name("t"),
            partitions: Some(3),
            replication_factor: Some(1),
            configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
        };
        assert_eq!(admin.describe_topic(&topic.name, PATIENCE).unwrap(), None);
        assert_eq!(admin.create_topic(&topic, PATIENCE).unwrap(), TopicCreated::Created);
        assert_eq!(admin.create_topic(&topic, PATIENCE).unwrap(), TopicCreated::Existed);
        let described = admin.describe_topic(&topic.name, PATIENCE).unwrap().unwrap();
        assert_eq!((described.partitions, described.replication_factor, described.is_internal), (3, 1, false));
        assert!(!described.id.is_empty());
        let configs = admin.describe_topic_configs(&topic.name, PATIENCE).unwrap();
        let policy = configs.iter().find(|entry| entry.name == "cleanup.policy").unwrap();
        assert_eq!((policy.value.as_deref(), policy.is_default), (Some("compact"), false));
        assert!(admin.list_topics(PATIENCE).unwrap().contains(&topic.name));
        admin.delete_topic(&topic.name, PATIENCE).unwrap();
        admin.delete_topic(&topic.name, PATIENCE).unwrap();
    });
}

#[test]
fn a_topic_the_broker_refuses_is_an_error_that_names_it() {
    on_each_broker("refusal", |cluster| {
        let topic = NewTopic {
            name: cluster.name("t"),
            partitions: Some(1),
            replication_factor: Some(1),
            configs: vec![("no.such.config".to_owned(), "1".to_owned())],
        };
        let error = cluster.admin().create_topic(&topic, PATIENCE).unwrap_err();
        assert!(matches!(error, KafkaError::Refused { .. }), "{error:?}");
        assert!(error.to_string().starts_with(&format!("creating topic \"{}\": ", topic.name)), "{error}");
    });
}

#[test]
fn offsets_of_a_group_are_set_read_and_deleted() {
    on_each_broker("offsets", |cluster| {
        let topic = cluster.topic("t", 2, &[]);
        write_values(&mut cluster.producer(), &topic, &["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        let (admin, group) = (cluster.admin(), cluster.name("g"));
        let partitions: Vec<_> = (0..2).map(|p| TopicPartition::new(&topic, p)).collect();
        let ends = admin.end_offsets(&partitions, Isolation::ReadCommitted, PATIENCE).unwrap();
        assert_eq!(ends.iter().map(|end| end.offset).sum::<i64>(), 3);

        assert_eq!(admin.group_offsets(&group, PATIENCE).unwrap(), []);
        let offsets = [PartitionOffset::new(&topic, 0, 5), PartitionOffset::new(&topic, 1, 7)];
        admin.alter_group_offsets(&group, &offsets, PATIENCE).unwrap();
        let mut read = admin.group_offsets(&group, PATIENCE).unwrap();
        read.sort();
        assert_eq!(read, offsets);
        assert!(admin.list_groups(PATIENCE).unwrap().contains(&group), "without members it is there all the same");
        admin.delete_group_offsets(&group, &partitions[..1], PATIENCE).unwrap();
        assert_eq!(admin.group_offsets(&group, PATIENCE).unwrap(), offsets[1..]);
        admin.delete_group(&group, PATIENCE).unwrap();
        admin.delete_group(&group, PATIENCE).unwrap();
        assert_eq!(admin.group_offsets(&group, PATIENCE).unwrap(), []);
        assert!(!admin.list_groups(PATIENCE).unwrap().contains(&group));
    });
}

#[test]
fn a_broker_that_is_not_there_is_an_error_in_bounded_time() {
    let admin = Admin::open(&ClientSettings::for_control("127.0.0.1:1")).unwrap();
    let start = Instant::now();
    let error = admin.check_reachable(Duration::from_millis(500)).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
    let text = error.to_string();
    assert!(text.starts_with("broker at \"127.0.0.1:1\" not reachable: "), "{text}");
    assert!(text.contains("refused"), "{text}");
    assert!(error.is_retriable());
}
