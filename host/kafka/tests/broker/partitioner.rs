//! Keys must land where Java's producer puts them: Connect and Tidegate overwrite each other's source offsets.

use tidegate_kafka::OutRecord;

use crate::cluster::{deliver, on_each_broker, text};

/// Java's `Utils.murmur2`, from its description.
fn murmur2(data: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().unwrap()).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    for (index, &byte) in rest.iter().enumerate() {
        hash ^= u32::from(byte) << (8 * index);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    (hash ^ (hash >> 15)) as i32
}

fn java_partition(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

#[test]
fn the_comparison_hash_is_javas() {
    // The cases of Kafka's own UtilsTest.
    for (key, hash) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ] {
        assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
    }
}

#[test]
fn offset_keys_fall_into_javas_partitions() {
    const PARTITIONS: i32 = 25;
    on_each_broker("murmur2", |cluster| {
        let topic = cluster.topic("t", PARTITIONS, &[]);
        let keys: Vec<String> =
            (0..200).map(|n| format!(r#"["connector-{}",{{"filename":"/data/in-{n}.txt"}}]"#, n % 7)).collect();
        let records: Vec<_> = keys
            .iter()
            .map(|key| OutRecord {
                topic: &topic,
                key: Some(key.as_bytes()),
                value: Some(b"{}"),
                ..OutRecord::default()
            })
            .collect();
        assert!(deliver(&mut cluster.producer(), &records).is_ok());
        let mut found: Vec<_> = cluster.read_all(&topic, |m| (text(m.key().unwrap()), m.partition()));
        let mut expected: Vec<_> =
            keys.iter().map(|key| (key.clone(), java_partition(key.as_bytes(), PARTITIONS))).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    });
}
