//! What a plugin instance may reach, derived from the keys that an operator filled in.
//!
//! There is no second list of permissions: a key typed `path-read`, `path-write`, `url`, `host-port`, `listen-address` or
//! `secret` grants exactly what its value names. Plugins in the box get their [`Grants`] as they are; those of uploaded
//! plugins must also pass the worker's [`Policy`].
//!
//! Everything here is about text. That a path is no link to elsewhere, and that a host does not resolve to a forbidden
//! address, is checked again where files are opened and connections are made.

use crate::address::{
    HostPort, Origin, is_private, normal_host, normal_path, parse_host_port, parse_listen_address, parse_port,
    parse_url,
};
use crate::key::{Key, Type};
use crate::settings::Settings;
use crate::validate::{Problem, Value, parse, split_list};
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Something granted, and the key that names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Granted<T> {
    pub key: String,
    pub target: T,
}

/// Everything one instance may reach; what is not here is not reachable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Absolute, normalised.
    pub read_paths: Vec<Granted<String>>,
    /// Absolute, normalised; writing includes reading and creating.
    pub write_paths: Vec<Granted<String>>,
    /// Those of the paths above that are SQLite databases: the journal beside them and their locks come with them.
    pub databases: Vec<Granted<String>>,
    pub urls: Vec<Granted<Origin>>,
    pub host_ports: Vec<Granted<HostPort>>,
    pub listen: Vec<Granted<HostPort>>,
    /// Names of keys whose values are credentials.
    pub secrets: Vec<String>,
}

impl Grants {
    /// Reads the grants of one instance. `directory` is the absolute directory that relative paths start from. Keys that
    /// are absent or blank grant nothing. Answers every value that does not name what its key says.
    pub fn of(keys: &[Key], settings: &Settings, directory: &str) -> Result<Grants, Vec<Problem>> {
        let mut grants = Grants::default();
        let mut problems = Vec::new();
        for key in keys {
            let text = match value_of(key, settings) {
                None => continue,
                Some(text) if text.is_empty() => continue,
                Some(text) => text,
            };
            if let Err(why) = grants.add(key, &text, directory) {
                let shown = if key.of_type.is_hidden() { crate::validate::HIDDEN } else { &text };
                problems.push(Problem::invalid(&key.name, shown, &why));
            }
        }
        if problems.is_empty() { Ok(grants) } else { Err(problems) }
    }

    fn add(&mut self, key: &Key, text: &str, directory: &str) -> Result<(), String> {
        let name = || key.name.clone();
        match key.of_type {
            Type::PathRead | Type::PathWrite => {
                let granted = Granted { key: name(), target: normal_path(directory, text)? };
                if key.database {
                    self.databases.push(granted.clone());
                }
                match key.of_type {
                    Type::PathRead => self.read_paths.push(granted),
                    _ => self.write_paths.push(granted),
                }
            }
            Type::Url => {
                for item in split_list(text) {
                    self.urls.push(Granted { key: name(), target: parse_url(&item)? });
                }
            }
            Type::HostPort => {
                for item in split_list(text) {
                    self.host_ports.push(Granted { key: name(), target: parse_host_port(&item)? });
                }
            }
            Type::ListenAddress => {
                self.listen.push(Granted { key: name(), target: parse_listen_address(text)? });
            }
            Type::Secret => self.secrets.push(name()),
            _ => {}
        }
        Ok(())
    }
}

/// The journal of an SQLite database: the one file that is granted beside it.
pub fn journal_of(database: &str) -> String {
    format!("{database}-journal")
}

fn value_of(key: &Key, settings: &Settings) -> Option<String> {
    let raw = match (settings.get(&key.name), &key.default) {
        (Some(raw), _) => raw,
        (None, crate::key::DefaultValue::Value(default)) => default,
        (None, _) => return None,
    };
    // Types without a grant may fail to parse: that is the validation's affair.
    match parse(Type::String, raw) {
        Ok(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// What uploaded plugins may reach at most. The default allows nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Absolute, normalised; a directory includes all below it.
    pub allow_paths: Vec<String>,
    pub allow_hosts: Vec<HostPattern>,
    /// Refuses loopback, link-local and private addresses even where a pattern allows their host.
    pub deny_private_networks: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { allow_paths: Vec::new(), allow_hosts: Vec::new(), deny_private_networks: true }
    }
}

/// Hosts that a policy allows: `example.com`, `example.com:443`, `*.example.com`, `*`, `[::1]:9000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    host: HostMatch,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostMatch {
    Any,
    Exactly(String),
    /// Every host that ends in this, which begins with a dot.
    Below(String),
}

impl HostPattern {
    pub fn matches(&self, host: &str, port: u16) -> bool {
        let host_matches = match &self.host {
            HostMatch::Any => true,
            HostMatch::Exactly(name) => name == host,
            HostMatch::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        };
        host_matches && self.port.is_none_or(|allowed| allowed == port)
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => match parse_port(port) {
                Some(number) if number > 0 && !port.is_empty() => (host, Some(number)),
                _ => return Err("The port must be a number from 1 to 65535".to_owned()),
            },
            _ => (text, None),
        };
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => {
                let address = Ipv6Addr::from_str(address).map_err(|_| "Not an IPv6 address in brackets".to_owned())?;
                HostMatch::Exactly(address.to_string())
            }
            None if host == "*" => HostMatch::Any,
            None => match host.strip_prefix("*.") {
                Some(domain) => HostMatch::Below(format!(".{}", normal_host(domain)?)),
                None => HostMatch::Exactly(normal_host(host)?),
            },
        };
        Ok(HostPattern { host, port })
    }
}

/// A grant that the policy refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub key: String,
    /// What is refused, as text.
    pub target: String,
    pub reason: DenialReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialReason {
    PathNotAllowed,
    HostNotAllowed,
    PrivateNetwork,
    /// No policy lets an uploaded plugin listen.
    ListeningNotAllowed,
}

impl Denial {
    /// What the operator can do about it.
    pub fn hint(&self) -> String {
        match self.reason {
            DenialReason::PathNotAllowed => {
                format!(
                    "add \"{}\" or a directory above it to sandbox.allow.paths of the worker (--allow-path of tidegate dev)",
                    self.target
                )
            }
            DenialReason::HostNotAllowed => {
                "add the host to sandbox.allow.hosts of the worker (--allow-host of tidegate dev)".to_owned()
            }
            DenialReason::PrivateNetwork => "set sandbox.deny.private.networks=false on the worker".to_owned(),
            DenialReason::ListeningNotAllowed => "only plugins in the box may listen".to_owned(),
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Denial { key, target, .. } = self;
        match self.reason {
            DenialReason::PathNotAllowed => {
                write!(f, "key \"{key}\": the path \"{target}\" is not among those that uploaded plugins may use")
            }
            DenialReason::HostNotAllowed => {
                write!(f, "key \"{key}\": \"{target}\" is not among the hosts that uploaded plugins may reach")
            }
            DenialReason::PrivateNetwork => {
                write!(f, "key \"{key}\": \"{target}\" is in a private network, which uploaded plugins may not reach")
            }
            DenialReason::ListeningNotAllowed => {
                write!(f, "key \"{key}\": uploaded plugins may not listen on \"{target}\"")
            }
        }
    }
}

impl Policy {
    /// Everything in the grants that the policy refuses; empty when the instance may have them all.
    pub fn denials(&self, grants: &Grants) -> Vec<Denial> {
        let mut denials = Vec::new();
        for granted in grants.read_paths.iter().chain(&grants.write_paths) {
            if !self.allows_path(&granted.target) {
                denials.push(denial(granted, DenialReason::PathNotAllowed));
            }
        }
        for granted in &grants.databases {
            let journal = journal_of(&granted.target);
            if self.allows_path(&granted.target) && !self.allows_path(&journal) {
                let granted = Granted { key: granted.key.clone(), target: journal };
                denials.push(denial(&granted, DenialReason::PathNotAllowed));
            }
        }
        for granted in &grants.urls {
            if let Some(reason) = self.denies_host(&granted.target.host, granted.target.port) {
                denials.push(denial(granted, reason));
            }
        }
        for granted in &grants.host_ports {
            if let Some(reason) = self.denies_host(&granted.target.host, granted.target.port) {
                denials.push(denial(granted, reason));
            }
        }
        denials.extend(grants.listen.iter().map(|granted| denial(granted, DenialReason::ListeningNotAllowed)));
        denials
    }

    pub fn allows_path(&self, path: &str) -> bool {
        self.allow_paths.iter().any(|allowed| match path.strip_prefix(allowed.as_str()) {
            Some(rest) => rest.is_empty() || rest.starts_with('/') || allowed.ends_with('/'),
            None => false,
        })
    }

    /// Judges a host by its name; a literal address is also judged by what it is.
    pub fn denies_host(&self, host: &str, port: u16) -> Option<DenialReason> {
        if !self.allow_hosts.iter().any(|pattern| pattern.matches(host, port)) {
            return Some(DenialReason::HostNotAllowed);
        }
        let is_local = host == "localhost" || host.ends_with(".localhost");
        let is_private = is_local || host.parse().is_ok_and(is_private);
        (self.deny_private_networks && is_private).then_some(DenialReason::PrivateNetwork)
    }
}

fn denial<T: fmt::Display>(granted: &Granted<T>, reason: DenialReason) -> Denial {
    Denial { key: granted.key.clone(), target: granted.target.to_string(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{host_port, listen_address, path_read, path_write, secret, string, url};
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn keys() -> Vec<Key> {
        vec![
            path_read("in"),
            path_write("out").default("out.txt"),
            path_write("db").database(),
            url("url"),
            host_port("hosts"),
            listen_address("listen"),
            secret("token"),
            string("text"),
        ]
    }

    fn policy(paths: &[&str], hosts: &[&str], deny_private_networks: bool) -> Policy {
        let allow_hosts = hosts.iter().map(|host| host.parse().expect("the pattern is right")).collect();
        Policy {
            allow_paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            allow_hosts,
            deny_private_networks,
        }
    }

    /// Shows what the settings grant, and what the policy says to it.
    #[track_caller]
    fn check(policy: &Policy, settings: &[(&str, &str)], expected: Expect) {
        let settings = settings.iter().copied().collect();
        let shown = match Grants::of(&keys(), &settings, "/work dir") {
            Err(problems) => problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>(),
            Ok(grants) => {
                let mut lines = Vec::new();
                lines.extend(grants.read_paths.iter().map(|granted| format!("read {}", granted.target)));
                lines.extend(grants.write_paths.iter().map(|granted| format!("write {}", granted.target)));
                lines.extend(grants.databases.iter().map(|granted| format!("database {}", granted.target)));
                lines.extend(grants.urls.iter().map(|granted| format!("reach {}", granted.target)));
                lines.extend(grants.host_ports.iter().map(|granted| format!("reach {}", granted.target)));
                lines.extend(grants.listen.iter().map(|granted| format!("listen {}", granted.target)));
                lines.extend(grants.secrets.iter().map(|key| format!("secret in {key}")));
                lines.extend(
                    policy.denials(&grants).iter().map(|denial| format!("denied: {denial}; {}", denial.hint())),
                );
                lines
            }
        };
        expected.assert_eq(&shown.join("\n"));
    }

    #[test]
    fn keys_grant_what_their_values_name_and_nothing_else() {
        check(
            &policy(&["/"], &["*"], false),
            &[
                ("in", "/data/./a//../b.txt"),
                ("url", "HTTPS://User:pw@Search.Example.com/x?y, http://[::1]:9200"),
                ("hosts", "db.example.com:5432, [FE80::1]:1"),
                ("token", "hunter2"),
                ("text", "/etc/passwd http://other.example.com"),
            ],
            expect![[r#"
                read /data/b.txt
                write /work dir/out.txt
                reach https://search.example.com:443
                reach http://[::1]:9200
                reach db.example.com:5432
                reach [fe80::1]:1
                secret in token"#]],
        );
    }

    #[test]
    fn blank_and_absent_keys_grant_nothing_but_defaults_do() {
        check(&policy(&["/"], &[], true), &[("in", " "), ("hosts", "")], expect!["write /work dir/out.txt"]);
    }

    #[test]
    fn uploaded_plugins_get_nothing_by_default() {
        check(
            &Policy::default(),
            &[("in", "/etc/passwd"), ("url", "http://example.com"), ("hosts", "a:1"), ("listen", ":8080")],
            expect![[r#"
                read /etc/passwd
                write /work dir/out.txt
                reach http://example.com:80
                reach a:1
                listen 0.0.0.0:8080
                denied: key "in": the path "/etc/passwd" is not among those that uploaded plugins may use; add "/etc/passwd" or a directory above it to sandbox.allow.paths of the worker (--allow-path of tidegate dev)
                denied: key "out": the path "/work dir/out.txt" is not among those that uploaded plugins may use; add "/work dir/out.txt" or a directory above it to sandbox.allow.paths of the worker (--allow-path of tidegate dev)
                denied: key "url": "http://example.com:80" is not among the hosts that uploaded plugins may reach; add the host to sandbox.allow.hosts of the worker (--allow-host of tidegate dev)
                denied: key "hosts": "a:1" is not among the hosts that uploaded plugins may reach; add the host to sandbox.allow.hosts of the worker (--allow-host of tidegate dev)
                denied: key "listen": uploaded plugins may not listen on "0.0.0.0:8080"; only plugins in the box may listen"#]],
        );
    }

    #[test]
    fn the_journal_of_a_database_must_be_allowed_too() {
        check(
            &policy(&["/data/x.db", "/work dir"], &[], true),
            &[("db", "/data/x.db")],
            expect![[r#"
                write /work dir/out.txt
                write /data/x.db
                database /data/x.db
                denied: key "db": the path "/data/x.db-journal" is not among those that uploaded plugins may use; add "/data/x.db-journal" or a directory above it to sandbox.allow.paths of the worker (--allow-path of tidegate dev)"#]],
        );
    }

    #[test]
    fn a_path_is_allowed_with_all_below_it_and_not_beside_it() {
        let data = policy(&["/data"], &[], true);
        for (path, expected) in [
            ("/data", true),
            ("/data/a/b", true),
            ("/database", false),
            ("/data/../etc", false),
            ("/dat", false),
            ("../../data/x", true),
        ] {
            let path = normal_path("/a/b", path).expect("the path is right");
            assert_eq!(data.allows_path(&path), expected, "{path}");
        }
    }

    #[test]
    fn host_patterns_match_whole_names() {
        let check = |pattern: &str, host: &str, port, expected| {
            let pattern: HostPattern = pattern.parse().expect("the pattern is right");
            assert_eq!(pattern.matches(host, port), expected, "{host}:{port}");
        };
        check("example.com", "example.com", 1, true);
        check("Example.COM:443", "example.com", 443, true);
        check("example.com:443", "example.com", 80, false);
        check("example.com", "evil-example.com", 1, false);
        check("*.example.com", "a.b.example.com", 1, true);
        check("*.example.com", "example.com", 1, false);
        check("*.example.com", ".example.com", 1, false);
        check("[::1]:9", "::1", 9, true);
        check("*:443", "anything", 443, true);
        for wrong in ["", "a:b", "a:0", "http://a", "*.", "**", "a b", "[::1", "a:1:2"] {
            assert!(wrong.parse::<HostPattern>().is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn private_networks_stay_closed_even_where_every_host_is_open() {
        let open = policy(&[], &["*"], true);
        for host in ["localhost", "x.localhost", "127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1"] {
            assert_eq!(open.denies_host(host, 80), Some(DenialReason::PrivateNetwork), "{host}");
        }
        // Other spellings of an address are brought into one form before they are judged.
        let origin = parse_url("http://0x7f.1/").expect("the URL is right");
        assert_eq!(open.denies_host(&origin.host, origin.port), Some(DenialReason::PrivateNetwork));
        assert_eq!(open.denies_host("example.com", 80), None);
        assert_eq!(policy(&[], &["*"], false).denies_host("127.0.0.1", 80), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_path_leaves_the_allowed_directory_by_its_text(path in "[a./]{0,20}") {
            let normal = normal_path("/data/in", &path).map_err(TestCaseError::fail)?;
            prop_assert!(normal.starts_with('/') && !normal.contains("//"));
            prop_assert!(normal.split('/').all(|part| part != "." && part != ".."));
            prop_assert_eq!(normal_path("/", &normal), Ok(normal.clone()));
        }

        #[test]
        fn any_settings_give_grants_or_problems(value in "\\PC{0,30}|[a-z0-9:/.\\[\\]*@,-]{0,30}") {
            for key in keys() {
                let settings = [(key.name.as_str(), value.as_str())].into_iter().collect();
                if let Ok(grants) = Grants::of(std::slice::from_ref(&key), &settings, "/") {
                    let is_text = key.of_type == Type::Secret || key.of_type == Type::String;
                    prop_assert!(is_text || value.trim().trim_matches([',', ' ']).is_empty() || grants != Grants::default());
                }
            }
        }
    }
}
