//! Which topics a source's connector makes, and how: `topic.creation.*`, as in Connect (KIP-158).
//!
//! A topic is made as the first group says whose `include` its whole name matches and whose `exclude` it does not; as
//! the group `default` says where there is none. Without any of these settings, or on a worker with
//! `topic.creation.enable=false`, a connector makes no topics and the broker does what it does.

use tidegate_java_regex::JavaRegex;

use crate::key::{Key, Width, int, list, short};
use crate::settings::Settings;
use crate::validate::{Problem, Validation, split_list};

const PREFIX: &str = "topic.creation.";
const DEFAULT: &str = "default";
const GROUPS: &str = "topic.creation.groups";

/// The groups of one connector, as they were configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicCreation {
    /// In the order in which they are tried.
    pub groups: Vec<TopicGroup>,
    /// For topics that no group takes. It matches every name.
    pub default: TopicGroup,
}

/// Topics that are made alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicGroup {
    pub name: String,
    /// Java's regular expressions; a topic belongs here if one of them matches its whole name …
    pub include: Vec<String>,
    /// … and none of these does.
    pub exclude: Vec<String>,
    /// None: as many as the broker makes.
    pub partitions: Option<i32>,
    /// None: the broker's.
    pub replication_factor: Option<i32>,
    /// Settings of the topic, such as `cleanup.policy`.
    pub configs: Vec<(String, String)>,
}

/// Whether a connector makes its topics.
pub(crate) fn is_used(settings: &Settings) -> bool {
    settings.keys().any(|key| key.starts_with(PREFIX))
}

fn prefix(group: &str) -> String {
    format!("{PREFIX}{group}.")
}

/// The groups that the list names, each once, in order. `default` is always there and always last.
fn listed(settings: &Settings) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for group in split_list(settings.get(GROUPS).unwrap_or_default()) {
        if !group.is_empty() && group != DEFAULT && !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

/// The prefixes under which any setting of a topic may stand.
pub(crate) fn prefixes(settings: &Settings) -> Vec<String> {
    if !is_used(settings) {
        return Vec::new();
    }
    listed(settings).iter().map(String::as_str).chain([DEFAULT]).map(prefix).collect()
}

/// The keys of every group; none where nothing is set. Not shown by Connect's endpoints unless they are.
pub(crate) fn keys(settings: &Settings) -> Vec<Key> {
    if !is_used(settings) {
        return Vec::new();
    }
    let of_group = |group: &str| -> Vec<Key> {
        let heading = format!("Topic Creation: {group}");
        let is_default = group == DEFAULT;
        let counted = |key: Key| if is_default { key.required() } else { key };
        let keys = [
            list("include").default(if is_default { ".*" } else { "" }).doc(
                "Expressions for the names of the group's topics, separated by commas. The default group has all.",
            ),
            list("exclude").default("").doc("Expressions for names that are not the group's even so."),
            counted(short("replication.factor"))
                .doc("Copies of each topic; -1: the broker's default; not set: the default group's."),
            counted(int("partitions"))
                .doc("Partitions of each topic; -1: the broker's default; not set: the default group's."),
        ];
        let place = |(order, key): (i32, Key)| {
            let shown = key.name.clone();
            key.low().group(&heading, order, Width::Long, shown).embedded(&prefix(group)).internal()
        };
        (1..).zip(keys).map(place).collect()
    };
    let mut keys: Vec<Key> = listed(settings).iter().flat_map(|group| of_group(group)).collect();
    keys.extend(of_group(DEFAULT));
    keys
}

/// What keys cannot say: counts are positive or -1, expressions are expressions.
pub(crate) fn check(settings: &Settings, validation: &mut Validation) {
    if !is_used(settings) {
        return;
    }
    let groups = listed(settings);
    for group in groups.iter().map(String::as_str).chain([DEFAULT]) {
        let prefix = prefix(group);
        let counts = [
            (
                "replication.factor",
                "Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, \
                 or -1 to use the broker's default",
            ),
            ("partitions", "Number of partitions must be positive, or -1 to use the broker's default"),
        ];
        for (key, why) in counts {
            let name = format!("{prefix}{key}");
            if let Some(number) = validation.number(&name).filter(|&number| number < 1 && number != -1) {
                let sentence = Problem::invalid(key, &number.to_string(), why).message;
                validation.refuse(Problem::new(name, sentence));
            }
        }
        // Connect does not look at those of the default group either.
        for key in ["include", "exclude"].into_iter().filter(|_| group != DEFAULT) {
            let name = format!("{prefix}{key}");
            let patterns = validation.list(&name).to_vec();
            if let Some(why) = patterns.iter().find_map(|pattern| JavaRegex::new(pattern).err()) {
                let value = format!("[{}]", patterns.join(", "));
                let sentence = Problem::invalid(key, &value, &format!("Syntax error in regular expression: {why}"));
                validation.refuse(Problem::new(name, sentence.message));
            }
        }
    }
}

/// Takes the groups out of a validation that has no errors.
pub(crate) fn read(settings: &Settings, validation: &Validation) -> Option<TopicCreation> {
    if !is_used(settings) {
        return None;
    }
    let count = |group: &str, key: &str| {
        let of = |group: &str| validation.number(&format!("{}{key}", prefix(group)));
        of(group).or_else(|| of(DEFAULT)).and_then(|number| i32::try_from(number).ok()).filter(|&number| number > 0)
    };
    let group = |name: &str| {
        let below = prefix(name);
        let patterns = |key: &str| match name {
            DEFAULT => Vec::new(),
            _ => validation.list(&format!("{below}{key}")).to_vec(),
        };
        let mut configs = settings.below(&below);
        for key in ["include", "exclude", "partitions", "replication.factor"] {
            configs.remove(key);
        }
        TopicGroup {
            name: name.to_owned(),
            include: patterns("include"),
            exclude: patterns("exclude"),
            partitions: count(name, "partitions"),
            replication_factor: count(name, "replication.factor"),
            configs: configs.into_iter().collect(),
        }
    };
    Some(TopicCreation { groups: listed(settings).iter().map(|name| group(name)).collect(), default: group(DEFAULT) })
}

/// Groups that are ready to be asked.
#[derive(Debug)]
pub struct TopicRules {
    groups: Vec<(Patterns, TopicGroup)>,
    default: TopicGroup,
}

#[derive(Debug)]
struct Patterns {
    include: JavaRegex,
    exclude: JavaRegex,
}

impl TopicRules {
    /// The error names the expression that is none; a checked configuration has none of those.
    pub fn new(creation: &TopicCreation) -> Result<TopicRules, String> {
        // As Connect does: no expression at all matches the empty name only, and there is no such topic.
        let compile = |patterns: &[String]| JavaRegex::new(&patterns.join("|"));
        let groups = creation.groups.iter().map(|group| {
            let patterns = Patterns { include: compile(&group.include)?, exclude: compile(&group.exclude)? };
            Ok((patterns, group.clone()))
        });
        Ok(TopicRules { groups: groups.collect::<Result<_, String>>()?, default: creation.default.clone() })
    }

    /// The group that a topic belongs to. The error: an expression that backtracks cannot be decided in the steps it has.
    pub fn group(&self, topic: &str) -> Result<&TopicGroup, String> {
        for (patterns, group) in &self.groups {
            if !patterns.exclude.matches(topic)? && patterns.include.matches(topic)? {
                return Ok(group);
            }
        }
        Ok(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const BASE: &[(&str, &str)] =
        &[("topic.creation.default.partitions", "3"), ("topic.creation.default.replication.factor", "-1")];

    fn with(more: &[(&str, &str)]) -> (Settings, Validation) {
        let settings: Settings = BASE.iter().chain(more).copied().collect();
        let mut validation = Validation::of(&keys(&settings), &settings);
        check(&settings, &mut validation);
        (settings, validation)
    }

    #[track_caller]
    fn problems(settings: &[(&str, &str)], expected: Expect) {
        let settings: Settings = settings.iter().copied().collect();
        let mut validation = Validation::of(&keys(&settings), &settings);
        check(&settings, &mut validation);
        let lines: Vec<String> = validation.problems().into_iter().map(|problem| problem.message).collect();
        expected.assert_eq(&lines.join("\n"));
    }

    /// The group of each topic, `topic → group partitions×copies settings`.
    #[track_caller]
    fn groups(more: &[(&str, &str)], topics: &[&str], expected: Expect) {
        let (settings, validation) = with(more);
        assert_eq!(validation.problems(), []);
        let rules = TopicRules::new(&read(&settings, &validation).unwrap()).unwrap();
        let line = |topic: &&str| {
            let group = rules.group(topic).unwrap();
            let count = |number: Option<i32>| number.map_or("broker's".to_owned(), |number| number.to_string());
            format!(
                "{topic} → {} {}×{} {:?}\n",
                group.name,
                count(group.partitions),
                count(group.replication_factor),
                group.configs
            )
        };
        expected.assert_eq(&topics.iter().map(line).collect::<String>());
    }

    #[test]
    fn the_first_group_that_includes_and_does_not_exclude_a_whole_name_makes_the_topic() {
        groups(
            &[
                ("topic.creation.groups", "compacted, orders"),
                ("topic.creation.compacted.include", r"table\..*, orders-state"),
                ("topic.creation.compacted.exclude", r".*\.tmp"),
                ("topic.creation.compacted.cleanup.policy", "compact"),
                ("topic.creation.compacted.partitions", "-1"),
                ("topic.creation.orders.include", "orders.*"),
                ("topic.creation.orders.partitions", "6"),
                ("topic.creation.orders.replication.factor", "2"),
                ("topic.creation.default.retention.ms", "1000"),
            ],
            &["table.a", "table.a.tmp", "my-table.a", "orders-state", "orders", "other"],
            expect![[r#"
                table.a → compacted broker's×broker's [("cleanup.policy", "compact")]
                table.a.tmp → default 3×broker's [("retention.ms", "1000")]
                my-table.a → default 3×broker's [("retention.ms", "1000")]
                orders-state → compacted broker's×broker's [("cleanup.policy", "compact")]
                orders → orders 6×2 []
                other → default 3×broker's [("retention.ms", "1000")]
            "#]],
        );
    }

    #[test]
    fn a_group_without_include_has_no_topics_and_the_default_group_has_all() {
        groups(
            &[
                ("topic.creation.groups", "none,default"),
                ("topic.creation.default.include", "nothing"),
                ("topic.creation.default.exclude", ".*"),
            ],
            &["a"],
            expect![[r#"
                a → default 3×broker's []
            "#]],
        );
    }

    #[test]
    fn any_of_these_settings_makes_the_default_group_required() {
        problems(
            &[("topic.creation.groups", "")],
            expect![[r#"
                Missing required configuration "topic.creation.default.replication.factor" which has no default value.
                Missing required configuration "topic.creation.default.partitions" which has no default value."#]],
        );
        problems(&[], expect![""]);
    }

    #[test]
    fn what_is_wrong_is_said_in_connects_words() {
        problems(
            &[
                ("topic.creation.groups", "g"),
                ("topic.creation.g.include", "a(, b"),
                ("topic.creation.g.partitions", "0"),
                ("topic.creation.default.partitions", "many"),
                ("topic.creation.default.replication.factor", "-2"),
            ],
            expect![[r#"
                Invalid value [a(, b] for configuration include: Syntax error in regular expression: invalid regex: found open group without closing ')'
                Invalid value 0 for configuration partitions: Number of partitions must be positive, or -1 to use the broker's default
                Invalid value -2 for configuration replication.factor: Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default
                Invalid value many for configuration topic.creation.default.partitions: Not a number of type INT"#]],
        );
    }

    #[test]
    fn a_pattern_of_java_s_that_backtracks_works() {
        groups(
            &[
                ("topic.creation.groups", "g"),
                ("topic.creation.g.include", "(?!tmp).*-log"),
                ("topic.creation.g.partitions", "1"),
            ],
            &["a-log", "tmp-log"],
            expect![[r#"
                a-log → g 1×broker's []
                tmp-log → default 3×broker's []
            "#]],
        );
    }
}
