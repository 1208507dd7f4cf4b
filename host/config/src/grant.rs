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
            Type::PathRead => self.read_paths.push(Granted { key: name(), target: normal_path(directory, text)? }),
            Type::PathWrite => self.write_paths.push(Granted { key: name(), target: normal_path(directory, text)? }),
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
                format!("add \"{}\" or a directory above it to sandbox.allow.paths of the worker", self.target)
            }
            DenialReason::HostNotAllowed => "add the host to sandbox.allow.hosts of the worker".to_owned(),
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
