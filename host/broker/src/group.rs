//! One consumer group under the classic protocol: join, sync, heartbeat, leave. Pure: events and the time go in, answers
//! for waiting clients come out; [`crate::coordinator`] owns the groups and the waiting clients.
//!
//! The group does not look into metadata or assignments, so Kafka Connect's protocol type works as well as consumers'.
//! Rules and error codes follow Apache Kafka's `ClassicGroup`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::ResponseError as Error;

/// A client that waits for an answer.
pub(crate) type Waiter = u64;

/// A moment, in milliseconds of a clock that only goes forward.
pub(crate) type Millis = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// A request to join.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    /// The id that a new member gets.
    pub(crate) fresh_member_id: String,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: u64,
    pub(crate) rebalance_timeout_ms: u64,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// A new member must come again with the id it is given (KIP-394).
    pub(crate) require_known_id: bool,
    /// The client understands that a leader may be told to skip the assignment (KIP-814).
    pub(crate) can_skip_assignment: bool,
}

/// The answer to a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    /// Id, instance id and metadata of each member; for the leader only.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
    pub(crate) skip_assignment: bool,
}

/// Why a join failed, and the member id to come back with.
pub(crate) type JoinRefused = (Error, String);

/// An answer for a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Join(Waiter, Result<Joined, JoinRefused>),
    Sync(Waiter, Result<Bytes, Error>),
}

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    session_timeout_ms: u64,
    rebalance_timeout_ms: u64,
    protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    joining: Option<Waiter>,
    syncing: Option<Waiter>,
    expires_at: Millis,
}

impl Member {
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }
}

/// Who a request claims to come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
    pub(crate) generation: i32,
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) state: State,
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) members: BTreeMap<String, Member>,
    /// Members that were given an id and have not come back with it yet.
    pending: BTreeMap<String, Millis>,
    /// When the rebalance ends without those who have not joined (or synced) by then.
    rebalance_ends_at: Option<Millis>,
    /// A group that was empty waits a little for more members before its first rebalance is complete.
    gathering: bool,
    initial_delay_ms: u64,
    members_max: usize,
}

impl Group {
    pub(crate) fn new(initial_delay_ms: u64, members_max: usize) -> Group {
        Group {
            state: State::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            pending: BTreeMap::new(),
            rebalance_ends_at: None,
            gathering: false,
            initial_delay_ms,
            members_max,
        }
    }

    /// Whether nothing is lost when the group is forgotten (its offsets live elsewhere).
    pub(crate) fn is_idle(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    fn instance(&self, instance_id: &str) -> Option<String> {
        let mut members = self.members.iter();
        members.find(|(_, member)| member.instance_id.as_deref() == Some(instance_id)).map(|(id, _)| id.clone())
    }

    fn validate(&self, claim: Claim<'_>) -> Result<(), Error> {
        if let Some(instance_id) = claim.instance_id {
            match self.instance(instance_id) {
                None => return Err(Error::UnknownMemberId),
                Some(owner) if owner != claim.member_id => return Err(Error::FencedInstanceId),
                Some(_) => {}
            }
        }
        if !self.members.contains_key(claim.member_id) {
            return Err(Error::UnknownMemberId);
        }
        if claim.generation != self.generation {
            return Err(Error::IllegalGeneration);
        }
        Ok(())
    }

    /// Answers at once or later, when the rebalance is complete.
    pub(crate) fn join(&mut self, now: Millis, waiter: Waiter, join: Join) -> Vec<Answer> {
        let mut answers = Vec::new();
        if let Err(refused) = self.try_join(now, waiter, join, &mut answers) {
            answers.push(Answer::Join(waiter, Err(refused)));
        }
        answers
    }

    fn try_join(
        &mut self,
        now: Millis,
        waiter: Waiter,
        mut join: Join,
        answers: &mut Vec<Answer>,
    ) -> Result<(), JoinRefused> {
        let refuse = |error: Error, join: &Join| Err((error, join.member_id.clone()));
        let is_new = !self.members.contains_key(&join.member_id);
        if is_new
            && self.members.len() + self.pending.len() >= self.members_max
            && !self.pending.contains_key(&join.member_id)
        {
            return refuse(Error::GroupMaxSizeReached, &join);
        }
        if join.protocols.is_empty() || join.protocol_type.is_empty() || !self.is_compatible(&join) {
            return refuse(Error::InconsistentGroupProtocol, &join);
        }
        let instance = join.instance_id.as_deref().and_then(|id| self.instance(id));
        if join.member_id.is_empty() {
            if let Some(old_id) = instance {
                self.replace_static(now, waiter, &old_id, join, answers);
                return Ok(());
            }
            let fresh = std::mem::take(&mut join.fresh_member_id);
            if join.require_known_id && join.instance_id.is_none() {
                self.pending.insert(fresh.clone(), now + join.session_timeout_ms);
                return Err((Error::MemberIdRequired, fresh));
            }
            self.add(now, waiter, fresh, join, answers);
            return Ok(());
        }
        if self.pending.remove(&join.member_id).is_some() {
            let id = join.member_id.clone();
            self.add(now, waiter, id, join, answers);
            return Ok(());
        }
        match instance {
            Some(owner) if owner != join.member_id => return refuse(Error::FencedInstanceId, &join),
            None if join.instance_id.is_some() => return refuse(Error::UnknownMemberId, &join),
            _ => {}
        }
        let Some(member) = self.members.get(&join.member_id) else {
            return refuse(Error::UnknownMemberId, &join);
        };
        let unchanged = member.protocols == join.protocols;
        let is_leader = self.leader == join.member_id;
        match self.state {
            State::CompletingRebalance if unchanged => {
                self.touch(now, &join.member_id);
                answers.push(Answer::Join(waiter, Ok(self.joined(&join.member_id))));
            }
            State::Stable if unchanged && !is_leader => {
                self.touch(now, &join.member_id);
                answers.push(Answer::Join(waiter, Ok(self.joined(&join.member_id))));
            }
            State::Empty => return refuse(Error::UnknownMemberId, &join),
            _ => {
                self.update(now, waiter, join, answers);
                self.rebalance(now, answers);
            }
        }
        Ok(())
    }

    fn is_compatible(&self, join: &Join) -> bool {
        let others: Vec<&Member> =
            self.members.iter().filter(|(id, _)| **id != join.member_id).map(|(_, member)| member).collect();
        others.is_empty()
            || join.protocol_type == self.protocol_type
                && join.protocols.iter().any(|(name, _)| others.iter().all(|member| member.supports(name)))
    }

    fn add(&mut self, now: Millis, waiter: Waiter, id: String, join: Join, answers: &mut Vec<Answer>) {
        if self.members.is_empty() {
            self.protocol_type.clone_from(&join.protocol_type);
        }
        let member = Member {
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: join.protocols,
            assignment: Bytes::new(),
            joining: Some(waiter),
            syncing: None,
            expires_at: now + join.session_timeout_ms,
        };
        self.members.insert(id, member);
        self.rebalance(now, answers);
    }

    fn update(&mut self, now: Millis, waiter: Waiter, join: Join, answers: &mut Vec<Answer>) {
        let Some(member) = self.members.get_mut(&join.member_id) else { return };
        if let Some(old) = member.joining.replace(waiter) {
            answers.push(Answer::Join(old, Err((Error::UnknownMemberId, String::new()))));
        }
        member.protocols = join.protocols;
        member.session_timeout_ms = join.session_timeout_ms;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.expires_at = now + join.session_timeout_ms;
    }

    /// A restarted static member takes over from its former self; if nothing else changed, without a rebalance.
    fn replace_static(&mut self, now: Millis, waiter: Waiter, old_id: &str, join: Join, answers: &mut Vec<Answer>) {
        let Some(mut member) = self.members.remove(old_id) else { return };
        if let Some(old) = member.joining.take() {
            answers.push(Answer::Join(old, Err((Error::FencedInstanceId, old_id.to_owned()))));
        }
        if let Some(old) = member.syncing.take() {
            answers.push(Answer::Sync(old, Err(Error::FencedInstanceId)));
        }
        let id = join.fresh_member_id;
        let unchanged = member.metadata(&self.protocol)
            == join
                .protocols
                .iter()
                .find(|(name, _)| *name == self.protocol)
                .map(|(_, m)| m.clone())
                .unwrap_or_default()
            && join.protocols.iter().any(|(name, _)| *name == self.protocol);
        member.protocols = join.protocols;
        member.client_id = join.client_id;
        member.client_host = join.client_host;
        member.session_timeout_ms = join.session_timeout_ms;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.expires_at = now + join.session_timeout_ms;
        let was_leader = self.leader == old_id;
        if was_leader {
            self.leader.clone_from(&id);
        }
        if self.state == State::Stable && unchanged {
            self.members.insert(id.clone(), member);
            let mut joined = self.joined(&id);
            if was_leader && !join.can_skip_assignment {
                // An older client would assign anew if it knew that it leads.
                joined.leader = old_id.to_owned();
                joined.members.clear();
            } else if was_leader {
                joined.skip_assignment = true;
            }
            answers.push(Answer::Join(waiter, Ok(joined)));
            return;
        }
        member.joining = Some(waiter);
        self.members.insert(id, member);
        self.rebalance(now, answers);
    }

    fn touch(&mut self, now: Millis, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.expires_at = now + member.session_timeout_ms;
        }
    }

    /// Starts a rebalance, or looks whether the one under way is complete.
    fn rebalance(&mut self, now: Millis, answers: &mut Vec<Answer>) {
        if self.state != State::PreparingRebalance {
            let was_empty = self.state == State::Empty;
            for member in self.members.values_mut() {
                if let Some(waiter) = member.syncing.take() {
                    answers.push(Answer::Sync(waiter, Err(Error::RebalanceInProgress)));
                }
            }
            self.state = State::PreparingRebalance;
            let wait = self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0);
            self.gathering = was_empty && self.initial_delay_ms > 0;
            self.rebalance_ends_at = Some(now + if self.gathering { self.initial_delay_ms.min(wait) } else { wait });
        }
        let all_joined = self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some());
        if all_joined && (!self.gathering || self.members.is_empty()) {
            self.complete_join(now, answers);
        }
    }

    fn complete_join(&mut self, now: Millis, answers: &mut Vec<Answer>) {
        self.members.retain(|_, member| member.joining.is_some() || member.instance_id.is_some());
        self.generation += 1;
        self.gathering = false;
        if self.members.is_empty() {
            self.state = State::Empty;
            self.rebalance_ends_at = None;
            self.protocol.clear();
            self.leader.clear();
            return;
        }
        if self.members.get(&self.leader).is_none_or(|leader| leader.joining.is_none()) {
            let first = self.members.iter().find(|(_, member)| member.joining.is_some()).or(self.members.iter().next());
            self.leader = first.map(|(id, _)| id.clone()).unwrap_or_default();
        }
        self.protocol = self.vote();
        self.state = State::CompletingRebalance;
        let wait = self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0);
        self.rebalance_ends_at = Some(now + wait);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.expires_at = now + member.session_timeout_ms;
            member.assignment = Bytes::new();
            if let Some(waiter) = member.joining.take() {
                answers.push(Answer::Join(waiter, Ok(joined)));
            }
        }
    }

    /// The protocol that all members know and most prefer.
    fn vote(&self) -> String {
        let candidates: BTreeSet<&str> = self
            .members
            .values()
            .flat_map(|member| member.protocols.iter().map(|(name, _)| name.as_str()))
            .filter(|name| self.members.values().all(|member| member.supports(name)))
            .collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let preferred = member.protocols.iter().find(|(name, _)| candidates.contains(name.as_str()));
            if let Some((name, _)) = preferred {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    fn joined(&self, id: &str) -> Joined {
        let members = if self.leader == id {
            let describe = |(id, member): (&String, &Member)| {
                (id.clone(), member.instance_id.clone(), member.metadata(&self.protocol))
            };
            self.members.iter().map(describe).collect()
        } else {
            Vec::new()
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member_id: id.to_owned(),
            members,
            skip_assignment: false,
        }
    }

    /// Hands in the leader's assignments, or waits for them.
    pub(crate) fn sync(
        &mut self,
        now: Millis,
        waiter: Waiter,
        claim: Claim<'_>,
        protocol_type: Option<&str>,
        protocol: Option<&str>,
        assignments: Vec<(String, Bytes)>,
    ) -> Vec<Answer> {
        let refuse = |error| vec![Answer::Sync(waiter, Err(error))];
        if let Err(error) = self.validate(claim) {
            return refuse(error);
        }
        if protocol_type.is_some_and(|name| name != self.protocol_type)
            || protocol.is_some_and(|name| name != self.protocol)
        {
            return refuse(Error::InconsistentGroupProtocol);
        }
        self.touch(now, claim.member_id);
        let is_leader = claim.member_id == self.leader;
        let Some(member) = self.members.get_mut(claim.member_id) else { return refuse(Error::UnknownMemberId) };
        match self.state {
            State::Empty => refuse(Error::UnknownMemberId),
            State::PreparingRebalance => refuse(Error::RebalanceInProgress),
            State::Stable => vec![Answer::Sync(waiter, Ok(member.assignment.clone()))],
            State::CompletingRebalance => {
                let mut answers = Vec::new();
                if let Some(old) = member.syncing.replace(waiter) {
                    answers.push(Answer::Sync(old, Err(Error::RebalanceInProgress)));
                }
                if is_leader {
                    for (id, assignment) in assignments {
                        if let Some(member) = self.members.get_mut(&id) {
                            member.assignment = assignment;
                        }
                    }
                    self.state = State::Stable;
                    self.rebalance_ends_at = None;
                    for member in self.members.values_mut() {
                        member.expires_at = now + member.session_timeout_ms;
                        if let Some(waiter) = member.syncing.take() {
                            answers.push(Answer::Sync(waiter, Ok(member.assignment.clone())));
                        }
                    }
                }
                answers
            }
        }
    }

    pub(crate) fn heartbeat(&mut self, now: Millis, claim: Claim<'_>) -> Result<(), Error> {
        self.validate(claim)?;
        self.touch(now, claim.member_id);
        match self.state {
            State::Empty => Err(Error::UnknownMemberId),
            State::PreparingRebalance => Err(Error::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// A member goes; static members are named by their instance.
    pub(crate) fn leave(
        &mut self,
        now: Millis,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> (Result<(), Error>, Vec<Answer>) {
        let mut answers = Vec::new();
        let id = match instance_id {
            None => member_id.to_owned(),
            Some(instance_id) => match self.instance(instance_id) {
                None => return (Err(Error::UnknownMemberId), answers),
                Some(owner) if !member_id.is_empty() && owner != member_id => {
                    return (Err(Error::FencedInstanceId), answers);
                }
                Some(owner) => owner,
            },
        };
        if self.pending.remove(&id).is_some() {
            if self.state == State::PreparingRebalance {
                self.rebalance(now, &mut answers);
            }
            return (Ok(()), answers);
        }
        if !self.members.contains_key(&id) {
            return (Err(Error::UnknownMemberId), answers);
        }
        self.remove(now, &id, &mut answers);
        (Ok(()), answers)
    }

    fn remove(&mut self, now: Millis, id: &str, answers: &mut Vec<Answer>) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(waiter) = member.joining {
            answers.push(Answer::Join(waiter, Err((Error::UnknownMemberId, String::new()))));
        }
        if let Some(waiter) = member.syncing {
            answers.push(Answer::Sync(waiter, Err(Error::UnknownMemberId)));
        }
        self.rebalance(now, answers);
    }

    /// Whether an offset commit is accepted. Also tells the group that the member lives.
    ///
    /// `transactional` commits are accepted from those who never joined: the broker that Apache ships does so, too.
    pub(crate) fn check_commit(&mut self, now: Millis, claim: Claim<'_>, transactional: bool) -> Result<(), Error> {
        if claim.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if claim.generation >= 0 || !claim.member_id.is_empty() || claim.instance_id.is_some() {
            self.validate(claim)?;
            if !transactional {
                self.touch(now, claim.member_id);
            }
        } else if !transactional {
            return Err(Error::UnknownMemberId);
        }
        if !transactional && self.state == State::CompletingRebalance {
            return Err(Error::RebalanceInProgress);
        }
        Ok(())
    }

    /// When [`Group::tick`] has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        let members = self
            .members
            .values()
            .filter(|member| member.joining.is_none() && member.syncing.is_none())
            .map(|member| member.expires_at);
        members.chain(self.pending.values().copied()).chain(self.rebalance_ends_at).min()
    }

    /// Removes those whose time is over.
    pub(crate) fn tick(&mut self, now: Millis) -> Vec<Answer> {
        let mut answers = Vec::new();
        let pending = self.pending.len();
        self.pending.retain(|_, expires_at| *expires_at > now);
        let expired: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| member.joining.is_none() && member.syncing.is_none() && member.expires_at <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in &expired {
            self.remove(now, id, &mut answers);
        }
        if self.pending.len() < pending && self.state == State::PreparingRebalance {
            self.rebalance(now, &mut answers);
        }
        if self.rebalance_ends_at.is_some_and(|end| end <= now) {
            match self.state {
                State::PreparingRebalance => {
                    self.pending.clear();
                    self.complete_join(now, &mut answers);
                }
                State::CompletingRebalance => {
                    // The leader or others never synced: they are gone.
                    let silent: Vec<String> = self
                        .members
                        .iter()
                        .filter(|(_, member)| member.syncing.is_none())
                        .map(|(id, _)| id.clone())
                        .collect();
                    self.rebalance_ends_at = None;
                    for id in silent {
                        self.remove(now, &id, &mut answers);
                    }
                }
                State::Empty | State::Stable => self.rebalance_ends_at = None,
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::fmt::Write;

    /// Runs a script against a fresh group and compares what the clients hear.
    ///
    /// `NAME join [ID] [instance=I] [meta=M]`, `NAME sync GENERATION [ID=ASSIGNMENT…]`, `NAME beat GENERATION`,
    /// `NAME leave`, `NAME commit GENERATION [txn]`, `wait MS`. A member's name is its fresh id.
    fn check(script: &str, expect: Expect) {
        let mut group = Group::new(0, 3);
        let mut now = 0;
        let mut out = String::new();
        let mut waiters: Vec<String> = Vec::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let option = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            waiters.push(words[0].to_owned());
            let waiter = waiters.len() as u64 - 1;
            let name = words[0];
            let number = || words[2].parse::<i32>().unwrap();
            let claim = |generation| Claim { member_id: name, instance_id: None, generation };
            let mut said = None;
            let answers = match words[..] {
                ["wait", ms] => {
                    now += ms.parse::<u64>().unwrap();
                    group.tick(now)
                }
                [_, "join", ..] => {
                    let known = words.get(2).filter(|word| !word.contains('=')).copied().unwrap_or_default();
                    let join = Join {
                        member_id: known.to_owned(),
                        instance_id: option("instance").map(str::to_owned),
                        fresh_member_id: name.to_owned(),
                        client_id: "client".into(),
                        client_host: "host".into(),
                        session_timeout_ms: 100,
                        rebalance_timeout_ms: 1_000,
                        protocol_type: option("type").unwrap_or("consumer").to_owned(),
                        protocols: vec![("range".into(), Bytes::from(option("meta").unwrap_or("m").to_owned()))],
                        require_known_id: option("instance").is_none(),
                        can_skip_assignment: true,
                    };
                    group.join(now, waiter, join)
                }
                [_, "sync", _, ref assigned @ ..] => {
                    let assigned = assigned.iter().map(|word| word.split_once('=').unwrap());
                    let assigned = assigned.map(|(id, bytes)| (id.to_owned(), Bytes::from(bytes.to_owned()))).collect();
                    group.sync(now, waiter, claim(number()), None, None, assigned)
                }
                [_, "beat", _] => {
                    said = Some(group.heartbeat(now, claim(number())));
                    Vec::new()
                }
                [_, "commit", _, ref txn @ ..] => {
                    let name = if name == "nobody" { "" } else { name };
                    let claim = Claim { member_id: name, ..claim(number()) };
                    said = Some(group.check_commit(now, claim, !txn.is_empty()));
                    Vec::new()
                }
                [_, "leave"] => {
                    let (result, answers) = group.leave(now, name, None);
                    said = Some(result);
                    answers
                }
                _ => panic!("what is {line:?}"),
            };
            if let Some(said) = said {
                writeln!(out, "{line}: {said:?}").unwrap();
            }
            for answer in answers {
                match answer {
                    Answer::Join(waiter, Ok(joined)) => writeln!(
                        out,
                        "{} joined: generation {} leader {} members {:?}{}",
                        waiters[waiter as usize],
                        joined.generation,
                        joined.leader,
                        joined.members.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(),
                        if joined.skip_assignment { " skip" } else { "" },
                    ),
                    Answer::Join(waiter, Err((error, id))) => {
                        writeln!(out, "{} join: {error:?} {id}", waiters[waiter as usize])
                    }
                    Answer::Sync(waiter, Ok(bytes)) => writeln!(out, "{} synced: {bytes:?}", waiters[waiter as usize]),
                    Answer::Sync(waiter, Err(error)) => writeln!(out, "{} sync: {error:?}", waiters[waiter as usize]),
                }
                .unwrap();
            }
        }
        writeln!(out, "{} {:?}", group.state.name(), group.members.keys().collect::<Vec<_>>()).unwrap();
        expect.assert_eq(&out);
    }

    const A_LEADS: &str = "a join\na join a\na sync 1 a=all\n";

    #[test]
    fn a_first_member_leads_and_assigns_itself() {
        check(
            A_LEADS,
            expect![[r#"
            a join: MemberIdRequired a
            a joined: generation 1 leader a members ["a"]
            a synced: b"all"
            Stable ["a"]
        "#]],
        );
    }

    #[test]
    fn a_second_member_waits_for_the_first_to_join_again() {
        check(
            &format!("{A_LEADS} b join\n b join b\n a beat 1\n a join a\n b sync 2\n a sync 2 a=x b=y"),
            expect![[r#"
            a join: MemberIdRequired a
            a joined: generation 1 leader a members ["a"]
            a synced: b"all"
            b join: MemberIdRequired b
            a beat 1: Err(RebalanceInProgress)
            a joined: generation 2 leader a members ["a", "b"]
            b joined: generation 2 leader a members []
            a synced: b"x"
            b synced: b"y"
            Stable ["a", "b"]
        "#]],
        );
    }

    #[test]
    fn a_silent_member_is_removed_after_its_session() {
        check(
            &format!("{A_LEADS} wait 60\n b join\n b join b\n wait 60\n b sync 2 b=all\n a beat 1"),
            expect![[r#"
            a join: MemberIdRequired a
            a joined: generation 1 leader a members ["a"]
            a synced: b"all"
            b join: MemberIdRequired b
            b joined: generation 2 leader b members ["b"]
            b synced: b"all"
            a beat 1: Err(UnknownMemberId)
            Stable ["b"]
        "#]],
        );
    }

    #[test]
    fn a_leader_that_never_assigns_is_removed() {
        check(
            "a join\na join a\nb join\nb join b\na join a\nb sync 2\nwait 50\na beat 2\nwait 950\nwait 60",
            expect![[r#"
            a join: MemberIdRequired a
            a joined: generation 1 leader a members ["a"]
            b join: MemberIdRequired b
            a joined: generation 2 leader a members ["a", "b"]
            b joined: generation 2 leader a members []
            a beat 2: Ok(())
            b sync: RebalanceInProgress
            Empty []
        "#]],
        );
    }

    #[test]
    fn leaving_starts_a_rebalance_and_the_last_one_empties_the_group() {
        check(
            &format!("{A_LEADS} a leave\n a beat 1"),
            expect![[r#"
            a join: MemberIdRequired a
            a joined: generation 1 leader a members ["a"]
            a synced: b"all"
            a leave: Ok(())
            a beat 1: Err(UnknownMemberId)
            Empty []
        "#]],
        );
    }

    #[test]
    fn a_static_member_comes_back_without_a_rebalance() {
        check(
            "a join instance=i\na sync 1 a=all\nb join instance=i\nb sync 1\na beat 1",
            expect![[r#"
            a joined: generation 1 leader a members ["a"]
            a synced: b"all"
            b joined: generation 1 leader b members ["b"] skip
            b synced: b"all"
            a beat 1: Err(UnknownMemberId)
            Stable ["b"]
        "#]],
        );
    }

    #[test]
    fn another_protocol_type_is_refused() {
        check(
            &format!("{A_LEADS} b join type=connect"),
            expect![[r#"
            a join: MemberIdRequired a
            a joined: generation 1 leader a members ["a"]
            a synced: b"all"
            b join: InconsistentGroupProtocol 
            Stable ["a"]
        "#]],
        );
    }

    #[test]
    fn the_number_of_members_is_bounded() {
        check(
            "a join\nb join\nc join\nd join\na join a",
            expect![[r#"
            a join: MemberIdRequired a
            b join: MemberIdRequired b
            c join: MemberIdRequired c
            d join: GroupMaxSizeReached 
            PreparingRebalance ["a"]
        "#]],
        );
    }

    #[test]
    fn offset_commits_are_fenced_by_member_and_generation_but_for_transactions_of_those_who_never_joined() {
        check(
            &format!(
                "nobody commit -1\n {A_LEADS} a commit 1\n a commit 0\n b commit 1\n nobody commit -1\n
                      a commit 0 txn\n b commit 1 txn\n a commit 1 txn\n nobody commit -1 txn"
            ),
            expect![[r#"
                nobody commit -1: Ok(())
                a join: MemberIdRequired a
                a joined: generation 1 leader a members ["a"]
                a synced: b"all"
                a commit 1: Ok(())
                a commit 0: Err(IllegalGeneration)
                b commit 1: Err(UnknownMemberId)
                nobody commit -1: Err(UnknownMemberId)
                a commit 0 txn: Err(IllegalGeneration)
                b commit 1 txn: Err(UnknownMemberId)
                a commit 1 txn: Ok(())
                nobody commit -1 txn: Ok(())
                Stable ["a"]
            "#]],
        );
    }
}
