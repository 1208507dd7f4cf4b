//! Keys of a connector that guides of the field use, and overrides of its Kafka clients under the worker's policy.

use std::time::{Duration, Instant};

use tidegate_herder::cluster::{ConnectorKey, Instance};
use tidegate_herder::{
    Config, ConnectorKind, Plugins, Refusal, Reporter, RunId, Target, TaskHost, TaskSpec, ValidateRequest,
};
use tokio::sync::mpsc;

use crate::life::{DEADLINE, Life, broker};

fn bundled(name: &str) -> &'static [u8] {
    tidegate_bundled::components().iter().find(|component| component.name == name).unwrap().bytes
}

fn config(settings: &[(&str, &str)]) -> Config {
    settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn validate(life: &Life, config: &Config) -> Result<Plugins, String> {
    let request =
        ValidateRequest { connector: ConnectorKey::plain("c"), config: config.clone(), pinned: Plugins::new() };
    match life.engine.handle().block_on(life.worker.validate(request)) {
        Ok(validated) => Ok(validated.plugins),
        Err(Refusal::Invalid { message, .. } | Refusal::Unavailable { message }) => Err(message),
    }
}

const SOURCE: &[(&str, &str)] = &[
    ("name", "c"),
    ("connector.class", "DatagenSource"),
    ("topic", "t"),
    ("rate", "0"),
    ("count", "10"),
    ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
];

#[test]
fn a_connector_may_commit_its_offsets_more_often_than_its_worker() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(&directory.path().join("broker"));
    let bootstrap = broker.address().to_string();
    let more = [("offset.flush.interval.ms", "3600000")];
    let life = Life::begin(directory.path(), bundled("datagen"), &bootstrap, &more);
    let config = config(&[SOURCE, &[("offset.flush.interval.ms", "20")]].concat());
    let plugins = validate(&life, &config).unwrap();
    let run = RunId { subject: ConnectorKey::plain("c").subject(Instance::Task(0)), uid: 0, epoch: 1 };
    let spec = TaskSpec {
        generation: 1,
        run: run.clone(),
        kind: ConnectorKind::Source,
        config: config.clone(),
        task_config: config,
        tasks: 1,
        plugins,
        target: Target::Running,
    };
    let (mailbox, _words) = mpsc::channel(1);
    life.engine.handle().block_on(life.worker.start_task(spec, Reporter::new(run.clone(), mailbox))).unwrap();
    let begun = Instant::now();
    while !std::fs::read(directory.path().join("offsets")).is_ok_and(|stored| !stored.is_empty()) {
        assert!(begun.elapsed() < DEADLINE, "no offsets are stored");
        std::thread::sleep(Duration::from_millis(10));
    }
    life.engine.handle().block_on(life.worker.stop(run, Duration::from_secs(5)));
}

#[test]
fn clients_are_overridden_as_far_as_the_workers_policy_goes() {
    let overrides = [
        ("producer.override.linger.ms", "1"),
        ("consumer.override.max.poll.records", "1"),
        ("admin.override.sasl.mechanism", "PLAIN"),
    ];
    let refused = |policy: &str| {
        let directory = tempfile::tempdir().unwrap();
        let more = [("connector.client.config.override.policy", policy)];
        let life = Life::begin(directory.path(), bundled("datagen"), "127.0.0.1:1", &more);
        let answer = validate(&life, &config(&[SOURCE, &overrides].concat()));
        answer.err().map_or(0, |message| {
            let says = |line: &&str| line.contains(&format!("The '{policy}' policy does not allow '"));
            message.lines().filter(says).count()
        })
    };
    assert_eq!([refused("All"), refused("None"), refused("Principal")], [0, 3, 2]);
}

#[test]
fn overrides_of_every_client_that_a_connector_has_are_checked_before_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let life = Life::begin(directory.path(), bundled("datagen"), "127.0.0.1:1", &[]);
    let creates = [("topic.creation.default.partitions", "1"), ("topic.creation.default.replication.factor", "1")];
    let wrong = [("admin.override.request.timeout.ms", "soon")];
    let with_admin = validate(&life, &config(&[SOURCE, &creates, &wrong].concat())).unwrap_err();
    assert!(with_admin.contains("request.timeout.ms"), "{with_admin}");
    let wrong = [("producer.override.request.timeout.ms", "soon")];
    assert!(validate(&life, &config(&[SOURCE, &wrong].concat())).is_err());
    assert!(validate(&life, &config(&[SOURCE, &creates].concat())).is_ok());
}

#[test]
fn a_worker_that_creates_no_topics_does_not_look_at_how_they_would_be() {
    let directory = tempfile::tempdir().unwrap();
    let half = config(&[SOURCE, &[("topic.creation.groups", "g")]].concat());
    let life = Life::begin(directory.path(), bundled("datagen"), "127.0.0.1:1", &[]);
    let refusal = validate(&life, &half).unwrap_err();
    let missing = "Missing required configuration \"topic.creation.default.partitions\" which has no default value.";
    assert!(refusal.contains(missing), "{refusal}");
    let directory = tempfile::tempdir().unwrap();
    let life = Life::begin(directory.path(), bundled("datagen"), "127.0.0.1:1", &[("topic.creation.enable", "false")]);
    assert!(validate(&life, &half).is_ok());
}
