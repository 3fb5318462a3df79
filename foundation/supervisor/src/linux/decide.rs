//! What becomes of a call, decided without making one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The first half of every marker address: 127.66.0.0/16.
pub const MARKERS: [u8; 2] = [127, 66];

/// Ports of intercepted hosts that the front door serves.
const DOOR_PORTS: [u16; 2] = [443, 80];
/// Ports on which mail is handed over (RFC 5321 §4.5.4.2, RFC 6409, and SendGrid's own).
const MAIL_PORTS: [u16; 3] = [25, 587, 2525];
const DNS_PORT: u16 = 53;
const TLS_PORT: u16 = 443;

/// Sockets of name-service daemons, as path prefixes. Without them the C library
/// asks a DNS server, which is us (nss-resolve(8), nscd(8)).
const NAME_SERVICES: [&str; 3] =
    ["/run/systemd/resolve/io.systemd.Resolve", "/run/nscd/socket", "/var/run/nscd/socket"];

/// Where a socket address leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// IPv4 and IPv6, a v4-mapped address (RFC 4291 §2.5.5.2) as IPv4.
    Internet(SocketAddr),
    /// The path of a socket in the file system.
    Path(Vec<u8>),
    /// Any other family, an abstract path, or too short to be an address.
    Other,
}

/// The transport of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Tcp,
    Udp,
    Other,
}

/// What is done with a `connect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    /// The kernel performs it.
    Continue,
    /// As before, and the address is noted as a foreign one on port 443.
    Foreign,
    /// To the front door.
    Door,
    /// To the listener for mail; refused where there is none.
    Mail,
    /// To our DNS responder, which remembers the server that was meant.
    Dns,
    /// ECONNREFUSED, noted.
    Refuse,
    /// ECONNREFUSED, not noted: resolvers connect UDP sockets to every address
    /// only to sort them (RFC 6724).
    RefuseQuietly,
    /// ENOENT, as if the name-service daemon did not run.
    Absent,
}

/// Whether what is done depends on the transport, which costs a look at the socket.
pub fn needs_transport(destination: &Destination, offline: bool) -> bool {
    matches!(destination, Destination::Internet(address)
        if is_marker(address.ip())
            || address.port() == DNS_PORT
            || (offline && is_public(address.ip())))
}

/// Decides about a `connect` to `destination`.
///
/// `known` says whether the marker address belongs to a name, `offline` whether
/// public addresses are out of reach.
pub fn connect(
    destination: &Destination,
    transport: Transport,
    known: bool,
    offline: bool,
) -> Connect {
    let address = match destination {
        Destination::Internet(address) => address,
        Destination::Path(path) => return by_path(path),
        Destination::Other => return Connect::Continue,
    };
    let port = address.port();
    if port == DNS_PORT && transport != Transport::Other {
        return Connect::Dns;
    }
    if is_marker(address.ip()) {
        return match transport {
            Transport::Tcp if known && DOOR_PORTS.contains(&port) => Connect::Door,
            Transport::Tcp if known && MAIL_PORTS.contains(&port) => Connect::Mail,
            Transport::Tcp => Connect::Refuse,
            Transport::Udp | Transport::Other => Connect::RefuseQuietly,
        };
    }
    match is_public(address.ip()) {
        true if offline && transport == Transport::Tcp => Connect::Refuse,
        true if offline => Connect::RefuseQuietly,
        true if port == TLS_PORT => Connect::Foreign,
        _ => Connect::Continue,
    }
}

/// What is done with a `sendto` that names a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Send {
    /// The kernel performs it.
    Continue,
    /// As before, and the name in the payload's question is looked at.
    Lookup,
    /// ECONNREFUSED.
    Refuse,
}

/// Decides about a `sendto`, which is a datagram: nothing there is ours to answer.
pub fn send(destination: &Destination, offline: bool) -> Send {
    match destination {
        Destination::Internet(address) if address.port() == DNS_PORT => Send::Lookup,
        Destination::Internet(address) if is_marker(address.ip()) => Send::Refuse,
        Destination::Internet(address) if offline && is_public(address.ip()) => Send::Refuse,
        _ => Send::Continue,
    }
}

fn by_path(path: &[u8]) -> Connect {
    match NAME_SERVICES.iter().any(|service| path.starts_with(service.as_bytes())) {
        true => Connect::Absent,
        false => Connect::Continue,
    }
}

pub fn is_marker(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[..2] == MARKERS)
}

/// Whether an address is neither this host, nor private (RFC 1918, RFC 4193), nor
/// link-local, nor unspecified, nor multicast or broadcast.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4 == Ipv4Addr::BROADCAST)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(address: &str) -> Destination {
        Destination::Internet(address.parse().unwrap())
    }

    #[test]
    fn connects() {
        use Transport::{Other, Tcp, Udp};
        let table = [
            // destination, transport, known marker, online, offline
            ("127.66.0.1:443", Tcp, true, Connect::Door, Connect::Door),
            ("127.66.0.1:80", Tcp, true, Connect::Door, Connect::Door),
            ("127.66.0.1:443", Tcp, false, Connect::Refuse, Connect::Refuse),
            ("127.66.0.1:587", Tcp, true, Connect::Mail, Connect::Mail),
            ("127.66.0.1:587", Tcp, false, Connect::Refuse, Connect::Refuse),
            ("127.66.0.1:465", Tcp, true, Connect::Refuse, Connect::Refuse),
            ("127.66.0.1:443", Udp, true, Connect::RefuseQuietly, Connect::RefuseQuietly),
            ("127.66.0.1:443", Other, true, Connect::RefuseQuietly, Connect::RefuseQuietly),
            ("127.66.0.1:53", Udp, true, Connect::Dns, Connect::Dns),
            ("10.255.255.53:53", Udp, false, Connect::Dns, Connect::Dns),
            ("8.8.8.8:53", Tcp, false, Connect::Dns, Connect::Dns),
            ("127.0.0.53:53", Udp, false, Connect::Dns, Connect::Dns),
            ("[2001:4860:4860::8888]:53", Udp, false, Connect::Dns, Connect::Dns),
            ("8.8.8.8:53", Other, false, Connect::Continue, Connect::RefuseQuietly),
            ("93.184.216.34:443", Tcp, false, Connect::Foreign, Connect::Refuse),
            ("93.184.216.34:9", Udp, false, Connect::Continue, Connect::RefuseQuietly),
            ("93.184.216.34:80", Tcp, false, Connect::Continue, Connect::Refuse),
            ("[2606:4700::1]:443", Tcp, false, Connect::Foreign, Connect::Refuse),
            ("127.0.0.1:443", Tcp, false, Connect::Continue, Connect::Continue),
            ("127.65.0.1:443", Tcp, false, Connect::Continue, Connect::Continue),
            ("10.1.2.3:443", Tcp, false, Connect::Continue, Connect::Continue),
            ("172.16.0.9:5432", Tcp, false, Connect::Continue, Connect::Continue),
            ("192.168.1.1:443", Tcp, false, Connect::Continue, Connect::Continue),
            ("169.254.1.1:443", Tcp, false, Connect::Continue, Connect::Continue),
            ("0.0.0.0:443", Tcp, false, Connect::Continue, Connect::Continue),
            ("[::1]:443", Tcp, false, Connect::Continue, Connect::Continue),
            ("[fd00::1]:443", Tcp, false, Connect::Continue, Connect::Continue),
            ("[fe80::1]:443", Tcp, false, Connect::Continue, Connect::Continue),
        ];
        for (address, transport, known, online, offline) in table {
            let destination = to(address);
            assert_eq!(connect(&destination, transport, known, false), online, "{address}");
            assert_eq!(connect(&destination, transport, known, true), offline, "{address}");
        }
    }

    #[test]
    fn sends() {
        let table = [
            ("10.255.255.53:53", Send::Lookup, Send::Lookup),
            ("127.66.0.1:443", Send::Refuse, Send::Refuse),
            ("93.184.216.34:443", Send::Continue, Send::Refuse),
            ("192.168.1.1:8125", Send::Continue, Send::Continue),
            ("239.255.255.250:1900", Send::Continue, Send::Continue),
        ];
        for (address, online, offline) in table {
            assert_eq!(send(&to(address), false), online, "{address}");
            assert_eq!(send(&to(address), true), offline, "{address}");
        }
        assert_eq!(send(&Destination::Path(b"/dev/log".to_vec()), true), Send::Continue);
        assert_eq!(send(&Destination::Other, true), Send::Continue);
    }

    #[test]
    fn name_service_daemons_are_absent_and_other_paths_are_not() {
        let table: [(&[u8], Connect); 6] = [
            (b"/run/systemd/resolve/io.systemd.Resolve", Connect::Absent),
            (b"/run/systemd/resolve/io.systemd.Resolve.Monitor", Connect::Absent),
            (b"/run/nscd/socket", Connect::Absent),
            (b"/var/run/nscd/socket", Connect::Absent),
            (b"/run/postgresql/.s.PGSQL.5432", Connect::Continue),
            (b"/tmp/\xff", Connect::Continue),
        ];
        for (path, expected) in table {
            let destination = Destination::Path(path.to_vec());
            assert_eq!(connect(&destination, Transport::Other, false, true), expected);
        }
    }

    #[test]
    fn the_socket_is_looked_at_only_where_it_matters() {
        let table = [
            ("127.66.9.9:1", true, true),
            ("9.9.9.9:53", true, true),
            ("9.9.9.9:443", false, true),
            ("127.0.0.1:443", false, false),
        ];
        for (address, online, offline) in table {
            assert_eq!(needs_transport(&to(address), false), online, "{address}");
            assert_eq!(needs_transport(&to(address), true), offline, "{address}");
        }
        assert!(!needs_transport(&Destination::Other, true));
    }
}
