//! `tidegate dlq replay --through`: dead letters are given to a sink connector again, and to nobody else.
//!
//! A connector reads the topics of its configuration, so the letters get a connector of their own for as long as it takes: the
//! same configuration, made by the same worker with the same plugins, converters and transforms, that reads the queue and
//! begins its chain with `RestoreDeadLetter`. Its consumer group remembers how far it came.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::{Map, Value, json};
use tidegate_kafka::Admin;

use super::queue::{Ends, Queue, Reading};
use super::selection::Selection;
use super::{blocking, letters};
use crate::failure::Failure;
use crate::output::{grouped, say};
use crate::rest::Rest;
use crate::shutdown::Shutdown;

/// How often it is looked how far it came.
const LOOK: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often the connector commits, so that its end is seen soon.
const FLUSH_INTERVAL_MS: &str = "500";

/// What there is to do, and where the group stands when it is done.
struct Plan {
    queue: Queue,
    admin: Admin,
    letters: u64,
    done_at: Ends,
}

pub(super) async fn replay(queue: Queue, connector: &str, url: &str, yes: bool, again: bool) -> Result<(), Failure> {
    let rest = Rest::new(url)?;
    let what = format!("connector \"{connector}\" cannot be read");
    let known = rest.ask(Method::GET, &["connectors", connector], &what).await?;
    let name = format!("{connector}-dlq-replay");
    let config = replaying(&known, connector, &name, &queue.topic)?;
    let (group, own) = (format!("connect-{name}"), connector.to_owned());
    let group_of_plan = group.clone();
    let plan = blocking(move || plan(queue, &group_of_plan, own, again)).await?;
    if plan.letters == 0 {
        return say("nothing to replay");
    }
    if !yes {
        let (count, topic) = (letters(plan.letters), &plan.queue.topic);
        say(format_args!("would give {count} of \"{topic}\" to connector \"{connector}\""))?;
        return say("nothing was delivered; add --yes to do it");
    }
    let shutdown = Shutdown::listen()?;
    let what = format!("the letters cannot be given to connector \"{connector}\"");
    rest.send_json(Method::POST, &["connectors"], &json!({ "name": name, "config": config }), &what)
        .await
        .map_err(|failure| failure.hint(format!("if \"{name}\" is left from a replay that was cut off, delete it")))?;
    let topic = plan.queue.topic.clone();
    let done = tokio::select! {
        done = until_done(&rest, &name, &group, plan) => done,
        () = shutdown.wanted() => Err(Failure::new("the replay was cut off").detail("the next one goes on from there")),
    };
    // Its numbers go with it.
    let counts = counts(&rest, &name).await;
    let deleted = rest.ask(Method::DELETE, &["connectors", &name], &format!("\"{name}\" was not deleted")).await;
    done?;
    deleted?;
    let counts = counts?;
    say(format_args!("{} of \"{topic}\" delivered by \"{connector}\"", letters(counts.delivered)))?;
    if counts.filtered > 0 {
        say(format_args!("{} were dropped by its transforms, or are other connectors'", grouped(counts.filtered)))?;
    }
    match counts.skipped {
        0 => Ok(()),
        skipped => Err(Failure::new(format!("{} failed again", letters(skipped)))
            .detail("they are still in the queue; the log of the worker says why")
            .hint("when that is mended, --again gives all of them to the connector once more")),
    }
}

/// The configuration of the connector that replays.
fn replaying(known: &Value, connector: &str, name: &str, topic: &str) -> Result<Map<String, Value>, Failure> {
    if known["type"] != "sink" {
        return Err(Failure::usage(format!("connector \"{connector}\" is no sink"))
            .detail("dead letters of a source were never written to Kafka")
            .hint("without --through they are written to the topics that they were meant for"));
    }
    let mut config = known["config"].as_object().cloned().unwrap_or_default();
    if config.get("delivery.guarantee").is_some_and(|value| value == "exactly_once") {
        return Err(Failure::usage(format!("connector \"{connector}\" delivers exactly once"))
            .detail("its target knows the positions of its topics, and not those of a dead letter queue")
            .hint("replay without --through: the letters get new positions in their topics"));
    }
    config.retain(|key, _| {
        !key.starts_with("errors.deadletterqueue.")
            && !matches!(key.as_str(), "topics" | "topics.regex" | "consumer.override.group.id")
    });
    let steps = config.get("transforms").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let alias = "tidegate-dead-letter";
    let steps = if steps.is_empty() { alias.to_owned() } else { format!("{alias},{steps}") };
    for (key, value) in [
        ("name", name),
        ("topics", topic),
        ("transforms", &steps),
        ("transforms.tidegate-dead-letter.type", "RestoreDeadLetter"),
        ("transforms.tidegate-dead-letter.connector", connector),
        // What fails again stays in the queue, where it is: it is not written there once more.
        ("errors.tolerance", "all"),
        ("errors.log.enable", "true"),
        ("offset.flush.interval.ms", FLUSH_INTERVAL_MS),
        // From the first letter on, whatever the connector or its worker says; and a failure ends the replay.
        ("consumer.override.auto.offset.reset", "earliest"),
        ("tasks.restart.enable", "false"),
    ] {
        config.insert(key.to_owned(), json!(value));
    }
    Ok(config)
}

/// Counts the connector's letters behind where its group stands.
fn plan(queue: Queue, group: &str, connector: String, again: bool) -> Result<Plan, Failure> {
    let admin = queue.admin()?;
    let ends = queue.ends(&admin)?;
    let unread = |error| queue.failure(format!("the group \"{group}\" cannot be read"), &error);
    if again {
        admin.delete_group(group, TIMEOUT).map_err(unread)?;
    }
    let next: BTreeMap<i32, i64> =
        admin.group_offsets(group, TIMEOUT).map_err(unread)?.into_iter().map(|at| (at.partition, at.offset)).collect();
    let selection = Selection { connector: Some(connector), ..Selection::default() };
    let (mut count, mut done_at) = (0, Ends::new());
    queue.read(&ends, |batch| {
        for letter in
            batch.iter().filter(|letter| next.get(&letter.partition).is_none_or(|next| letter.offset >= *next))
        {
            count += u64::from(selection.matches(letter));
            done_at.insert(letter.partition, letter.offset + 1);
        }
        Ok(Reading::On)
    })?;
    Ok(Plan { queue, admin, letters: count, done_at })
}

/// Waits until the group has passed every letter. A task that fails ends it.
async fn until_done(rest: &Rest, name: &str, group: &str, plan: Plan) -> Result<(), Failure> {
    let bar = ProgressBar::new(plan.letters);
    let mut plan = plan;
    loop {
        let group = group.to_owned();
        let (back, left) = blocking(move || {
            let offsets = plan
                .admin
                .group_offsets(&group, TIMEOUT)
                .map_err(|error| plan.queue.failure(format!("the group \"{group}\" cannot be read"), &error))?;
            let next: BTreeMap<i32, i64> = offsets.into_iter().map(|at| (at.partition, at.offset)).collect();
            let left: u64 = (plan.done_at.iter())
                .map(|(partition, end)| end.saturating_sub(next.get(partition).copied().unwrap_or_default()))
                .map(|left| u64::try_from(left).unwrap_or_default())
                .sum();
            Ok((plan, left))
        })
        .await?;
        plan = back;
        bar.set_position(plan.letters.saturating_sub(left));
        if left == 0 {
            bar.finish_and_clear();
            return Ok(());
        }
        let what = format!("the status of connector \"{name}\" cannot be read");
        let status = rest.ask(Method::GET, &["connectors", name, "status"], &what).await?;
        let instances = std::iter::once(&status["connector"]).chain(status["tasks"].as_array().into_iter().flatten());
        if let Some(failed) = instances.into_iter().find(|instance| instance["state"] == "FAILED") {
            bar.finish_and_clear();
            return Err(Failure::new("the letters were not all delivered")
                .detail(failed["trace"].as_str().unwrap_or("a task failed"))
                .hint("what was delivered is noted; the next replay goes on from there"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    delivered: u64,
    filtered: u64,
    skipped: u64,
}

async fn counts(rest: &Rest, name: &str) -> Result<Counts, Failure> {
    let text = rest.text(&["metrics"], "the numbers of the worker cannot be read").await?;
    Ok(read_counts(&text, name))
}

/// The sums over all tasks of a connector.
fn read_counts(metrics: &str, name: &str) -> Counts {
    let sum = |metric: &str| {
        let begin = format!("{metric}{{connector=\"{name}\",");
        let values = metrics.lines().filter(|line| line.starts_with(&begin));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    };
    Counts {
        delivered: sum("kafka_connect_sink_task_metrics_sink_record_send_total"),
        filtered: sum("tidegate_task_records_filtered_total"),
        skipped: sum("kafka_connect_task_error_metrics_total_records_skipped"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_connector_that_replays_is_the_same_but_for_what_it_reads_and_where_failures_go() {
        let known = json!({"type": "sink", "config": {
            "connector.class": "FileStreamSink", "file": "out.txt", "topics": "a,b", "transforms": "mask",
            "transforms.mask.type": "MaskField$Value", "errors.tolerance": "none",
            "errors.deadletterqueue.topic.name": "dead", "consumer.override.group.id": "mine"}});
        let mut config: Vec<_> = replaying(&known, "c", "c-dlq-replay", "dead").unwrap().into_iter().collect();
        config.sort_by(|a, b| a.0.cmp(&b.0));
        let lines: String = config.iter().map(|(key, value)| format!("{key}={}\n", value.as_str().unwrap())).collect();
        expect![[r#"
            connector.class=FileStreamSink
            consumer.override.auto.offset.reset=earliest
            errors.log.enable=true
            errors.tolerance=all
            file=out.txt
            name=c-dlq-replay
            offset.flush.interval.ms=500
            tasks.restart.enable=false
            topics=dead
            transforms=tidegate-dead-letter,mask
            transforms.mask.type=MaskField$Value
            transforms.tidegate-dead-letter.connector=c
            transforms.tidegate-dead-letter.type=RestoreDeadLetter
        "#]]
        .assert_eq(&lines);
    }

    #[test]
    fn sources_and_exactly_once_are_refused() {
        let refused = |known: Value| replaying(&known, "c", "r", "dead").unwrap_err().to_string();
        assert!(refused(json!({"type": "source", "config": {}})).contains("is no sink"));
        let exact = json!({"type": "sink", "config": {"delivery.guarantee": "exactly_once"}});
        assert!(refused(exact).contains("delivers exactly once"));
    }

    #[test]
    fn counts_are_summed_over_the_tasks_of_one_connector() {
        let text = "kafka_connect_sink_task_metrics_sink_record_send_total{connector=\"r\",task=\"0\"} 3\n\
            kafka_connect_sink_task_metrics_sink_record_send_total{connector=\"r\",task=\"1\"} 4\n\
            kafka_connect_sink_task_metrics_sink_record_send_total{connector=\"rr\",task=\"0\"} 5\n\
            tidegate_task_records_filtered_total{connector=\"r\",task=\"0\"} 1\n";
        assert_eq!(read_counts(text, "r"), Counts { delivered: 7, filtered: 1, skipped: 0 });
    }
}
