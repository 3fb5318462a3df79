//! What a SIP carrier asks before it lets somebody in, and where it takes calls to.
//!
//! Implemented by the product that keeps SIP domains, trunks and their lists; asked by carriers.

use std::net::IpAddr;

use kernel::Sid;

use crate::{BoxFuture, CallRoute, Unavailable};

/// A block of addresses, `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpBlock {
    pub address: IpAddr,
    /// 0 to 32, or to 128 of IPv6.
    pub prefix: u8,
}

impl IpBlock {
    /// Whether an address is in the block; one of the other family never is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs, width) = match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (u128::from(ours.to_bits()), u128::from(theirs.to_bits()), 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits(), 128),
            _ => return false,
        };
        let host_bits = width - u32::from(self.prefix).min(width);
        ours.checked_shr(host_bits) == theirs.checked_shr(host_bits)
    }
}

/// Who is let in: everything that is named must be met; when nothing is, nobody is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SipAccess {
    /// The caller's address must be in one of these.
    pub addresses: Option<Vec<IpBlock>>,
    /// The caller must know a password of the mapped credential lists ([`SipDirectory::password`]).
    pub needs_password: bool,
}

impl SipAccess {
    /// Nobody is let in, because nothing says who would be.
    pub fn is_closed(&self) -> bool {
        self.addresses.is_none() && !self.needs_password
    }

    pub fn admits_address(&self, address: IpAddr) -> bool {
        let Some(blocks) = &self.addresses else { return true };
        blocks.iter().any(|block| block.contains(address))
    }
}

/// What a host in a request's URI stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipPlaceKind {
    /// A SIP domain (`SD…`): its voice URL is asked.
    Domain,
    /// The termination side of a trunk (`TK…`): the call goes on to the dialled number.
    Trunk,
}

/// A SIP domain or a trunk, as the carrier needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipPlace {
    pub kind: SipPlaceKind,
    pub account: Sid,
    pub sid: Sid,
    /// The whole host, `acme.sip.twilio.com`.
    pub host: String,
    /// Only TLS and SRTP.
    pub secure: bool,
    pub calls: SipAccess,
    /// `None` when telephones may not register here.
    pub registrations: Option<SipAccess>,
}

/// Whose password is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipPurpose {
    Call,
    Registration,
}

/// One address to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipTarget {
    pub uri: String,
    /// Smaller is tried first.
    pub priority: u16,
    /// Shares among targets of one priority.
    pub weight: u16,
}

/// Whom the far side of a trunk may transfer calls to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferMode {
    #[default]
    Nobody,
    SipOnly,
    Anybody,
}

/// What a trunk says of transfers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SipTransfers {
    pub mode: TransferMode,
    /// The new party sees who transfers, not who is transferred.
    pub from_transferor: bool,
}

/// SIP domains, trunks and their lists.
pub trait SipDirectory: Send + Sync {
    /// The domain or trunk of a host, case-insensitive.
    fn place<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Option<SipPlace>, Unavailable>>;

    /// The password of a user name of the lists that are mapped for this purpose.
    fn password<'a>(
        &'a self,
        place: &'a SipPlace,
        purpose: SipPurpose,
        username: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>>;

    /// Where calls of a trunk or a BYOC trunk (`BY…`) go to: enabled targets only, best first.
    fn targets(
        &self,
        account: Sid,
        trunk: Sid,
    ) -> BoxFuture<'_, Result<Vec<SipTarget>, Unavailable>>;

    /// The trunk that takes the calls to a number of this account.
    fn trunk_of<'a>(
        &'a self,
        account: Sid,
        number: &'a str,
    ) -> BoxFuture<'a, Result<Option<Sid>, Unavailable>>;

    /// The domain that calls from an address belong to whose URI names none: of the carrier that a
    /// customer brought, whose address is mapped to the domain. It needs no other proof.
    fn place_of_address(
        &self,
        _address: IpAddr,
    ) -> BoxFuture<'_, Result<Option<SipPlace>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    /// What a SIP domain says of calls to it: its own URLs or, when it has one, its BYOC trunk's.
    fn instructions(
        &self,
        _account: Sid,
        _domain: Sid,
    ) -> BoxFuture<'_, Result<Option<CallRoute>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    /// What is asked when no target of a trunk takes a call (disaster recovery).
    fn recovery_route(
        &self,
        _account: Sid,
        _trunk: Sid,
    ) -> BoxFuture<'_, Result<Option<CallRoute>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    /// What a trunk (`TK…`) says of transfers.
    fn transfers(
        &self,
        _account: Sid,
        _trunk: Sid,
    ) -> BoxFuture<'_, Result<SipTransfers, Unavailable>> {
        Box::pin(async { Ok(SipTransfers::default()) })
    }

    /// Whether the account has this trunk (`TK…`) or BYOC trunk (`BY…`).
    fn has_trunk(&self, _account: Sid, _trunk: Sid) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async { Ok(false) })
    }
}

/// Whether an account may call a number at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialingRisk {
    Low,
    HighRiskSpecial,
    HighRiskTollfraud,
}

/// Dialing permissions by country.
pub trait DialingPermissions: Send + Sync {
    /// `None` when the call is allowed; otherwise what the number is of that is not allowed
    /// (21215 by REST, 13227 in TwiML, 32205 on trunks).
    fn refusal<'a>(
        &'a self,
        account: Sid,
        number: &'a str,
    ) -> BoxFuture<'a, Result<Option<DialingRisk>, Unavailable>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(address: &str, prefix: u8) -> IpBlock {
        IpBlock { address: address.parse().unwrap(), prefix }
    }

    #[test]
    fn blocks_contain_their_addresses() {
        for (block, address, inside) in [
            (block("192.0.2.0", 24), "192.0.2.77", true),
            (block("192.0.2.0", 24), "192.0.3.1", false),
            (block("192.0.2.5", 32), "192.0.2.5", true),
            (block("192.0.2.5", 32), "192.0.2.4", false),
            (block("0.0.0.0", 0), "203.0.113.9", true),
            (block("0.0.0.0", 0), "::1", false),
            (block("2001:db8::", 32), "2001:db8:1::1", true),
        ] {
            assert_eq!(block.contains(address.parse().unwrap()), inside, "{block:?} {address}");
        }
    }

    #[test]
    fn a_place_without_lists_admits_nobody() {
        assert!(SipAccess::default().is_closed());
        let by_address =
            SipAccess { addresses: Some(vec![block("192.0.2.0", 24)]), ..Default::default() };
        assert!(!by_address.is_closed());
        assert!(by_address.admits_address("192.0.2.1".parse().unwrap()));
        assert!(!by_address.admits_address("198.51.100.1".parse().unwrap()));
    }
}
