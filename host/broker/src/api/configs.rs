//! Describing and altering configurations of topics; those of the broker can be read.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError as Error;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as IncrementalResponse;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Caller, text};
use crate::core::{Core, NODE_ID, Refused};
use crate::topic_config::{self, Kind, TOPIC_KEYS};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

pub(super) const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC_BROKER: i8 = 4;
pub(super) const SOURCE_DEFAULT: i8 = 5;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) fn describe(core: &Core, _: &Caller, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.into_iter().map(|resource| {
        let described = match resource.resource_type {
            TOPIC => {
                describe_topic(core, &resource.resource_name, request.include_synonyms, request.include_documentation)
            }
            BROKER => describe_broker(core, &resource.resource_name),
            other => Err(Refused::new(Error::InvalidRequest, format!("resource type {other} is not supported"))),
        };
        let answer = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match described {
            Ok(mut configs) => {
                if let Some(keys) = &resource.configuration_keys {
                    configs.retain(|config| keys.contains(&config.name));
                }
                answer.with_configs(configs)
            }
            Err(refused) => {
                answer.with_error_code(refused.error.code()).with_error_message(Some(text(refused.message)))
            }
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn describe_topic(
    core: &Core,
    name: &str,
    synonyms: bool,
    docs: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
    let topic = core.topic(name).ok_or_else(|| unknown_topic(name))?;
    let describe = |key: &topic_config::Key| {
        let set = topic.configs.get(key.name);
        let mut all = Vec::new();
        if synonyms {
            let synonym = |value: &str, source| {
                DescribeConfigsSynonym::default()
                    .with_name(text(key.name))
                    .with_value(Some(text(value)))
                    .with_source(source)
            };
            all.extend(set.map(|value| synonym(value, SOURCE_TOPIC)));
            all.push(synonym(key.default, SOURCE_DEFAULT));
        }
        DescribeConfigsResourceResult::default()
            .with_name(text(key.name))
            .with_value(Some(text(set.map_or(key.default, String::as_str))))
            .with_config_source(if set.is_some() { SOURCE_TOPIC } else { SOURCE_DEFAULT })
            .with_synonyms(all)
            .with_config_type(key.kind.wire())
            .with_documentation(docs.then(|| text(key.doc)))
    };
    Ok(TOPIC_KEYS.iter().map(describe).collect())
}

fn describe_broker(core: &Core, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
    if name.is_empty() {
        // The defaults of the whole cluster: none were set.
        return Ok(Vec::new());
    }
    if name != NODE_ID.to_string() {
        let why = format!("unexpected broker id, expected {NODE_ID} or an empty string, but received {name}");
        return Err(Refused::new(Error::InvalidRequest, why));
    }
    let config = &core.config;
    let values: [(&str, Kind, String); 12] = [
        ("advertised.listeners", Kind::String, format!("PLAINTEXT://{}", core.address)),
        ("auto.create.topics.enable", Kind::Boolean, config.auto_create_topics.to_string()),
        ("default.replication.factor", Kind::Int, "1".into()),
        ("delete.topic.enable", Kind::Boolean, "true".into()),
        ("group.initial.rebalance.delay.ms", Kind::Int, config.group_initial_rebalance_delay_ms.to_string()),
        ("group.max.size", Kind::Int, config.group_members_max.to_string()),
        ("listeners", Kind::String, format!("PLAINTEXT://{}", core.address)),
        ("log.dirs", Kind::String, config.data_dir.display().to_string()),
        ("node.id", Kind::Int, NODE_ID.to_string()),
        ("num.partitions", Kind::Int, config.default_partitions.to_string()),
        ("offsets.topic.replication.factor", Kind::Int, "1".into()),
        ("socket.request.max.bytes", Kind::Int, config.request_bytes_max.to_string()),
    ];
    let describe = |(name, kind, value): (&str, Kind, String)| {
        DescribeConfigsResourceResult::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
            .with_read_only(true)
            .with_config_source(SOURCE_STATIC_BROKER)
            .with_config_type(kind.wire())
    };
    Ok(values.into_iter().map(describe).collect())
}

fn unknown_topic(name: &str) -> Refused {
    Refused::new(Error::UnknownTopicOrPartition, format!("topic '{name}' does not exist"))
}

/// Only topics have configurations that can be changed.
fn require_topic(resource_type: i8) -> Result<(), Refused> {
    if resource_type == TOPIC {
        return Ok(());
    }
    Err(Refused::new(Error::InvalidRequest, "only configurations of topics can be changed on this broker"))
}

pub(super) fn alter(core: &Core, _: &Caller, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let replace = |configs: &mut BTreeMap<String, String>| {
            configs.clear();
            let set = resource
                .configs
                .iter()
                .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())));
            configs.extend(set);
            Ok(())
        };
        let result = require_topic(resource.resource_type).and_then(|()| {
            core.change_topic(&resource.resource_name, request.validate_only, |meta| replace(&mut meta.configs))
        });
        let answer = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match result {
            Ok(()) => answer,
            Err(refused) => {
                answer.with_error_code(refused.error.code()).with_error_message(Some(text(refused.message)))
            }
        }
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

pub(super) fn alter_incrementally(
    core: &Core,
    _: &Caller,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let result = require_topic(resource.resource_type).and_then(|()| {
            core.change_topic(&resource.resource_name, request.validate_only, |meta| {
                resource.configs.iter().try_for_each(|config| {
                    apply(&mut meta.configs, &config.name, config.config_operation, config.value.as_ref())
                })
            })
        });
        let answer = IncrementalResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match result {
            Ok(()) => answer,
            Err(refused) => {
                answer.with_error_code(refused.error.code()).with_error_message(Some(text(refused.message)))
            }
        }
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

fn apply(
    configs: &mut BTreeMap<String, String>,
    name: &str,
    operation: i8,
    value: Option<&StrBytes>,
) -> Result<(), Refused> {
    let invalid = |why: String| Refused::new(Error::InvalidConfig, why);
    let key = topic_config::topic_key(name).ok_or_else(|| invalid(format!("unknown topic config name: {name}")))?;
    if operation == DELETE {
        configs.remove(name);
        return Ok(());
    }
    let value = value.ok_or_else(|| invalid(format!("null value not supported for {name}")))?;
    let value = match operation {
        SET => value.to_string(),
        APPEND | SUBTRACT if key.kind != Kind::List => {
            return Err(invalid(format!("config value append and subtract are not allowed for {name}, it is no list")));
        }
        APPEND | SUBTRACT => {
            let before = configs.get(name).map_or(key.default, String::as_str);
            let mut items: Vec<&str> = topic_config::items(before).collect();
            for item in topic_config::items(value) {
                items.retain(|known| *known != item);
                if operation == APPEND {
                    items.push(item);
                }
            }
            items.join(",")
        }
        other => return Err(Refused::new(Error::InvalidRequest, format!("unknown operation {other}"))),
    };
    configs.insert(name.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_appended_to_and_subtracted_from() {
        let mut configs = BTreeMap::new();
        let mut check = |operation, value: &str, expected: &str| {
            apply(&mut configs, "cleanup.policy", operation, Some(&text(value))).unwrap();
            assert_eq!(configs["cleanup.policy"], expected);
        };
        check(APPEND, "compact", "delete,compact");
        check(SUBTRACT, "delete", "compact");
        check(SET, "delete", "delete");
        apply(&mut configs, "cleanup.policy", DELETE, None).unwrap();
        assert_eq!(configs.len(), 0);
        assert!(apply(&mut configs, "retention.ms", APPEND, Some(&text("1"))).is_err());
        assert!(apply(&mut configs, "no.such.key", SET, Some(&text("1"))).is_err());
    }
}
