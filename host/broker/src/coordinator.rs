//! Owns the groups and the clients that wait for a rebalance; turns time into events for them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError as Error;
use tokio::sync::{Notify, oneshot};

use crate::clock::Monotonic;
use crate::group::{Answer, Claim, Group, Join, JoinRefused, Joined, Waiter};
use crate::lock;

/// Groups known at the same time; idle ones are forgotten to make room.
const GROUPS_MAX: usize = 10_000;

pub(crate) struct Coordinator {
    inner: Mutex<Inner>,
    /// A deadline may have come nearer.
    changed: Notify,
    clock: Monotonic,
    initial_delay_ms: u64,
    members_max: usize,
}

#[derive(Default)]
struct Inner {
    groups: HashMap<String, Group>,
    joining: HashMap<Waiter, oneshot::Sender<Result<Joined, JoinRefused>>>,
    syncing: HashMap<Waiter, oneshot::Sender<Result<Bytes, Error>>>,
    next_waiter: Waiter,
}

impl Inner {
    fn waiter(&mut self) -> Waiter {
        self.next_waiter += 1;
        self.next_waiter
    }

    fn deliver(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            // A client that is no longer there has dropped its receiver.
            match answer {
                Answer::Join(waiter, result) => {
                    if let Some(client) = self.joining.remove(&waiter) {
                        let _ = client.send(result);
                    }
                }
                Answer::Sync(waiter, result) => {
                    if let Some(client) = self.syncing.remove(&waiter) {
                        let _ = client.send(result);
                    }
                }
            }
        }
    }
}

impl Coordinator {
    pub(crate) fn new(initial_delay_ms: u64, members_max: usize) -> Coordinator {
        Coordinator {
            inner: Mutex::default(),
            changed: Notify::new(),
            clock: Monotonic::start(),
            initial_delay_ms,
            members_max,
        }
    }

    pub(crate) async fn join(&self, group_id: &str, join: Join) -> Result<Joined, JoinRefused> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut inner = lock(&self.inner);
            if !inner.groups.contains_key(group_id) {
                // Only a join makes a group, and only one of a member that is new.
                if !join.member_id.is_empty() {
                    return Err((Error::UnknownMemberId, join.member_id));
                }
                if inner.groups.len() >= GROUPS_MAX {
                    inner.groups.retain(|_, group| !group.is_idle());
                }
                if inner.groups.len() >= GROUPS_MAX {
                    return Err((Error::CoordinatorNotAvailable, join.member_id));
                }
            }
            let waiter = inner.waiter();
            inner.joining.insert(waiter, sender);
            let (delay, max) = (self.initial_delay_ms, self.members_max);
            let group = inner.groups.entry(group_id.to_owned()).or_insert_with(|| Group::new(delay, max));
            let answers = group.join(self.clock.ms(), waiter, join);
            inner.deliver(answers);
        }
        self.changed.notify_one();
        receiver.await.unwrap_or_else(|_| Err((Error::UnknownMemberId, String::new())))
    }

    pub(crate) async fn sync(
        &self,
        group_id: &str,
        claim: Claim<'_>,
        protocol_type: Option<&str>,
        protocol: Option<&str>,
        assignments: Vec<(String, Bytes)>,
    ) -> Result<Bytes, Error> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut inner = lock(&self.inner);
            let waiter = inner.waiter();
            let Some(group) = inner.groups.get_mut(group_id) else { return Err(Error::UnknownMemberId) };
            let answers = group.sync(self.clock.ms(), waiter, claim, protocol_type, protocol, assignments);
            inner.syncing.insert(waiter, sender);
            inner.deliver(answers);
        }
        self.changed.notify_one();
        receiver.await.unwrap_or(Err(Error::UnknownMemberId))
    }

    pub(crate) fn heartbeat(&self, group_id: &str, claim: Claim<'_>) -> Result<(), Error> {
        let mut inner = lock(&self.inner);
        let group = inner.groups.get_mut(group_id).ok_or(Error::UnknownMemberId)?;
        group.heartbeat(self.clock.ms(), claim)
    }

    pub(crate) fn leave(&self, group_id: &str, member_id: &str, instance_id: Option<&str>) -> Result<(), Error> {
        let mut inner = lock(&self.inner);
        let group = inner.groups.get_mut(group_id).ok_or(Error::UnknownMemberId)?;
        let (result, answers) = group.leave(self.clock.ms(), member_id, instance_id);
        inner.deliver(answers);
        self.changed.notify_one();
        result
    }

    /// Whether an offset commit is accepted. A group without members that nobody has joined yet accepts those of
    /// clients that do not claim to be members.
    pub(crate) fn check_commit(&self, group_id: &str, claim: Claim<'_>, transactional: bool) -> Result<(), Error> {
        let mut inner = lock(&self.inner);
        match inner.groups.get_mut(group_id) {
            Some(group) => group.check_commit(self.clock.ms(), claim, transactional),
            None if claim.generation < 0 => Ok(()),
            None => Err(Error::IllegalGeneration),
        }
    }

    /// Looks at one group.
    pub(crate) fn with_group<T>(&self, group_id: &str, look: impl FnOnce(Option<&Group>) -> T) -> T {
        look(lock(&self.inner).groups.get(group_id))
    }

    /// Looks at all groups.
    pub(crate) fn with_groups<T>(&self, look: impl FnOnce(&HashMap<String, Group>) -> T) -> T {
        look(&lock(&self.inner).groups)
    }

    /// Forgets a group without members. False if there was none.
    pub(crate) fn delete(&self, group_id: &str) -> Result<bool, Error> {
        let mut inner = lock(&self.inner);
        match inner.groups.get(group_id) {
            Some(group) if !group.is_idle() => Err(Error::NonEmptyGroup),
            _ => Ok(inner.groups.remove(group_id).is_some()),
        }
    }

    /// Lets time pass for the groups; runs until it is dropped.
    pub(crate) async fn run(&self) {
        loop {
            let deadline = {
                let mut inner = lock(&self.inner);
                let now = self.clock.ms();
                let mut answers = Vec::new();
                let mut deadline = None;
                for group in inner.groups.values_mut() {
                    if group.next_deadline().is_some_and(|due| due <= now) {
                        answers.extend(group.tick(now));
                    }
                    deadline = [deadline, group.next_deadline()].into_iter().flatten().min();
                }
                inner.deliver(answers);
                deadline
            };
            // Heartbeats only move deadlines further away, so they need not wake this loop.
            let wait = deadline.map_or(Duration::from_secs(3600), |due| {
                Duration::from_millis(due.saturating_sub(self.clock.ms()).max(1))
            });
            let _ = tokio::time::timeout(wait, self.changed.notified()).await;
        }
    }
}
