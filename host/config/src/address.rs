//! Addresses as text: URLs, hosts, ports and paths, read strictly and brought into one form, so that what is granted, what
//! is allowed and what is asked for can be compared letter by letter. No name is resolved and no file is looked at.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Scheme, host and port of a URL. The host is in lower case, an IPv6 address has no brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub scheme: String,
    pub host: String,
    pub port: u16,
}

/// A host in lower case (an IPv6 address without brackets) and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, HostPort { host: self.host.clone(), port: self.port })
    }
}

/// Makes a path absolute and takes `.`, `..` and doubled slashes out of it, by text alone. `..` at the root stays there.
pub fn normal_path(directory: &str, path: &str) -> Result<String, String> {
    if path.contains('\0') {
        return Err("A path may not contain the character NUL".to_owned());
    }
    if !path.starts_with('/') && !directory.starts_with('/') {
        return Err(format!("A relative path needs an absolute directory to start from, not \"{directory}\""));
    }
    let start = if path.starts_with('/') { "" } else { directory };
    let mut parts: Vec<&str> = Vec::new();
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

/// The origin of a URL. The parser is the one that HTTP clients use, so that both see the same host.
pub fn parse_url(text: &str) -> Result<Origin, String> {
    let url = url::Url::parse(text).map_err(|error| format!("Not a URL: {error}"))?;
    let host = match url.host() {
        Some(url::Host::Domain(domain)) if !domain.is_empty() => normal_host(domain)?,
        Some(url::Host::Ipv4(address)) => address.to_string(),
        Some(url::Host::Ipv6(address)) => address.to_string(),
        _ => return Err("Not a URL with a host, such as https://example.com:9200".to_owned()),
    };
    let port = url
        .port_or_known_default()
        .ok_or_else(|| format!("The scheme \"{}\" has no usual port, the URL must name one", url.scheme()))?;
    if port == 0 {
        return Err("The port may not be 0".to_owned());
    }
    Ok(Origin { scheme: url.scheme().to_owned(), host, port })
}

/// A `host:port`; an IPv6 address stands in brackets.
pub fn parse_host_port(text: &str) -> Result<HostPort, String> {
    let not_host_port = || "Not of the form host:port".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(not_host_port)?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => Ipv6Addr::from_str(address).map_err(|_| not_host_port())?.to_string(),
        None => normal_host(host)?,
    };
    match parse_port(port) {
        Some(port) if port > 0 => Ok(HostPort { host, port }),
        _ => Err("The port must be a number from 1 to 65535".to_owned()),
    }
}

/// An address to listen on: `host:port`, where an empty host means every address and port 0 any free port.
pub fn parse_listen_address(text: &str) -> Result<HostPort, String> {
    let (host, port) = text.rsplit_once(':').ok_or_else(|| "Not of the form host:port".to_owned())?;
    let port = parse_port(port).ok_or_else(|| "The port must be a number from 0 to 65535".to_owned())?;
    match host {
        "" => Ok(HostPort { host: "0.0.0.0".to_owned(), port }),
        host if port == 0 => {
            let HostPort { host, .. } = parse_host_port(&format!("{host}:1"))?;
            Ok(HostPort { host, port })
        }
        _ => parse_host_port(text),
    }
}

pub(crate) fn parse_port(text: &str) -> Option<u16> {
    // `parse` takes a sign, a port has none.
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// A host name in lower case, without the dot that ends a full name.
pub(crate) fn normal_host(host: &str) -> Result<String, String> {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_right = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !host.is_empty() && host.len() <= 253 && host.chars().all(is_right) {
        true => Ok(host),
        false => Err("Not the name of a host: letters, digits, '.', '-' and '_' make one".to_owned()),
    }
}

/// True for addresses that are not on the public internet: loopback, private, link-local (cloud metadata services live
/// there), shared, reserved, multicast, and IPv6 forms that carry such an IPv4 address.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            a == 0
                || a >= 224
                || v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_documentation()
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b == 18 || b == 19))
        }
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            let tail = |at: usize| {
                let [a, b] = segments[at].to_be_bytes();
                let [c, d] = segments[at + 1].to_be_bytes();
                is_private(IpAddr::from([a, b, c, d]))
            };
            match segments {
                // Unspecified, loopback, and the addresses that once carried IPv4.
                [0, 0, 0, 0, 0, 0, _, _] => true,
                [0, 0, 0, 0, 0, 0xffff, _, _] => tail(6),
                // NAT64 and 6to4.
                [0x64, 0xff9b, 0, 0, 0, 0, _, _] => tail(6),
                [0x64, 0xff9b, 1, ..] => true,
                [0x2002, ..] => tail(1),
                // Teredo, documentation.
                [0x2001, 0 | 0xdb8, ..] => true,
                [first, ..] => first & 0xe000 != 0x2000,
            }
        }
    }
}
