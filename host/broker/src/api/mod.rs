//! The requests this broker answers: one list of API key, versions and handler; one file per family of handlers.
//!
//! A handler is a function from a decoded request to a response. It never fails: what is wrong with a request is an
//! error code in its response.

mod admin;
mod cluster;
mod configs;
mod fetch;
mod groups;
mod list_offsets;
mod offsets;
mod produce;
mod transactions;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use kafka_protocol::{ResponseError, messages::TopicName};
use tokio::sync::OwnedSemaphorePermit;

use crate::core::Core;
use crate::net::Closed;
use crate::shape;

/// Header and still encoded body of a request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) key: i16,
    pub(crate) version: i16,
    correlation_id: i32,
    client_id: String,
    peer: SocketAddr,
    body: Bytes,
}

/// An encoded response with its frame, and the share of memory that it holds until it is sent.
pub(crate) struct Answer {
    pub(crate) bytes: BytesMut,
    _memory: Option<OwnedSemaphorePermit>,
}

/// What handlers know of the client.
#[derive(Debug, Clone)]
struct Caller {
    version: i16,
    client_id: String,
    host: String,
}

type Handled = Pin<Box<dyn Future<Output = Result<Option<Answer>, Closed>> + Send>>;

struct Api {
    key: ApiKey,
    /// The first version that is advertised; versions before the codec's first one are refused all the same.
    min: i16,
    max: i16,
    handle: fn(Arc<Core>, Call) -> Handled,
}

const fn api(key: ApiKey, min: i16, max: i16, handle: fn(Arc<Core>, Call) -> Handled) -> Api {
    Api { key, min, max, handle }
}

const APIS: &[Api] = &[
    // Librdkafka takes a broker without version 0 for one that cannot compress; Apache Kafka advertises it for that, too.
    api(ApiKey::Produce, 0, 13, |core, call| Box::pin(produce::handle(core, call))),
    api(ApiKey::Fetch, 4, 17, |core, call| Box::pin(fetch::handle(core, call))),
    api(ApiKey::ListOffsets, 1, 10, |core, call| now(core, call, list_offsets::list_offsets)),
    api(ApiKey::Metadata, 0, 13, |core, call| now(core, call, cluster::metadata)),
    api(ApiKey::OffsetCommit, 2, 9, |core, call| now(core, call, offsets::commit)),
    api(ApiKey::OffsetFetch, 1, 9, |core, call| now(core, call, offsets::fetch)),
    api(ApiKey::FindCoordinator, 0, 5, |core, call| now(core, call, cluster::find_coordinator)),
    api(ApiKey::JoinGroup, 0, 9, |core, call| later(core, call, groups::join)),
    api(ApiKey::Heartbeat, 0, 4, |core, call| now(core, call, groups::heartbeat)),
    api(ApiKey::LeaveGroup, 0, 5, |core, call| now(core, call, groups::leave)),
    api(ApiKey::SyncGroup, 0, 5, |core, call| later(core, call, groups::sync)),
    api(ApiKey::DescribeGroups, 0, 6, |core, call| now(core, call, groups::describe)),
    api(ApiKey::ListGroups, 0, 5, |core, call| now(core, call, groups::list)),
    api(ApiKey::ApiVersions, 0, 4, |core, call| now(core, call, cluster::api_versions)),
    api(ApiKey::CreateTopics, 2, 7, |core, call| now(core, call, admin::create_topics)),
    api(ApiKey::DeleteTopics, 1, 6, |core, call| now(core, call, admin::delete_topics)),
    api(ApiKey::DeleteRecords, 0, 2, |core, call| now(core, call, admin::delete_records)),
    api(ApiKey::InitProducerId, 0, 5, |core, call| now(core, call, transactions::init_producer_id)),
    api(ApiKey::OffsetForLeaderEpoch, 2, 4, |core, call| now(core, call, list_offsets::offset_for_leader_epoch)),
    api(ApiKey::AddPartitionsToTxn, 0, 3, |core, call| now(core, call, transactions::add_partitions)),
    api(ApiKey::AddOffsetsToTxn, 0, 4, |core, call| now(core, call, transactions::add_offsets)),
    api(ApiKey::EndTxn, 0, 5, |core, call| now(core, call, transactions::end)),
    api(ApiKey::TxnOffsetCommit, 0, 5, |core, call| now(core, call, transactions::commit_offsets)),
    api(ApiKey::DescribeConfigs, 1, 4, |core, call| now(core, call, configs::describe)),
    api(ApiKey::AlterConfigs, 0, 2, |core, call| now(core, call, configs::alter)),
    api(ApiKey::DescribeLogDirs, 1, 4, |core, call| now(core, call, admin::describe_log_dirs)),
    api(ApiKey::CreatePartitions, 0, 3, |core, call| now(core, call, admin::create_partitions)),
    api(ApiKey::DeleteGroups, 0, 2, |core, call| now(core, call, groups::delete)),
    api(ApiKey::IncrementalAlterConfigs, 0, 1, |core, call| now(core, call, configs::alter_incrementally)),
    api(ApiKey::ListPartitionReassignments, 0, 0, |core, call| now(core, call, admin::list_reassignments)),
    api(ApiKey::OffsetDelete, 0, 0, |core, call| now(core, call, offsets::delete)),
    api(ApiKey::DescribeCluster, 0, 2, |core, call| now(core, call, cluster::describe)),
    api(ApiKey::DescribeProducers, 0, 0, |core, call| now(core, call, transactions::describe_producers)),
    api(ApiKey::DescribeTransactions, 0, 0, |core, call| now(core, call, transactions::describe)),
    api(ApiKey::ListTransactions, 0, 1, |core, call| now(core, call, transactions::list)),
    api(ApiKey::DescribeTopicPartitions, 0, 0, |core, call| now(core, call, cluster::describe_topic_partitions)),
];

fn find(key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key as i16 == key)
}

/// Answers a request; `None` where the client wants no answer.
pub(crate) async fn answer(core: Arc<Core>, call: Call) -> Result<Option<Answer>, Closed> {
    let unsupported = Closed::Unsupported { key: call.key, version: call.version };
    let Some(api) = find(call.key) else { return Err(unsupported) };
    if !(api.min.max(api.key.valid_versions().min)..=api.max).contains(&call.version) {
        // A client may ask for the versions in a version that is too new; it understands version 0 of the answer.
        return match api.key {
            ApiKey::ApiVersions => call.encode_as(0, &cluster::unsupported_version(), None).map(Some),
            _ => Err(unsupported),
        };
    }
    (api.handle)(core, call).await
}

impl Call {
    /// Reads the header of a frame.
    pub(crate) fn parse(mut frame: Bytes, peer: SocketAddr) -> Result<Call, Closed> {
        let header = |frame: &mut Bytes| -> Option<(i16, i16, i32, String)> {
            let (key, version) = (frame.try_get_i16().ok()?, frame.try_get_i16().ok()?);
            let correlation_id = frame.try_get_i32().ok()?;
            let client_id = match frame.try_get_i16().ok()? {
                -1 => String::new(),
                length => {
                    let length = usize::try_from(length).ok().filter(|length| *length <= frame.len())?;
                    String::from_utf8_lossy(&frame.split_to(length)).into_owned()
                }
            };
            Some((key, version, correlation_id, client_id))
        };
        let (key, version, correlation_id, client_id) = header(&mut frame).ok_or(Closed::Header)?;
        if ApiKey::try_from(key).is_ok_and(|known| shape::is_flexible(known, version)) {
            shape::skip_tags(&mut frame).map_err(|_| Closed::Header)?;
        }
        Ok(Call { key, version, correlation_id, client_id, peer, body: frame })
    }

    fn decode<Q: Decodable>(&self) -> Result<Q, Closed> {
        let (key, version) = (self.key, self.version);
        let known = ApiKey::try_from(key).map_err(|()| Closed::Unsupported { key, version })?;
        shape::check(known, version, &self.body).map_err(|why| Closed::Misshapen { key, version, why })?;
        Q::decode(&mut self.body.clone(), version).map_err(|why| Closed::Undecodable {
            key,
            version,
            why: why.to_string(),
        })
    }

    fn encode<R: Encodable + HeaderVersion>(
        &self,
        response: &R,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Result<Answer, Closed> {
        self.encode_as(self.version, response, memory)
    }

    fn encode_as<R: Encodable + HeaderVersion>(
        &self,
        version: i16,
        response: &R,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Result<Answer, Closed> {
        let failed = |why: &dyn std::fmt::Display| Closed::Response(why.to_string());
        let size = response.compute_size(version).map_err(|why| failed(&why))?;
        let mut bytes = BytesMut::with_capacity(size + 16);
        bytes.put_i32(0);
        bytes.put_i32(self.correlation_id);
        if R::header_version(version) > 0 {
            bytes.put_u8(0); // no tagged fields
        }
        response.encode(&mut bytes, version).map_err(|why| failed(&why))?;
        let length = i32::try_from(bytes.len() - 4).map_err(|why| failed(&why))?;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        Ok(Answer { bytes, _memory: memory })
    }

    fn caller(&self) -> Caller {
        Caller { version: self.version, client_id: self.client_id.clone(), host: self.peer.ip().to_string() }
    }
}

/// Runs a handler that answers at once.
fn now<Q, R>(core: Arc<Core>, call: Call, handler: fn(&Core, &Caller, Q) -> R) -> Handled
where
    Q: Decodable + Send + 'static,
    R: Encodable + HeaderVersion + 'static,
{
    Box::pin(async move {
        let response = handler(&core, &call.caller(), call.decode()?);
        call.encode(&response, None).map(Some)
    })
}

/// Runs a handler that may wait.
fn later<Q, R, F>(core: Arc<Core>, call: Call, handler: fn(Arc<Core>, Caller, Q) -> F) -> Handled
where
    Q: Decodable + Send + 'static,
    R: Encodable + HeaderVersion + Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    Box::pin(async move {
        let request = call.decode()?;
        let response = handler(core, call.caller(), request).await;
        call.encode(&response, None).map(Some)
    })
}

fn code<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}

fn text(value: impl Into<String>) -> StrBytes {
    StrBytes::from_string(value.into())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

fn optional(value: Option<&StrBytes>) -> Option<String> {
    value.map(|value| value.to_string())
}
