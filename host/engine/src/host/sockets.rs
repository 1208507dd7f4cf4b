//! `wasi:sockets` under grants of hosts: TCP only, and only to what a granted name resolves to.
//!
//! WASI's own address check sees addresses and not names, and its name lookup is all or nothing. So the lookup is
//! wrapped: names that are not granted do not resolve, and each address that a granted one resolves to is admitted for
//! the granted ports.

use super::HostState;
use super::reach::Reach;
use std::collections::HashMap;
use std::sync::Arc;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{self, ResolveAddressStream};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, SocketError};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtxView, WasiSocketsView as _};

/// Names whose lookups are under way, by their stream.
#[derive(Default)]
pub(crate) struct Lookups(HashMap<u32, String>);

impl Lookups {
    /// Opens the context for what is granted, if anything is.
    pub(crate) fn allow(wasi: &mut WasiCtxBuilder, reach: Arc<Reach>) -> Lookups {
        if !reach.is_empty() {
            wasi.allow_tcp(true).allow_ip_name_lookup(true);
            wasi.socket_addr_check(move |address, usage| {
                let is_allowed = match usage {
                    SocketAddrUse::TcpConnect => reach.may_connect_to(address),
                    // Connecting binds to the wildcard first.
                    SocketAddrUse::TcpBind => {
                        (address.ip().is_unspecified() && address.port() == 0) || reach.may_listen_on(address)
                    }
                    SocketAddrUse::TcpListen => reach.may_listen_on(address),
                    SocketAddrUse::TcpAccept => reach.may_use(address.ip()),
                    SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => false,
                };
                Box::pin(async move { is_allowed })
            });
        }
        Lookups::default()
    }
}

pub(crate) struct GuardedLookup<'a>(&'a mut HostState);

struct Guarded;

impl HasData for Guarded {
    type Data<'a> = GuardedLookup<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    ip_name_lookup::add_to_linker::<HostState, Guarded>(linker, |state| GuardedLookup(state))
}

impl GuardedLookup<'_> {
    fn wasi(&mut self) -> WasiSocketsCtxView<'_> {
        self.0.sockets()
    }
}

impl network::Host for GuardedLookup<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.wasi().convert_error_code(error)
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.wasi().network_error_code(error)
    }
}

impl network::HostNetwork for GuardedLookup<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.wasi(), network)
    }
}

impl ip_name_lookup::Host for GuardedLookup<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        if !self.0.reach.may_resolve(&name) {
            self.0.denied(&format!("the host \"{name}\" is not granted; a key of type host-port or url must name it"));
            return Err(ErrorCode::AccessDenied.into());
        }
        let stream = self.wasi().resolve_addresses(network, name.clone())?;
        self.0.lookups.0.insert(stream.rep(), name);
        Ok(stream)
    }
}

impl ip_name_lookup::HostResolveAddressStream for GuardedLookup<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let name = self.0.lookups.0.get(&stream.rep()).cloned().unwrap_or_default();
        loop {
            let again = Resource::new_borrow(stream.rep());
            let Some(found) = self.wasi().resolve_next_address(again)? else { return Ok(None) };
            let address = match found {
                IpAddress::Ipv4((a, b, c, d)) => std::net::Ipv4Addr::new(a, b, c, d).into(),
                IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h).into(),
            };
            if self.0.reach.admit(&name, address) {
                return Ok(Some(found));
            }
            self.0.denied(&format!("the host \"{name}\" has the private address {address}, which is refused"));
        }
    }

    fn subscribe(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        self.wasi().subscribe(stream)
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.0.lookups.0.remove(&stream.rep());
        ip_name_lookup::HostResolveAddressStream::drop(&mut self.wasi(), stream)
    }
}
