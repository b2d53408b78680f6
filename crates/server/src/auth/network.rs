//! Client networks: who counts as one client.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// An IPv4 address or an IPv6 /64: what one subscriber usually holds (SEC-17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

impl ClientNetwork {
    /// The network of an address; an IPv4 address written as IPv6 counts as IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
                address.to_bits() & !u128::from(u64::MAX),
            )),
        })
    }

    /// The address with the host part cleared.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// The client's address: the TCP peer, unless that is a trusted proxy. Then `X-Forwarded-For` is read from the right,
/// and the first hop that is not a trusted proxy is the client (SEC-18). `forwarded_for` holds the header's lines in
/// order; an entry that is no address ends the search, for nobody trusted wrote what lies to its left.
#[must_use]
pub fn client_address<'a>(
    peer: IpAddr,
    forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted_proxies: &[IpNet],
) -> IpAddr {
    let is_trusted = |address: IpAddr| {
        trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    };
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let hops = forwarded_for
        .rev()
        .flat_map(|line| line.rsplit(|byte| *byte == b','));
    for hop in hops {
        let Some(address) = parse_hop(hop) else { break };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// An address, perhaps with a port or in brackets, as proxies write it.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| {
            text.parse::<std::net::SocketAddr>()
                .map(|socket| socket.ip())
        })
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, header: &[&str], proxies: &[&str]) -> String {
        let proxies: Vec<IpNet> = proxies
            .iter()
            .map(|text| text.parse().expect("a network"))
            .collect();
        let lines = header.iter().map(|line| line.as_bytes());
        client_address(peer.parse().expect("an address"), lines, &proxies).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        // SEC-18
        let proxies = ["10.0.0.0/8", "::1/128"];
        assert_eq!(
            client("192.0.2.9", &["198.51.100.1"], &proxies),
            "192.0.2.9"
        );
        assert_eq!(client("10.0.0.1", &[], &proxies), "10.0.0.1");
        assert_eq!(
            client("10.0.0.1", &["198.51.100.1"], &proxies),
            "198.51.100.1"
        );
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.7"], &proxies),
            "198.51.100.1"
        );
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6", "198.51.100.1"], &proxies),
            "198.51.100.1"
        );
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6, nonsense, 10.0.0.7"], &proxies),
            "10.0.0.7"
        );
        assert_eq!(
            client("::ffff:10.0.0.1", &["198.51.100.1:4711"], &proxies),
            "198.51.100.1"
        );
        assert_eq!(
            client("::1", &["[2001:db8::1]:80"], &proxies),
            "2001:db8::1"
        );
        assert_eq!(client("::1", &["[2001:db8::1]"], &proxies), "2001:db8::1");
        assert_eq!(client("127.0.0.1", &["198.51.100.1"], &[]), "127.0.0.1");
    }

    #[test]
    fn networks() {
        // SEC-17
        let of = |text: &str| ClientNetwork::of(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:0:1::1").to_string(), "2001:db8:0:1::/64");
    }
}
