//! Offsets are changed only while nothing of their connector runs.

use tidegate_herder::{Error, Handle, OffsetsChange, OffsetsChanged, PartitionOffset, Target};

use crate::host::config;
use crate::verbs::Herder;

fn at(partition: &str, offset: Option<&str>) -> PartitionOffset {
    PartitionOffset { partition: Some(partition.to_owned()), offset: offset.map(str::to_owned) }
}

async fn alter(handle: &Handle, offset: &str) -> Result<OffsetsChanged, Error> {
    handle.change_offsets("c", OffsetsChange::Alter(vec![at("{}", Some(offset))])).await
}

#[tokio::test]
async fn offsets_of_a_stopped_connector_are_set_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    let handle = &herder.handle;
    handle.create_connector("c", config("tasks=1"), Target::Stopped).await.unwrap();
    assert_eq!(handle.offsets("c").await.unwrap(), []);
    assert_eq!(alter(handle, "1").await.unwrap(), OffsetsChanged::WithPlugin);
    assert_eq!(handle.offsets("c").await.unwrap(), [at("{}", Some("1"))]);
    handle.change_offsets("c", OffsetsChange::Reset).await.unwrap();
    assert_eq!(handle.offsets("c").await.unwrap(), []);

    let nameless = PartitionOffset { partition: None, offset: None };
    let refused = handle.change_offsets("c", OffsetsChange::Alter(vec![nameless])).await;
    assert_eq!(refused, Err(Error::BadRequest { message: "no partition".to_owned(), problems: vec![] }));
    let unknown = Error::NotFound { message: "Connector nobody not found".to_owned() };
    assert_eq!(handle.offsets("nobody").await, Err(unknown.clone()));
    assert_eq!(handle.change_offsets("nobody", OffsetsChange::Reset).await, Err(unknown));
    herder.stop().await;
}

#[tokio::test]
async fn a_change_is_refused_while_the_connector_shall_run_or_pause() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    let handle = &herder.handle;
    handle.create_connector("c", config("tasks=1"), Target::Running).await.unwrap();
    let message = "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
                   specified connector by issuing a 'PUT' request to the '/connectors/c/stop' endpoint";
    let refused = Err(Error::BadRequest { message: message.to_owned(), problems: vec![] });
    assert_eq!(alter(handle, "1").await, refused);
    handle.pause("c").await.unwrap();
    assert_eq!(handle.change_offsets("c", OffsetsChange::Reset).await, refused);
    herder.stop().await;
}

#[tokio::test]
async fn a_change_and_a_read_right_after_the_stop_wait_for_the_tasks_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    let handle = &herder.handle;
    // Its tasks never end by themselves: they are abandoned when their grace is over.
    handle.create_connector("c", config("tasks=2 stop=hang"), Target::Running).await.unwrap();
    herder.until("c", "RUNNING RUNNING RUNNING").await;
    handle.stop("c").await.unwrap();
    assert_ne!(herder.host.alive(), [] as [String; 0]);
    alter(handle, "1").await.unwrap();
    assert_eq!(herder.host.alive(), [] as [String; 0]);

    handle.resume("c").await.unwrap();
    herder.until("c", "RUNNING RUNNING RUNNING").await;
    handle.stop("c").await.unwrap();
    assert_ne!(herder.host.alive(), [] as [String; 0]);
    assert_eq!(handle.offsets("c").await.unwrap(), [at("{}", Some("1"))]);
    assert_eq!(herder.host.alive(), [] as [String; 0]);
    herder.stop().await;
}

#[tokio::test]
async fn nothing_of_a_connector_starts_while_its_offsets_change_and_others_are_not_held_up() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    let handle = &herder.handle;
    handle.create_connector("c", config("tasks=1 offsets=held"), Target::Stopped).await.unwrap();
    handle.create_connector("other", config("tasks=1"), Target::Running).await.unwrap();
    let (first, second) = (handle.clone(), handle.clone());
    let first = tokio::spawn(async move { alter(&first, "1").await });
    herder.host.until_offsets_are_held().await;
    let second = tokio::spawn(async move { alter(&second, "2").await });
    let message = "the offsets of connector \"c\" are being changed; try again in a moment".to_owned();
    let refused = Err(Error::Conflict { message });
    assert_eq!(handle.resume("c").await, refused);
    assert_eq!(handle.delete_connector("c").await, refused);
    handle.stop("c").await.unwrap();
    herder.until("other", "RUNNING RUNNING").await;
    assert_eq!(handle.offsets("c").await.unwrap(), [], "reading goes on");

    herder.host.let_offsets_go();
    first.await.unwrap().unwrap();
    herder.host.let_offsets_go();
    second.await.unwrap().unwrap();
    assert_eq!(handle.offsets("c").await.unwrap(), [at("{}", Some("2"))], "one after the other");
    handle.resume("c").await.unwrap();
    herder.until("c", "RUNNING RUNNING").await;
    herder.stop().await;
}

#[tokio::test]
async fn a_change_that_never_ends_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let herder = Herder::start(dir.path()).await;
    let handle = &herder.handle;
    handle.create_connector("c", config("tasks=0 offsets=held"), Target::Stopped).await.unwrap();
    let given_up = Error::Unavailable { message: "there was no answer within 2000 ms".to_owned() };
    assert_eq!(alter(handle, "1").await, Err(given_up));
    handle.resume("c").await.unwrap();
    herder.until("c", "RUNNING").await;
    herder.stop().await;
}
