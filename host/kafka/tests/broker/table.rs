use tidegate_kafka::{ClientSettings, CompactedTopic, KafkaError};

use crate::cluster::{BUDGET_BYTES, Cluster, PATIENCE, on_each_broker, text};

fn open(cluster: &Cluster, topic: &str) -> Result<CompactedTopic, KafkaError> {
    let writer = ClientSettings::for_producer(&cluster.bootstrap, BUDGET_BYTES);
    CompactedTopic::open(&cluster.reader_settings(), &writer, topic, PATIENCE)
}

fn shown(table: &CompactedTopic) -> Vec<String> {
    let mut entries: Vec<_> = table.iter().map(|(key, value)| format!("{}={}", text(key), text(value))).collect();
    entries.sort();
    entries
}

#[test]
fn a_table_is_rebuilt_with_the_last_value_of_each_key() {
    on_each_broker("table", |cluster| {
        let topic = cluster.topic("t", 3, &[("cleanup.policy", "compact")]);
        let mut writer = open(cluster, &topic).unwrap();
        assert!(writer.is_empty());
        writer.put_batch(&[(b"a", Some(b"1")), (b"b", Some(b"1")), (b"a", Some(b"2"))], PATIENCE).unwrap();
        writer.put_batch(&[(b"c", Some(b"1")), (b"b", None)], PATIENCE).unwrap();
        assert!(writer.is_empty(), "a write shows when it is read");

        let mut reader = open(cluster, &topic).unwrap();
        assert_eq!(shown(&reader), ["a=2", "c=1"]);
        assert_eq!(reader.get(b"a"), Some(&b"2"[..]));
        assert_eq!(reader.get(b"b"), None);

        writer.put_batch(&[(b"d", Some(b"1"))], PATIENCE).unwrap();
        let mut changes = Vec::new();
        reader.read_to_end(PATIENCE, |key, value| changes.push((text(key), value.map(text)))).unwrap();
        assert_eq!(changes, [("d".to_owned(), Some("1".to_owned()))]);
        writer.read_to_end(PATIENCE, |_, _| {}).unwrap();
        assert_eq!(shown(&writer), shown(&reader));
    });
}

#[test]
fn a_large_table_reads_to_its_end() {
    on_each_broker("large-table", |cluster| {
        let topic = cluster.topic("t", 5, &[("cleanup.policy", "compact")]);
        let mut table = open(cluster, &topic).unwrap();
        let keys: Vec<String> = (0..20_000).map(|n| format!("key-{}", n % 5_000)).collect();
        let values: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
        let writes: Vec<_> = keys.iter().zip(&values).map(|(k, v)| (k.as_bytes(), Some(v.as_bytes()))).collect();
        table.put_batch(&writes, PATIENCE).unwrap();
        table.read_to_end(PATIENCE, |_, _| {}).unwrap();
        assert_eq!(table.len(), 5_000);
        assert_eq!(table.get(b"key-4999"), Some(&b"19999"[..]));
    });
}

#[test]
fn a_table_without_a_topic_is_an_error() {
    on_each_broker("no-table", |cluster| {
        let error = open(cluster, &cluster.name("missing")).unwrap_err();
        assert!(matches!(error, KafkaError::Refused { .. }), "{error:?}");
    });
}
