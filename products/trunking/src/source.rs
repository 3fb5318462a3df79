//! `voice/v1/IpRecords` and `SourceIpMappings` (voice-api §15): which domain an address belongs to.
//!
//! A mapping claims its block over all accounts, so that a carrier finds the domain by the address
//! alone; the longest prefix that holds an address is the one that counts.

use std::net::{IpAddr, Ipv4Addr};

use kernel::ApiError;
use rest::{Access, Ctx, Doc, Draft, Field, Op, Param, Resource, Table, Verb, Wire};

use crate::{Trunking, domain, list, shelf};

pub(crate) const RECORD: &str = "IpRecord";
pub(crate) const MAPPING: &str = "SourceIpMapping";
/// The claims on blocks of addresses.
pub(crate) const CLAIM: &str = "sip-source";
const RECORDS_MAX: i64 = 1000;
const ACCESS: Access = Access::Keys("voice/ip-records");

pub static IP_RECORD: Resource<Trunking> = Resource {
    table: Table::product(RECORD, "voice", "/v1/IpRecords", "/v1/IpRecords/{Sid}")
        .key("ip_records")
        .sid("IL")
        .fields(&[
            Field::sid("account_sid", &["AC"]),
            Field::sid("sid", &["IL"]),
            Field::text("friendly_name"),
            Field::text("ip_address"),
            Field::new("cidr_prefix_length", Wire::Integer(0, 32)),
            Field::new("date_created", Wire::Iso8601),
            Field::new("date_updated", Wire::Iso8601),
            Field::new("url", Wire::Url),
        ])
        .access(ACCESS),
    ops: &[
        Op::create(&[
            Param::text("IpAddress", 64).required(20001),
            Param::text("FriendlyName", 255),
            Param::integer("CidrPrefixLength", 0, 32).default("32"),
        ])
        .with(|_, ctx, draft| Box::pin(check_record(ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[Param::text("FriendlyName", 255)]),
        Op::delete().with(|_, ctx, draft| Box::pin(remove_record(ctx, draft))),
    ],
};

async fn check_record(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    shelf::check_room(ctx, RECORD, "", RECORDS_MAX, 20001).await?;
    let address = list::address(draft.text("ip_address").unwrap_or_default());
    draft.set("ip_address", address.map_err(|why| ApiError::new(20001, why))?.to_string());
    if draft.fields.get("cidr_prefix_length").is_none_or(|prefix| !prefix.is_i64()) {
        draft.set("cidr_prefix_length", 32);
    }
    Ok(())
}

/// A record that is mapped stays.
async fn remove_record(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let mappings = shelf::all(&ctx.store, MAPPING, "").await.map_err(shelf::failed(ctx))?;
    match mappings.iter().find(|doc| doc.text("ip_record_sid") == Some(&draft.sid)) {
        None => Ok(()),
        Some(doc) => {
            let why = format!("{} maps this record: delete the mapping first", doc.sid);
            Err(ApiError::new(20001, why))
        }
    }
}

const DOMAIN: Param = Param::sid("SipDomainSid", &["SD"]).required(20001);

pub static SOURCE_IP_MAPPING: Resource<Trunking> = Resource {
    table: Table::product(MAPPING, "voice", "/v1/SourceIpMappings", "/v1/SourceIpMappings/{Sid}")
        .key("source_ip_mappings")
        .sid("IB")
        .fields(&[
            Field::sid("sid", &["IB"]),
            Field::sid("ip_record_sid", &["IL"]),
            Field::sid("sip_domain_sid", &["SD"]),
            Field::new("date_created", Wire::Iso8601),
            Field::new("date_updated", Wire::Iso8601),
            Field::new("url", Wire::Url),
        ])
        .access(ACCESS),
    ops: &[
        Op::create(&[Param::sid("IpRecordSid", &["IL"]).required(20001), DOMAIN])
            .with(|sip, ctx, draft| Box::pin(check_mapping(sip, ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[DOMAIN]).with(|sip, ctx, draft| Box::pin(check_mapping(sip, ctx, draft))),
        Op::delete(),
    ],
};

/// Claims the block of a record for a domain.
///
/// # Errors
/// 20001 for a record or domain that the account does not have; 20409 for a block that is mapped.
async fn check_mapping(sip: &Trunking, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let given = draft.text("sip_domain_sid").unwrap_or_default();
    shelf::check_exists(ctx, domain::KIND, "SipDomainSid", given, 20001).await?;
    if draft.verb == Verb::Update {
        return Ok(());
    }
    let given = draft.text("ip_record_sid").unwrap_or_default();
    let record = shelf::check_exists(ctx, RECORD, "IpRecordSid", given, 20001).await?;
    let block = claimed(&record).ok_or_else(|| {
        ApiError::new(20001, format!("IpRecordSid: {} has no address", record.sid))
    })?;
    let held = sip.parts.numbers.holder(CLAIM, &block).await.map_err(shelf::busy)?;
    if held.is_some() {
        return Err(ApiError::new(20409, format!("The addresses {block} are mapped already")));
    }
    draft.claim(CLAIM, &block);
    Ok(())
}

/// The block of a record as it is claimed.
fn claimed(record: &Doc) -> Option<String> {
    let block = list::block(record)?;
    let IpAddr::V4(address) = block.address else { return None };
    Some(network(address, block.prefix))
}

/// `192.0.2.0/24` of an address in it.
fn network(address: Ipv4Addr, prefix: u8) -> String {
    let prefix = prefix.min(32);
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    format!("{}/{prefix}", Ipv4Addr::from_bits(address.to_bits() & mask))
}

/// Every block that an address may be mapped by, the narrowest first.
pub(crate) fn blocks(address: IpAddr) -> Vec<String> {
    match address.to_canonical() {
        IpAddr::V4(address) => (0..=32).rev().map(|prefix| network(address, prefix)).collect(),
        IpAddr::V6(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_tried_from_the_narrowest() {
        let all = blocks("192.0.2.77".parse().unwrap());
        assert_eq!(all.len(), 33);
        assert_eq!(all[0], "192.0.2.77/32");
        assert_eq!(all[8], "192.0.2.0/24");
        assert_eq!(all[32], "0.0.0.0/0");
        assert_eq!(blocks("::ffff:192.0.2.77".parse().unwrap()), all);
        assert!(blocks("2001:db8::1".parse().unwrap()).is_empty());
    }
}
