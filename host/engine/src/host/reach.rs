//! Where an instance may connect to: the hosts its configuration names, and among their addresses those that the policy
//! does not refuse. Pure; `http.rs`, `net.rs` and `sockets.rs` ask it.

use crate::limits::lock;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use tidegate_config::address::{HostPort, Origin, is_private};
use tidegate_config::grant::Grants;

/// Addresses remembered from name lookups.
const RESOLVED_MAX: usize = 1_000;

pub(crate) struct Reach {
    urls: Vec<Origin>,
    /// Hosts of `host-port` and of `url` keys.
    hosts: Vec<HostPort>,
    listen: Vec<HostPort>,
    deny_private: bool,
    /// What granted names resolved to. WASI sockets see addresses only.
    resolved: Mutex<HashSet<SocketAddr>>,
}

impl Reach {
    pub(crate) fn new(grants: &Grants, deny_private: bool) -> Reach {
        let urls: Vec<Origin> = grants.urls.iter().map(|granted| granted.target.clone()).collect();
        let of_urls = urls.iter().map(|url| HostPort { host: url.host.clone(), port: url.port });
        let hosts = grants.host_ports.iter().map(|granted| granted.target.clone()).chain(of_urls).collect();
        let listen = grants.listen.iter().map(|granted| granted.target.clone()).collect();
        Reach { urls, hosts, listen, deny_private, resolved: Mutex::default() }
    }

    pub(crate) fn deny_private(&self) -> bool {
        self.deny_private
    }

    /// Whether anything at all may be connected to or listened on.
    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.listen.is_empty()
    }

    pub(crate) fn may_request(&self, scheme: &str, host: &str, port: u16) -> Result<(), String> {
        let is_granted = self.urls.iter().any(|url| url.scheme == scheme && url.host == host && url.port == port);
        if !is_granted {
            return Err(format!("\"{scheme}://{host}:{port}\" is not granted; a key of type url must name it"));
        }
        self.may_use_literal(host)
    }

    pub(crate) fn may_connect(&self, host: &str, port: u16) -> Result<(), String> {
        if !self.hosts.iter().any(|granted| granted.host == host && granted.port == port) {
            return Err(format!("\"{host}:{port}\" is not granted; a key of type host-port or url must name it"));
        }
        self.may_use_literal(host)
    }

    fn may_use_literal(&self, host: &str) -> Result<(), String> {
        match host.parse() {
            Ok(address) if !self.may_use(address) => Err(refused(host, address)),
            _ => Ok(()),
        }
    }

    /// The address that a granted host has, once it is known.
    pub(crate) fn check_resolved(&self, host: &str, address: IpAddr) -> Result<(), String> {
        if self.may_use(address) { Ok(()) } else { Err(refused(host, address)) }
    }

    pub(crate) fn may_use(&self, address: IpAddr) -> bool {
        !self.deny_private || !is_private(address.to_canonical())
    }

    /// Whether a guest may look a name up.
    pub(crate) fn may_resolve(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.hosts.iter().any(|granted| granted.host == name)
    }

    /// Remembers what a granted name resolved to, for [`may_connect_to`](Self::may_connect_to). Answers whether the
    /// address may be used.
    pub(crate) fn admit(&self, name: &str, address: IpAddr) -> bool {
        if !self.may_use(address) {
            return false;
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let mut resolved = lock(&self.resolved);
        for granted in self.hosts.iter().filter(|granted| granted.host == name) {
            if resolved.len() < RESOLVED_MAX {
                resolved.insert(SocketAddr::new(address.to_canonical(), granted.port));
            }
        }
        true
    }

    /// Whether a socket may connect to an address: a granted literal, or what a granted name resolved to.
    pub(crate) fn may_connect_to(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let is_literal = || {
            let is_it = |granted: &HostPort| granted.port == address.port() && granted.host.parse() == Ok(ip);
            self.hosts.iter().any(is_it)
        };
        let was_resolved = lock(&self.resolved).contains(&SocketAddr::new(ip, address.port()));
        (was_resolved || is_literal()) && self.may_use(ip)
    }

    /// Whether a socket may be bound to or listen on an address.
    pub(crate) fn may_listen_on(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.listen.iter().any(|granted| {
            (granted.port == address.port() || granted.port == 0)
                && granted.host.parse::<IpAddr>().is_ok_and(|host| host == ip || host.is_unspecified())
        })
    }
}

fn refused(host: &str, address: IpAddr) -> String {
    format!(
        "\"{host}\" has the private address {address}, which uploaded plugins may not reach \
         (sandbox.deny.private.networks)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_config::grant::Granted;

    fn reach(deny_private: bool) -> Reach {
        let granted =
            |host: &str, port| Granted { key: "k".to_owned(), target: HostPort { host: host.to_owned(), port } };
        let origin = Origin { scheme: "https".to_owned(), host: "api.example".to_owned(), port: 443 };
        let grants = Grants {
            urls: vec![Granted { key: "url".to_owned(), target: origin }],
            host_ports: vec![granted("db.example", 5432), granted("10.0.0.7", 9000), granted("9.9.9.9", 53)],
            listen: vec![granted("127.0.0.1", 0)],
            ..Grants::default()
        };
        Reach::new(&grants, deny_private)
    }

    #[test]
    fn only_what_is_granted_is_reached_and_only_as_granted() {
        let reach = reach(false);
        assert!(reach.may_request("https", "api.example", 443).is_ok());
        assert!(reach.may_request("http", "api.example", 443).is_err());
        assert!(reach.may_request("https", "api.example", 444).is_err());
        assert!(reach.may_request("https", "db.example", 5432).is_err(), "a host-port key is no url key");
        assert!(reach.may_connect("db.example", 5432).is_ok());
        assert!(reach.may_connect("api.example", 443).is_ok());
        assert!(reach.may_connect("db.example", 5433).is_err());
    }

    #[test]
    fn a_socket_reaches_what_a_granted_name_resolved_to() {
        let reach = reach(false);
        let address: IpAddr = "8.8.4.4".parse().unwrap();
        assert!(!reach.may_connect_to(SocketAddr::new(address, 5432)));
        assert!(reach.may_resolve("DB.example.") && !reach.may_resolve("other.example"));
        assert!(reach.admit("db.example", address));
        assert!(reach.may_connect_to(SocketAddr::new(address, 5432)));
        assert!(!reach.may_connect_to(SocketAddr::new(address, 22)), "the port is part of the grant");
        let mapped: IpAddr = "::ffff:8.8.4.4".parse().unwrap();
        assert!(reach.may_connect_to(SocketAddr::new(mapped, 5432)));
    }

    #[test]
    fn private_addresses_are_refused_however_they_are_written() {
        let reach = reach(true);
        assert!(reach.may_connect("9.9.9.9", 53).is_ok());
        assert!(reach.may_connect("10.0.0.7", 9000).is_err_and(|why| why.contains("sandbox.deny.private.networks")));
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "192.168.1.1"] {
            assert!(!reach.admit("db.example", address.parse().unwrap()), "{address}");
        }
        assert!(reach.admit("db.example", "9.9.9.9".parse().unwrap()));
    }

    #[test]
    fn listening_is_granted_by_address() {
        let reach = reach(false);
        assert!(reach.may_listen_on("127.0.0.1:8080".parse().unwrap()));
        assert!(!reach.may_listen_on("0.0.0.0:8080".parse().unwrap()));
    }
}
