//! Which socket addresses may be connected to.
//!
//! The decision is taken on the resolved address, never on the text of a URL, so a
//! literal, a name, a decimal host and a redirect all pass the same gate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What the operator lets applications reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// A laptop: loopback and private networks are allowed, so a developer's own
    /// server works. Cloud metadata, multicast and unspecified addresses are not.
    Open,
    /// Production: only public addresses, and what the operator listed.
    Guarded {
        /// Networks allowed besides the public ones.
        allow: Vec<IpNet>,
        /// Host names allowed whatever class they resolve to; compared without case.
        hosts: Vec<String>,
    },
}

/// What an address is for, as the IANA special-purpose registries say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    Public,
    Loopback,
    /// RFC 1918, RFC 4193 (ULA), site-local and local-use NAT64.
    Private,
    LinkLocal,
    /// A cloud's credential service; never allowed.
    Metadata,
    /// 100.64.0.0/10, RFC 6598.
    CarrierGradeNat,
    Benchmarking,
    Documentation,
    /// Never allowed.
    Multicast,
    /// `::` and 0.0.0.0/8, which Linux routes to itself; never allowed.
    Unspecified,
    /// 240.0.0.0/4, broadcast, IETF protocol assignments, discard, ORCHID.
    Reserved,
}

/// Addresses under which clouds hand out credentials.
const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

impl Policy {
    /// Only public addresses.
    pub fn guarded() -> Self {
        Self::Guarded { allow: Vec::new(), hosts: Vec::new() }
    }

    /// True when a connection to `address`, found under the name `host`, may be made.
    ///
    /// Metadata, multicast and unspecified addresses are refused even when an
    /// `allow` network or a host name would cover them.
    pub fn allows(&self, host: &str, address: IpAddr) -> bool {
        use AddressClass::{Metadata, Multicast, Public, Unspecified};
        let class = AddressClass::of(address);
        if matches!(class, Metadata | Multicast | Unspecified) {
            return false;
        }
        match self {
            Self::Open => true,
            Self::Guarded { allow, hosts } => {
                let inner = embedded_v4(address).map_or(address, IpAddr::V4);
                class == Public
                    || allow.iter().any(|net| net.contains(&address) || net.contains(&inner))
                    || hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
            }
        }
    }
}

impl AddressClass {
    /// The class of `address`; a v6 address that carries a v4 address has the class of
    /// the address it carries.
    pub fn of(address: IpAddr) -> Self {
        if METADATA.contains(&address) {
            return Self::Metadata;
        }
        match address {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) if v6.is_loopback() => Self::Loopback,
            IpAddr::V6(v6) if v6.is_unspecified() => Self::Unspecified,
            IpAddr::V6(v6) => match embedded_v4(address) {
                Some(v4) => Self::of(IpAddr::V4(v4)),
                None => Self::of_v6(v6),
            },
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            [0, ..] => Self::Unspecified,
            [127, ..] => Self::Loopback,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Self::Private,
            [169, 254, ..] => Self::LinkLocal,
            [100, 64..=127, ..] => Self::CarrierGradeNat,
            [198, 18..=19, ..] => Self::Benchmarking,
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Self::Documentation,
            [224..=239, ..] => Self::Multicast,
            [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => Self::Reserved,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        match address.segments() {
            [0xff00..=0xffff, ..] => Self::Multicast,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Self::Private,
            [0x2001, 2, 0, ..] => Self::Benchmarking,
            [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Self::Documentation,
            [0x2001, 0..=0x1ff, ..] => Self::Reserved,
            // Global unicast is 2000::/3; nothing outside it is on the Internet.
            [0x2000..=0x3fff, ..] => Self::Public,
            _ => Self::Reserved,
        }
    }
}

/// The v4 address that traffic to a v6 address ends at: IPv4-mapped and -compatible
/// (RFC 4291 §2.5.5), NAT64 (RFC 6052 §2.1), 6to4 (RFC 3056), Teredo client (RFC 4380 §4).
fn embedded_v4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    if v6.is_unspecified() || v6.is_loopback() {
        return None;
    }
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(join(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        [0x2001, 0, _, _, _, _, high, low] => Some(join(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::AddressClass::*;
    use super::*;

    const TABLE: &[(&str, AddressClass)] = &[
        ("8.8.8.8", Public),
        ("172.15.255.255", Public),
        ("172.32.0.1", Public),
        ("100.63.255.255", Public),
        ("100.128.0.1", Public),
        ("198.20.0.1", Public),
        ("127.0.0.1", Loopback),
        ("127.255.255.254", Loopback),
        ("10.0.0.1", Private),
        ("172.16.0.1", Private),
        ("172.31.255.255", Private),
        ("192.168.1.1", Private),
        ("169.254.0.1", LinkLocal),
        ("169.254.169.254", Metadata),
        ("169.254.170.2", Metadata),
        ("100.64.0.1", CarrierGradeNat),
        ("100.127.255.255", CarrierGradeNat),
        ("100.100.100.200", Metadata),
        ("198.18.0.1", Benchmarking),
        ("198.19.255.255", Benchmarking),
        ("192.0.2.1", Documentation),
        ("198.51.100.1", Documentation),
        ("203.0.113.1", Documentation),
        ("224.0.0.1", Multicast),
        ("239.255.255.255", Multicast),
        ("0.0.0.0", Unspecified),
        ("0.1.2.3", Unspecified),
        ("192.0.0.8", Reserved),
        ("240.0.0.1", Reserved),
        ("255.255.255.255", Reserved),
        ("::", Unspecified),
        ("::1", Loopback),
        ("2606:4700::1111", Public),
        ("fc00::1", Private),
        ("fdff::1", Private),
        ("fec0::1", Private),
        ("fd00:ec2::254", Metadata),
        ("fe80::1", LinkLocal),
        ("febf::1", LinkLocal),
        ("ff02::1", Multicast),
        ("2001:db8::1", Documentation),
        ("3fff::1", Documentation),
        ("2001:2::1", Benchmarking),
        ("2001:20::1", Reserved),
        ("100::1", Reserved),
        ("5f00::1", Reserved),
        ("64:ff9b:1::a00:1", Private),
        // Each way to carry a v4 address, to a harmless and to a harmful one.
        ("::ffff:8.8.8.8", Public),
        ("::ffff:127.0.0.1", Loopback),
        ("::ffff:169.254.169.254", Metadata),
        ("::10.0.0.1", Private),
        ("::2", Unspecified),
        ("64:ff9b::8.8.8.8", Public),
        ("64:ff9b::10.0.0.1", Private),
        ("64:ff9b::169.254.169.254", Metadata),
        ("2002:808:808::1", Public),
        ("2002:7f00:1::1", Loopback),
        ("2002:c0a8:101::1", Private),
        ("2001:0:4136:e378:8000:63bf:f7f7:f7f7", Public),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", Loopback),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", Private),
    ];

    #[test]
    fn every_class_is_recognised_and_only_public_passes_the_guard() {
        for (text, class) in TABLE {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(AddressClass::of(address), *class, "{text}");
            assert_eq!(Policy::guarded().allows("h", address), *class == Public, "{text}");
            let never = matches!(class, Metadata | Multicast | Unspecified);
            assert_eq!(Policy::Open.allows("h", address), !never, "{text}");
        }
    }

    #[test]
    fn an_operator_opens_networks_and_hosts_but_never_metadata() {
        let policy = Policy::Guarded {
            allow: vec!["10.1.0.0/16".parse().unwrap(), "169.254.0.0/16".parse().unwrap()],
            hosts: vec!["Intranet.local".to_owned()],
        };
        let allows = |host: &str, text: &str| policy.allows(host, text.parse().unwrap());
        assert!(allows("x", "10.1.2.3"));
        assert!(allows("x", "::ffff:10.1.2.3"));
        assert!(!allows("x", "10.2.2.3"));
        assert!(allows("intranet.LOCAL", "192.168.0.1"));
        assert!(allows("x", "169.254.0.9"));
        assert!(!allows("x", "169.254.169.254"));
        assert!(!allows("intranet.local", "169.254.169.254"));
    }
}
