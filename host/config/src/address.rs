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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: fmt::Display>(parsed: Result<T, String>, expected: &str) {
        assert_eq!(parsed.map_or_else(|why| format!("error: {why}"), |address| address.to_string()), expected);
    }

    #[test]
    fn urls_become_scheme_host_and_port() {
        check(parse_url("http://Example.com./path?q#f"), "http://example.com:80");
        check(parse_url("https://user:secret@example.com:9200"), "https://example.com:9200");
        check(parse_url("https://[2001:db8:0:0::1]/"), "https://[2001:db8::1]:443");
        check(parse_url("postgres://db:5432/x"), "postgres://db:5432");
        check(parse_url("postgres://db/x"), "error: The scheme \"postgres\" has no usual port, the URL must name one");
        check(parse_url("file:///etc/passwd"), "error: Not a URL with a host, such as https://example.com:9200");
        check(parse_url("example.com"), "error: Not a URL: relative URL without a base");
        check(parse_url("http://a:0"), "error: The port may not be 0");
    }

    #[test]
    fn a_host_and_a_port_need_both() {
        check(parse_host_port("Example.com:80"), "example.com:80");
        check(parse_host_port("[::0001]:80"), "[::1]:80");
        for wrong in ["a", "a:", ":1", "a:0", "a:+1", "a:65536", "a b:1", "::1:80x", "[::1:80", "a/b:1"] {
            assert!(parse_host_port(wrong).is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn listening_may_leave_host_and_port_open() {
        check(parse_listen_address(":8080"), "0.0.0.0:8080");
        check(parse_listen_address("localhost:0"), "localhost:0");
        check(parse_listen_address("[::]:0"), "[::]:0");
        check(parse_listen_address("8080"), "error: Not of the form host:port");
    }

    #[test]
    fn private_is_what_the_internet_does_not_route() {
        let private = [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::1",
            "2001::1",
            "2001:db8::1",
        ];
        for address in private {
            assert!(is_private(address.parse().expect("an address")), "{address} counts as public");
        }
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"]
        {
            assert!(!is_private(address.parse().expect("an address")), "{address} counts as private");
        }
    }
}
