//! Which lists let callers into which places (voice-api §13.1, §14).
//!
//! A mapping is a document under its place, with the SID of its list; the two legacy paths of a
//! domain are other names of what is below `Auth/Calls`.

use kernel::ApiError;
use rest::{Access, Ctx, Doc, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, json};
use store::{AccountStore, StoreError};

use crate::{Trunking, domain, list, shelf, trunk};

pub(crate) const CALLS_CREDENTIALS_KIND: &str = "SipCallsCredentialListMapping";
pub(crate) const CALLS_ADDRESSES_KIND: &str = "SipCallsIpAccessControlListMapping";
pub(crate) const REGISTRATIONS_KIND: &str = "SipRegistrationsCredentialListMapping";
pub(crate) const TRUNK_CREDENTIALS_KIND: &str = "TrunkCredentialList";
pub(crate) const TRUNK_ADDRESSES_KIND: &str = "TrunkIpAccessControlList";

/// All mappings that a list of credentials may have, and a list of addresses.
pub(crate) const OF_CREDENTIALS: &[&str] =
    &[CALLS_CREDENTIALS_KIND, REGISTRATIONS_KIND, TRUNK_CREDENTIALS_KIND];
pub(crate) const OF_ADDRESSES: &[&str] = &[CALLS_ADDRESSES_KIND, TRUNK_ADDRESSES_KIND];

/// What a place may have below it, to be forgotten with it.
pub(crate) const OF_DOMAINS: &[&str] =
    &[CALLS_CREDENTIALS_KIND, CALLS_ADDRESSES_KIND, REGISTRATIONS_KIND];
pub(crate) const OF_TRUNKS: &[&str] = &[TRUNK_CREDENTIALS_KIND, TRUNK_ADDRESSES_KIND];

/// Lists that one place may have of a kind.
const MAPPINGS_MAX: i64 = 100;

/// What a table maps.
struct Mapping {
    /// Under which it is stored.
    kind: &'static str,
    list: &'static str,
    /// Names the list in a creation.
    param: &'static str,
    place: &'static str,
    /// Names the place in the path.
    place_param: &'static str,
    place_field: &'static str,
    /// Code of an invalid mapping.
    invalid: u32,
}

const fn of_domain(kind: &'static str, list: &'static str, param: &'static str) -> Mapping {
    let (place, place_param, place_field) = (domain::KIND, "DomainSid", "domain_sid");
    Mapping { kind, list, param, place, place_param, place_field, invalid: 21231 }
}

const fn of_trunk(kind: &'static str, list: &'static str, param: &'static str) -> Mapping {
    let (place, place_param, place_field) = (trunk::KIND, "TrunkSid", "trunk_sid");
    Mapping { kind, list, param, place, place_param, place_field, invalid: 21245 }
}

const CREDENTIAL_PARAM: &str = "CredentialListSid";
const ADDRESS_PARAM: &str = "IpAccessControlListSid";

/// The mapping of a table.
fn mapping(ctx: &Ctx) -> Mapping {
    match ctx.table.name {
        CALLS_ADDRESSES_KIND | LEGACY_ADDRESSES_NAME => {
            of_domain(CALLS_ADDRESSES_KIND, list::ADDRESSES, ADDRESS_PARAM)
        }
        REGISTRATIONS_KIND => of_domain(REGISTRATIONS_KIND, list::CREDENTIALS, CREDENTIAL_PARAM),
        TRUNK_CREDENTIALS_KIND => {
            of_trunk(TRUNK_CREDENTIALS_KIND, list::CREDENTIALS, CREDENTIAL_PARAM)
        }
        TRUNK_ADDRESSES_KIND => of_trunk(TRUNK_ADDRESSES_KIND, list::ADDRESSES, ADDRESS_PARAM),
        _ => of_domain(CALLS_CREDENTIALS_KIND, list::CREDENTIALS, CREDENTIAL_PARAM),
    }
}

const LEGACY_CREDENTIALS_NAME: &str = "SipCredentialListMapping";
const LEGACY_ADDRESSES_NAME: &str = "SipIpAccessControlListMapping";

macro_rules! ops {
    ($param:expr, $prefix:literal, $code:literal) => {
        &[
            Op::create(&[Param::sid($param, &[$prefix]).required($code).code($code)])
                .by(|_, ctx| Box::pin(create(ctx))),
            Op::list(&[]).by(|_, ctx| Box::pin(list(ctx))),
            Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
            Op::delete().by(|_, ctx| Box::pin(delete(ctx))),
        ]
    };
}

const fn auth_fields(prefixes: &'static [&'static str]) -> [Field; 5] {
    [
        Field::sid("account_sid", &["AC"]),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::text("friendly_name"),
        Field::sid("sid", prefixes),
    ]
}

const fn legacy_fields(prefixes: &'static [&'static str]) -> [Field; 7] {
    [
        Field::sid("account_sid", &["AC"]),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::sid("domain_sid", &["SD"]),
        Field::text("friendly_name"),
        Field::sid("sid", prefixes),
        Field::text("uri"),
    ]
}

const fn trunk_fields(prefixes: &'static [&'static str]) -> [Field; 7] {
    [
        Field::sid("account_sid", &["AC"]),
        Field::sid("sid", prefixes),
        Field::sid("trunk_sid", &["TK"]),
        Field::text("friendly_name"),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
        Field::new("url", Wire::Url),
    ]
}

const DOMAIN_ACCESS: Access = Access::Keys("voice/sip-domains");
const TRUNK_ACCESS: Access = Access::Keys("trunking/trunks");

macro_rules! at_domain {
    ($path:literal) => {
        concat!("/2010-04-01/Accounts/{AccountSid}/SIP/Domains/{DomainSid}/", $path)
    };
}

pub static CALLS_CREDENTIALS: Resource<Trunking> = Resource {
    table: Table::v2010(
        CALLS_CREDENTIALS_KIND,
        at_domain!("Auth/Calls/CredentialListMappings"),
        at_domain!("Auth/Calls/CredentialListMappings/{Sid}"),
    )
    .key("contents")
    .fields(&auth_fields(&["CL"]))
    .access(DOMAIN_ACCESS),
    ops: ops!(CREDENTIAL_PARAM, "CL", 21231),
};

pub static CALLS_ADDRESSES: Resource<Trunking> = Resource {
    table: Table::v2010(
        CALLS_ADDRESSES_KIND,
        at_domain!("Auth/Calls/IpAccessControlListMappings"),
        at_domain!("Auth/Calls/IpAccessControlListMappings/{Sid}"),
    )
    .key("contents")
    .fields(&auth_fields(&["AL"]))
    .access(DOMAIN_ACCESS),
    ops: ops!(ADDRESS_PARAM, "AL", 21231),
};

pub static REGISTRATIONS_CREDENTIALS: Resource<Trunking> = Resource {
    table: Table::v2010(
        REGISTRATIONS_KIND,
        at_domain!("Auth/Registrations/CredentialListMappings"),
        at_domain!("Auth/Registrations/CredentialListMappings/{Sid}"),
    )
    .key("contents")
    .fields(&auth_fields(&["CL"]))
    .access(DOMAIN_ACCESS),
    ops: ops!(CREDENTIAL_PARAM, "CL", 21231),
};

pub static LEGACY_CREDENTIALS: Resource<Trunking> = Resource {
    table: Table::v2010(
        LEGACY_CREDENTIALS_NAME,
        at_domain!("CredentialListMappings"),
        at_domain!("CredentialListMappings/{Sid}"),
    )
    .key("credential_list_mappings")
    .fields(&legacy_fields(&["CL"]))
    .access(DOMAIN_ACCESS),
    ops: ops!(CREDENTIAL_PARAM, "CL", 21231),
};

pub static LEGACY_ADDRESSES: Resource<Trunking> = Resource {
    table: Table::v2010(
        LEGACY_ADDRESSES_NAME,
        at_domain!("IpAccessControlListMappings"),
        at_domain!("IpAccessControlListMappings/{Sid}"),
    )
    .key("ip_access_control_list_mappings")
    .fields(&legacy_fields(&["AL"]))
    .access(DOMAIN_ACCESS),
    ops: ops!(ADDRESS_PARAM, "AL", 21231),
};

pub static TRUNK_CREDENTIALS: Resource<Trunking> = Resource {
    table: Table::product(
        TRUNK_CREDENTIALS_KIND,
        "trunking",
        "/v1/Trunks/{TrunkSid}/CredentialLists",
        "/v1/Trunks/{TrunkSid}/CredentialLists/{Sid}",
    )
    .key("credential_lists")
    .fields(&trunk_fields(&["CL"]))
    .access(TRUNK_ACCESS),
    ops: ops!(CREDENTIAL_PARAM, "CL", 21245),
};

pub static TRUNK_ADDRESSES: Resource<Trunking> = Resource {
    table: Table::product(
        TRUNK_ADDRESSES_KIND,
        "trunking",
        "/v1/Trunks/{TrunkSid}/IpAccessControlLists",
        "/v1/Trunks/{TrunkSid}/IpAccessControlLists/{Sid}",
    )
    .key("ip_access_control_lists")
    .fields(&trunk_fields(&["AL"]))
    .access(TRUNK_ACCESS),
    ops: ops!(ADDRESS_PARAM, "AL", 21245),
};

/// The place of the path, which exists.
async fn place(ctx: &Ctx, mapping: &Mapping) -> Result<String, ApiError> {
    let sid = ctx.param(mapping.place_param);
    let found = rest::load(&ctx.store, mapping.place, "", sid).await.map_err(shelf::failed(ctx))?;
    found.map(|place| place.sid).ok_or_else(|| ctx.not_found())
}

/// The mapping of the path.
async fn existing(ctx: &Ctx, mapping: &Mapping, place: &str) -> Result<Doc, ApiError> {
    let found = rest::load(&ctx.store, mapping.kind, place, ctx.param("Sid")).await;
    found.map_err(shelf::failed(ctx))?.ok_or_else(|| ctx.not_found())
}

/// A mapping under the name that its list has now.
async fn shown(ctx: &Ctx, mapping: &Mapping, mut doc: Doc) -> Result<Record, ApiError> {
    let list = rest::load(&ctx.store, mapping.list, "", &doc.sid).await;
    if let Some(list) = list.map_err(shelf::failed(ctx))? {
        doc.fields.insert("friendly_name".into(), json!(list.text("friendly_name")));
    }
    Ok(rest::record(ctx.account, ctx.table, &doc))
}

async fn create(ctx: &Ctx) -> Result<Reply, ApiError> {
    let mapping = mapping(ctx);
    let place = place(ctx, &mapping).await?;
    let sid = ctx.form.sid(mapping.param).expect("the table requires it").to_string();
    shelf::check_exists(ctx, mapping.list, mapping.param, &sid, mapping.invalid).await?;
    shelf::check_room(ctx, mapping.kind, &place, MAPPINGS_MAX, mapping.invalid).await?;
    let found = rest::load(&ctx.store, mapping.kind, &place, &sid).await;
    if found.map_err(shelf::failed(ctx))?.is_some() {
        return Err(ApiError::new(mapping.invalid, format!("{sid} is mapped to {place} already")));
    }
    let mut fields = Map::new();
    fields.insert(mapping.place_field.into(), place.as_str().into());
    let mut batch = ctx.store.batch();
    rest::insert(&mut batch, mapping.kind, &place, &sid, &fields, ctx.now);
    audit(ctx, &mut batch, &mapping, "created", &place, &sid);
    ctx.store.commit(batch).await.map_err(shelf::failed(ctx))?;
    let (date_created, date_updated) = (ctx.now, ctx.now);
    let doc = Doc { sid, fields, date_created, date_updated, version: 1 };
    Ok(Reply::Record(shown(ctx, &mapping, doc).await?))
}

fn audit(
    ctx: &Ctx,
    batch: &mut store::AccountBatch,
    mapping: &Mapping,
    what: &str,
    place: &str,
    sid: &str,
) {
    let name = rest::field_name(mapping.kind).replace('_', "-");
    ctx.audit(batch, &format!("{name}.{what}"), sid, json!({mapping.place_field: place}));
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let mapping = mapping(ctx);
    let place = place(ctx, &mapping).await?;
    let page = rest::documents(ctx, mapping.kind, &place, |_| true).await;
    let (docs, has_next) = page.map_err(shelf::failed(ctx))?;
    let mut records = Vec::with_capacity(docs.len());
    for doc in docs {
        records.push(shown(ctx, &mapping, doc).await?);
    }
    Ok(Reply::List(Page { records, has_next }))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let mapping = mapping(ctx);
    let place = place(ctx, &mapping).await?;
    let doc = existing(ctx, &mapping, &place).await?;
    Ok(Reply::Record(shown(ctx, &mapping, doc).await?))
}

async fn delete(ctx: &Ctx) -> Result<Reply, ApiError> {
    let mapping = mapping(ctx);
    let place = place(ctx, &mapping).await?;
    let doc = existing(ctx, &mapping, &place).await?;
    let mut batch = ctx.store.batch();
    batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3 AND sid = $4",
        vec![mapping.kind.into(), place.as_str().into(), doc.sid.as_str().into()],
    );
    audit(ctx, &mut batch, &mapping, "deleted", &place, &doc.sid);
    ctx.store.commit(batch).await.map_err(shelf::failed(ctx))?;
    Ok(Reply::Empty)
}

/// The lists that are mapped to a place, by their SIDs.
pub(crate) async fn lists(
    store: &AccountStore,
    kind: &str,
    place: &str,
) -> Result<Vec<String>, StoreError> {
    Ok(shelf::all(store, kind, place).await?.into_iter().map(|doc| doc.sid).collect())
}

/// Whether a place has lists of credentials, and of addresses, for calls.
pub(crate) async fn kinds(
    store: &AccountStore,
    [credentials, addresses]: [&str; 2],
    place: &str,
) -> Result<[bool; 2], StoreError> {
    let has = async |kind| Ok::<_, StoreError>(!lists(store, kind, place).await?.is_empty());
    Ok([has(credentials).await?, has(addresses).await?])
}
