//! `/SIP/CredentialLists`, `/SIP/IpAccessControlLists` and its `IpAddresses` (voice-api §13.2).

use std::net::IpAddr;

use contracts::IpBlock;
use kernel::ApiError;
use rest::{Access, Ctx, Doc, Draft, Field, Op, Param, Resource, Table, Verb, Wire};

use crate::{Trunking, credential, mapping, shelf};

pub(crate) const CREDENTIALS: &str = "SipCredentialList";
pub(crate) const ADDRESSES: &str = "SipIpAccessControlList";
pub(crate) const ADDRESS: &str = "SipIpAddress";

const CREDENTIAL_LISTS_MAX: i64 = 100;
const ADDRESS_LISTS_MAX: i64 = 1000;
/// Addresses of one list.
const ADDRESSES_MAX: i64 = 100;
const NAME_MAX: u32 = 64;

const fn fields(prefixes: &'static [&'static str]) -> [Field; 7] {
    [
        Field::sid("account_sid", &["AC"]),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::text("friendly_name"),
        Field::sid("sid", prefixes),
        Field::new("subresource_uris", Wire::UriMap),
        Field::text("uri"),
    ]
}

pub static CREDENTIAL_LIST: Resource<Trunking> = Resource {
    table: Table::v2010(
        CREDENTIALS,
        "/2010-04-01/Accounts/{AccountSid}/SIP/CredentialLists",
        "/2010-04-01/Accounts/{AccountSid}/SIP/CredentialLists/{Sid}",
    )
    .key("credential_lists")
    .sid("CL")
    .fields(&fields(&["CL"]))
    .links(&[("credentials", "/Credentials")])
    .access(Access::Keys("voice/sip-credential-lists")),
    ops: &[
        Op::create(&[Param::text("FriendlyName", NAME_MAX).required(21240).code(21240)])
            .with(|_, ctx, draft| Box::pin(check_list(ctx, draft, &OF_CREDENTIALS))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[Param::text("FriendlyName", NAME_MAX).required(21240).code(21240)])
            .with(|_, ctx, draft| Box::pin(check_list(ctx, draft, &OF_CREDENTIALS))),
        Op::delete().with(|_, ctx, draft| Box::pin(remove_list(ctx, draft, &OF_CREDENTIALS))),
    ],
};

pub static IP_ACCESS_CONTROL_LIST: Resource<Trunking> = Resource {
    table: Table::v2010(
        ADDRESSES,
        "/2010-04-01/Accounts/{AccountSid}/SIP/IpAccessControlLists",
        "/2010-04-01/Accounts/{AccountSid}/SIP/IpAccessControlLists/{Sid}",
    )
    .key("ip_access_control_lists")
    .sid("AL")
    .fields(&fields(&["AL"]))
    .links(&[("ip_addresses", "/IpAddresses")])
    .access(Access::Keys("voice/sip-ip-access-control-lists")),
    ops: &[
        Op::create(&[Param::text("FriendlyName", NAME_MAX).required(21235).code(21235)])
            .with(|_, ctx, draft| Box::pin(check_list(ctx, draft, &OF_ADDRESSES))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[Param::text("FriendlyName", NAME_MAX).required(21235).code(21235)])
            .with(|_, ctx, draft| Box::pin(check_list(ctx, draft, &OF_ADDRESSES))),
        Op::delete().with(|_, ctx, draft| Box::pin(remove_list(ctx, draft, &OF_ADDRESSES))),
    ],
};

/// How the two kinds of lists differ.
struct Kind {
    kind: &'static str,
    /// What it holds.
    member: &'static str,
    most: i64,
    /// Codes: too many, a name that is taken, still mapped.
    full: u32,
    invalid: u32,
    mapped: u32,
    mappings: &'static [&'static str],
}

const OF_CREDENTIALS: Kind = Kind {
    kind: CREDENTIALS,
    member: credential::KIND,
    most: CREDENTIAL_LISTS_MAX,
    full: 21239,
    invalid: 21240,
    mapped: 21241,
    mappings: mapping::OF_CREDENTIALS,
};

const OF_ADDRESSES: Kind = Kind {
    kind: ADDRESSES,
    member: ADDRESS,
    most: ADDRESS_LISTS_MAX,
    full: 21255,
    invalid: 21235,
    mapped: 21236,
    mappings: mapping::OF_ADDRESSES,
};

/// A name of its own, and room for it.
async fn check_list(ctx: &Ctx, draft: &mut Draft, kind: &Kind) -> Result<(), ApiError> {
    if draft.verb == Verb::Create {
        shelf::check_room(ctx, kind.kind, "", kind.most, kind.full).await?;
    }
    let name = draft.text("friendly_name").unwrap_or_default().to_owned();
    let lists = shelf::all(&ctx.store, kind.kind, "").await.map_err(shelf::failed(ctx))?;
    let is_other = |list: &&Doc| list.sid != draft.sid;
    if lists.iter().filter(is_other).any(|list| list.text("friendly_name") == Some(&name)) {
        return Err(ApiError::new(kind.invalid, format!("FriendlyName '{name}' is taken")));
    }
    Ok(())
}

/// A list that is mapped stays; what it holds goes with it.
async fn remove_list(ctx: &Ctx, draft: &mut Draft, kind: &Kind) -> Result<(), ApiError> {
    let mapped = shelf::is_mapped(&ctx.store, kind.mappings, &draft.sid).await;
    if mapped.map_err(shelf::failed(ctx))? {
        let why = format!("{} is mapped to a domain or trunk: delete that first", draft.sid);
        return Err(ApiError::new(kind.mapped, why));
    }
    let sid = draft.sid.clone();
    draft.batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3",
        vec![kind.member.into(), sid.into()],
    );
    Ok(())
}

const PREFIX: Param = Param::integer("CidrPrefixLength", 0, 32).code(21238);

pub static IP_ADDRESS: Resource<Trunking> = Resource {
    table: Table::v2010(
        ADDRESS,
        "/2010-04-01/Accounts/{AccountSid}/SIP/IpAccessControlLists/{IpAccessControlListSid}/IpAddresses",
        "/2010-04-01/Accounts/{AccountSid}/SIP/IpAccessControlLists/{IpAccessControlListSid}/IpAddresses/{Sid}",
    )
    .key("ip_addresses")
    .sid("IP")
    .under(ADDRESSES)
    .fields(&[
        Field::sid("sid", &["IP"]),
        Field::sid("account_sid", &["AC"]),
        Field::text("friendly_name"),
        Field::text("ip_address"),
        Field::new("cidr_prefix_length", Wire::Integer(0, 32)),
        Field::sid("ip_access_control_list_sid", &["AL"]),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::text("uri"),
    ])
    .access(Access::Keys("voice/sip-ip-addresses")),
    ops: &[
        Op::create(&[
            Param::text("FriendlyName", 255).required(21238).code(21238),
            Param::text("IpAddress", 64).required(21238).code(21238),
            PREFIX.default("32"),
        ])
        .with(|_, ctx, draft| Box::pin(check_address(ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[
            Param::text("IpAddress", 64).code(21238),
            Param::text("FriendlyName", 255).code(21238),
            PREFIX,
        ])
        .with(|_, ctx, draft| Box::pin(check_address(ctx, draft))),
        Op::delete(),
    ],
};

async fn check_address(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let list = ctx.param("IpAccessControlListSid").to_owned();
    if draft.verb == Verb::Create {
        shelf::check_room(ctx, ADDRESS, &list, ADDRESSES_MAX, 21237).await?;
    }
    let given = draft.text("ip_address").unwrap_or_default();
    let address = address(given).map_err(|why| ApiError::new(21238, why))?;
    draft.set("ip_address", address.to_string());
    if draft.fields.get("cidr_prefix_length").is_none_or(|prefix| !prefix.is_i64()) {
        draft.set("cidr_prefix_length", 32);
    }
    draft.set("ip_access_control_list_sid", list);
    Ok(())
}

/// An IPv4 address.
///
/// # Errors
/// Why it is none.
pub(crate) fn address(text: &str) -> Result<std::net::Ipv4Addr, String> {
    text.trim().parse().map_err(|_| format!("IpAddress '{text}' is no IPv4 address"))
}

/// The block that a document says.
pub(crate) fn block(doc: &Doc) -> Option<IpBlock> {
    let address = doc.text("ip_address")?.parse::<IpAddr>().ok()?;
    let prefix = doc.fields.get("cidr_prefix_length").and_then(serde_json::Value::as_u64);
    Some(IpBlock { address, prefix: u8::try_from(prefix.unwrap_or(32)).ok()? })
}
