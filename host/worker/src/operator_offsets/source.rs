//! Offsets of a source, in the store of the worker.
//!
//! The store knows partitions by their exact bytes; an operator writes them as he likes. A partition that is stored in
//! another spelling is meant all the same, and if it is stored in several, as after a plugin changed its mind, all of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;
use tidegate_config::connector::Direction;
use tidegate_engine::SourceOffset;
use tidegate_herder::{Failure, OffsetsChange, OffsetsChanged, OffsetsError, OffsetsSpec, PartitionOffset};

use super::{answer, blocking, failed, invalid, plan, plugin};
use crate::connector::Guest;
use crate::offsets::{ConnectorOffsets, OffsetWrite, Stored};
use crate::own_offsets;
use crate::plan::ConnectorPlan;
use crate::shared::Shared;

/// How long a store may take to be read to its end.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn read(shared: &Arc<Shared>, of: &OffsetsSpec) -> Result<Vec<PartitionOffset>, OffsetsError> {
    let entry = |at: Stored| PartitionOffset { partition: Some(at.partition), offset: at.offset };
    let offsets = offsets(shared, of, &plan(shared, of).await?).await?;
    Ok(stored(&offsets).await?.into_iter().map(entry).collect())
}

pub(super) async fn change(
    shared: &Arc<Shared>,
    of: &OffsetsSpec,
    change: OffsetsChange,
) -> Result<OffsetsChanged, OffsetsError> {
    let plan = plan(shared, of).await?;
    let offsets = offsets(shared, of, &plan).await?;
    let stored = stored(&offsets).await?;
    let wanted = match change {
        OffsetsChange::Alter(wanted) => checked(wanted)?,
        OffsetsChange::Reset => {
            stored.iter().map(|at| SourceOffset { partition: at.partition.clone(), offset: None }).collect()
        }
    };
    let (guest, config) = plugin(shared, of, &plan).await?;
    let Guest::Source(mut guest) = guest else { return Err(failed("the plugin is no source")) };
    let changed = answer(guest.alter_offsets(&config, &wanted).await)?;
    drop(guest);

    let writes = writes(&stored, &wanted, |partition| offsets.key(partition));
    let timeout = shared.flush_timeout();
    if !writes.is_empty() {
        blocking(move || offsets.alter(&writes, timeout).map_err(|error| failed(error.to_string()))).await?;
    }
    Ok(changed)
}

/// Where the connector's offsets are.
async fn offsets(
    shared: &Arc<Shared>,
    of: &OffsetsSpec,
    plan: &ConnectorPlan,
) -> Result<ConnectorOffsets, OffsetsError> {
    let Direction::Source(source) = &plan.config.direction else { return Err(failed("the connector is no source")) };
    own_offsets::of_connector(shared, &of.connector.name, &plan.config, source)
        .await
        .map_err(|Failure { trace, .. }| failed(trace))
}

async fn stored(offsets: &ConnectorOffsets) -> Result<Vec<Stored>, OffsetsError> {
    let offsets = offsets.clone();
    blocking(move || offsets.list(READ_TIMEOUT).map_err(|error| failed(error.to_string()))).await
}

/// Every partition once, with what was said of it last.
fn checked(wanted: Vec<PartitionOffset>) -> Result<Vec<SourceOffset>, OffsetsError> {
    let mut said: IndexMap<String, SourceOffset> = IndexMap::new();
    for PartitionOffset { partition, offset } in wanted {
        let partition = partition.ok_or_else(|| invalid("Partition objects cannot be null"))?;
        said.insert(meaning(&partition), SourceOffset { partition, offset });
    }
    Ok(said.into_values().collect())
}

/// What is to be written so that `wanted` holds, whatever the spelling of the partitions.
fn writes(stored: &[Stored], wanted: &[SourceOffset], key: impl Fn(&str) -> Vec<u8>) -> Vec<OffsetWrite> {
    let mut spellings = HashMap::<String, Vec<&[u8]>>::new();
    for at in stored {
        spellings.entry(meaning(&at.partition)).or_default().push(&at.key);
    }
    let mut writes = Vec::new();
    for SourceOffset { partition, offset } in wanted {
        let value = offset.as_ref().map(|offset| offset.clone().into_bytes());
        match spellings.get(&meaning(partition)) {
            Some(keys) => writes.extend(keys.iter().map(|key| (key.to_vec(), value.clone()))),
            None => writes.push((key(partition), value)),
        }
    }
    writes
}

/// One text for all spellings of a partition.
fn meaning(partition: &str) -> String {
    match serde_json::from_str::<Value>(partition) {
        Ok(mut value) => {
            value.sort_all_objects();
            value.to_string()
        }
        // Nobody writes such a one; it means itself.
        Err(_) => partition.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Partition and offset from `{"a":1}={"b":2}`; without an offset it is to be forgotten.
    fn wanted(texts: &[&str]) -> Vec<PartitionOffset> {
        let entry = |text: &&str| {
            let (partition, offset) = text.split_once('=').unwrap_or((text, ""));
            let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            PartitionOffset { partition: text(partition), offset: text(offset) }
        };
        texts.iter().map(entry).collect()
    }

    fn check(stored: &[&str], asked: &[&str], expected: expect_test::Expect) {
        let key = |partition: &str| format!("[\"c\",{partition}]").into_bytes();
        let stored: Vec<Stored> = wanted(stored)
            .into_iter()
            .map(|PartitionOffset { partition, offset }| {
                let partition = partition.unwrap();
                Stored { key: key(&partition), partition, offset }
            })
            .collect();
        let told = match checked(wanted(asked)) {
            Err(error) => format!("{error:?}\n"),
            Ok(asked) => writes(&stored, &asked, key)
                .into_iter()
                .map(|(key, value)| {
                    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
                    format!("{} → {}\n", text(key), value.map_or("forgotten".to_owned(), text))
                })
                .collect(),
        };
        expected.assert_eq(&told);
    }

    #[test]
    fn a_new_partition_is_written_as_the_operator_spells_it() {
        check(
            &[],
            &[r#"{"b":1,"a":2}={"n":1}"#],
            expect_test::expect![[r#"
                ["c",{"b":1,"a":2}] → {"n":1}
            "#]],
        );
    }

    #[test]
    fn a_stored_partition_is_found_in_whatever_order_its_members_are() {
        check(
            &[r#"{"db":"x","table":"t"}={"n":1}"#, r#"{"db":"y","table":"t"}={"n":2}"#],
            &[r#"{"table":"t","db":"x"}={"n":7}"#],
            expect_test::expect![[r#"
                ["c",{"db":"x","table":"t"}] → {"n":7}
            "#]],
        );
    }

    #[test]
    fn all_spellings_of_a_partition_are_meant() {
        check(
            &[r#"{"a":"é","b":1}={"n":1}"#, r#"{"b":1,"a":"\u00e9"}={"n":2}"#],
            &[r#"{"a":"é","b":1}"#],
            expect_test::expect![[r#"
                ["c",{"a":"é","b":1}] → forgotten
                ["c",{"b":1,"a":"\u00e9"}] → forgotten
            "#]],
        );
    }

    #[test]
    fn of_a_partition_that_is_named_twice_the_last_word_counts() {
        check(
            &[],
            &[r#"{"a":1,"b":2}={"n":1}"#, r#"{"c":1}={"n":2}"#, r#"{"b":2,"a":1}={"n":3}"#],
            expect_test::expect![[r#"
                ["c",{"b":2,"a":1}] → {"n":3}
                ["c",{"c":1}] → {"n":2}
            "#]],
        );
    }

    #[test]
    fn a_partition_must_be_named() {
        check(
            &[],
            &[r#"={"n":1}"#],
            expect_test::expect![[r#"
                Invalid { message: "Partition objects cannot be null" }
            "#]],
        );
    }
}
