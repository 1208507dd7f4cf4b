//! A small Kafka client on the codec, and brokers in directories of their own.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tidegate_broker::{Broker, BrokerConfig, RunningBroker};

/// A broker on a free port, with the configuration that `change` makes of the default.
pub(crate) fn broker(dir: &Path, change: impl FnOnce(&mut BrokerConfig)) -> RunningBroker {
    let mut config = BrokerConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)), dir.join("data"));
    change(&mut config);
    Broker::start(config).unwrap()
}

pub(crate) fn stop(broker: RunningBroker) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(broker.stop());
}

pub(crate) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

/// Who writes a batch.
#[derive(Clone, Copy)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
    pub(crate) transactional: bool,
}

pub(crate) const NOBODY: Producer = Producer { id: -1, epoch: -1, sequence: -1, transactional: false };

pub(crate) fn batch(values: &[&str], by: Producer) -> Bytes {
    let record = |(index, value): (usize, &&str)| Record {
        transactional: by.transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: by.id,
        producer_epoch: by.epoch,
        timestamp_type: TimestampType::Creation,
        offset: index as i64,
        sequence: by.sequence + index as i32,
        // Long ahead, or retention would take it.
        timestamp: 4_000_000_000_000,
        key: Some(Bytes::from(value.split('=').next().unwrap().to_owned())),
        value: (!value.ends_with('=')).then(|| Bytes::from((*value).to_owned())),
        headers: Default::default(),
    };
    let records: Vec<Record> = values.iter().enumerate().map(record).collect();
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut out, records.iter(), &options).unwrap();
    out.freeze()
}

pub(crate) struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Client { stream, correlation_id: 0 }
    }

    /// Sends a request and reads the answer; an error when the broker closes the connection.
    pub(crate) fn try_call<Q: Request>(&mut self, version: i16, request: &Q) -> io::Result<Q::Response>
    where
        Q::Response: Decodable + HeaderVersion,
    {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(text("test")));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, Q::header_version(version)).unwrap();
        request.encode(&mut frame, version).unwrap();
        self.send(&(frame.len() as u32).to_be_bytes())?;
        self.send(&frame)?;
        let mut answer = self.receive()?;
        let header = ResponseHeader::decode(&mut answer, Q::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        let response = Q::Response::decode(&mut answer, version).unwrap();
        assert!(!answer.has_remaining());
        Ok(response)
    }

    pub(crate) fn call<Q: Request>(&mut self, version: i16, request: &Q) -> Q::Response
    where
        Q::Response: Decodable + HeaderVersion,
    {
        self.try_call(version, request).unwrap()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub(crate) fn receive(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }

    /// Whether the broker closes the connection (rather than answering).
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 1]), Ok(0) | Err(_))
    }

    pub(crate) fn create(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> i16 {
        let configs = configs
            .iter()
            .map(|(key, value)| CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value))));
        let creatable = CreatableTopic::default()
            .with_name(topic(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        self.call(7, &CreateTopicsRequest::default().with_topics(vec![creatable])).topics[0].error_code
    }

    pub(crate) fn try_produce(
        &mut self,
        name: &str,
        records: Bytes,
        transactional_id: Option<&str>,
    ) -> io::Result<PartitionProduceResponse> {
        let data = TopicProduceData::default()
            .with_name(topic(name))
            .with_partition_data(vec![PartitionProduceData::default().with_records(Some(records))]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(1_000)
            .with_transactional_id(transactional_id.map(|id| TransactionalId(text(id))))
            .with_topic_data(vec![data]);
        // Version 11: a transaction must know the partition beforehand.
        let mut response = self.try_call(11, &request)?;
        Ok(response.responses.remove(0).partition_responses.remove(0))
    }

    /// Produces to partition 0: error code and base offset.
    pub(crate) fn produce(&mut self, name: &str, records: Bytes) -> (i16, i64) {
        let answer = self.try_produce(name, records, None).unwrap();
        (answer.error_code, answer.base_offset)
    }

    pub(crate) fn fetch(
        &mut self,
        name: &str,
        offset: i64,
        wait_ms: i32,
        bytes_max: i32,
        committed: bool,
    ) -> PartitionData {
        let partition = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(bytes_max);
        let fetch = FetchTopic::default().with_topic(topic(name)).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(bytes_max)
            .with_isolation_level(committed.into())
            .with_topics(vec![fetch]);
        self.call(12, &request).responses.remove(0).partitions.remove(0)
    }

    /// All records of partition 0 from an offset on, as `offset:value` (a tombstone as `offset:key=`).
    pub(crate) fn read(&mut self, name: &str, mut offset: i64, committed: bool) -> Vec<String> {
        let mut out = Vec::new();
        loop {
            let data = self.fetch(name, offset, 0, 1 << 20, committed);
            assert_eq!(data.error_code, 0);
            let Some(records) = data.records.filter(|records| !records.is_empty()) else { return out };
            // As a consumer does: an aborted transaction is open from its first offset to its marker.
            let mut aborted = data.aborted_transactions.unwrap_or_default();
            let mut open: Vec<i64> = Vec::new();
            for set in RecordBatchDecoder::decode_all(&mut records.clone()).unwrap() {
                for record in set.records {
                    aborted.retain(|txn| {
                        let begins = txn.first_offset <= record.offset;
                        open.extend(begins.then_some(txn.producer_id.0));
                        !begins
                    });
                    if record.control {
                        open.retain(|id| *id != record.producer_id);
                    }
                    let is_aborted = open.contains(&record.producer_id);
                    if record.offset >= offset && !record.control && !is_aborted {
                        let value = record.value.or(record.key.map(|key| [&key[..], b"="].concat().into()));
                        out.push(format!("{}:{}", record.offset, String::from_utf8_lossy(&value.unwrap_or_default())));
                    }
                    offset = offset.max(record.offset + 1);
                }
            }
        }
    }

    /// The earliest (-2) or latest (-1) offset of partition 0.
    pub(crate) fn offset(&mut self, name: &str, timestamp: i64) -> i64 {
        let asked = ListOffsetsTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![ListOffsetsPartition::default().with_timestamp(timestamp)]);
        let response = self.call(7, &ListOffsetsRequest::default().with_topics(vec![asked]));
        response.topics[0].partitions[0].offset
    }

    /// A new incarnation of a transactional producer: error code, id and epoch.
    pub(crate) fn init(&mut self, transactional_id: &str) -> (i16, Producer) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(transactional_id))))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let response = self.call(4, &request);
        let producer =
            Producer { id: response.producer_id.0, epoch: response.producer_epoch, sequence: 0, transactional: true };
        (response.error_code, producer)
    }

    pub(crate) fn add_partition(&mut self, transactional_id: &str, who: Producer, name: &str) -> i16 {
        let asked = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text(transactional_id)))
            .with_v3_and_below_producer_id(ProducerId(who.id))
            .with_v3_and_below_producer_epoch(who.epoch)
            .with_v3_and_below_topics(vec![asked]);
        let response = self.call(3, &request);
        response.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
    }

    pub(crate) fn end(&mut self, transactional_id: &str, who: Producer, committed: bool) -> i16 {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(transactional_id)))
            .with_producer_id(ProducerId(who.id))
            .with_producer_epoch(who.epoch)
            .with_committed(committed);
        self.call(3, &request).error_code
    }
}
