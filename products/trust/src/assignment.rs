//! What a bundle holds: entities that its policy asks for, and the numbers it is for
//! (compliance §7).

use kernel::{ApiError, Sid};
use rest::{Ctx, Draft, Field, Op, Page, Param, Reply, Resource, Table, Wire};
use store::{AccountStore, StoreError};

use crate::{Trust, bundle, party};

/// Entities of one bundle, and endpoints (22205).
const ENTITIES_MAX: i64 = 100;
const ENDPOINTS_MAX: i64 = 10_000;

/// SIDs that the definitions leave open.
const OBJECTS: &[&str] = &["IT", "RD", "BU", "AD"];
const ENDPOINTS: &[&str] = &["PN", "SC"];

const ENTITY_CREATE: &[Param] = &[Param::sid("ObjectSid", OBJECTS).required(20001).code(22206)];
const ENTITY_LIST: &[Param] = &[Param::text("ObjectType", 255)];

const ENDPOINT_CREATE: &[Param] = &[
    Param::text("ChannelEndpointType", 64).required(20001),
    Param::sid("ChannelEndpointSid", ENDPOINTS).required(20001),
];
const ENDPOINT_LIST: &[Param] =
    &[Param::sid("ChannelEndpointSid", ENDPOINTS), Param::text("ChannelEndpointSids", 65_536)];

const fn entity_fields(parent: &'static str) -> [Field; 6] {
    [
        Field::sid("sid", &["BV"]),
        Field::sid(parent, &["BU"]),
        Field::sid("account_sid", &["AC"]),
        Field::sid("object_sid", OBJECTS),
        Field::new("date_created", Wire::Iso8601),
        Field::new("url", Wire::Url),
    ]
}

const fn endpoint_fields(parent: &'static str) -> [Field; 7] {
    [
        Field::sid("sid", &["RA"]),
        Field::sid(parent, &["BU"]),
        Field::sid("account_sid", &["AC"]),
        Field::text("channel_endpoint_type"),
        Field::sid("channel_endpoint_sid", ENDPOINTS),
        Field::new("date_created", Wire::Iso8601),
        Field::new("url", Wire::Url),
    ]
}

const ENTITY_OPS: &[Op<Trust>] = &[
    Op::create(ENTITY_CREATE).with(|trust, ctx, draft| Box::pin(assign_entity(trust, ctx, draft))),
    Op::list(ENTITY_LIST),
    Op::fetch(),
    Op::delete(),
];

const ENDPOINT_OPS: &[Op<Trust>] = &[
    Op::create(ENDPOINT_CREATE)
        .with(|trust, ctx, draft| Box::pin(assign_endpoint(trust, ctx, draft))),
    Op::list(ENDPOINT_LIST).by(|_, ctx| Box::pin(list_endpoints(ctx))),
    Op::fetch(),
    Op::delete(),
];

const fn entity(table: Table) -> Resource<Trust> {
    Resource { table: table.key("results").sid("BV"), ops: ENTITY_OPS }
}

const fn endpoint(table: Table) -> Resource<Trust> {
    Resource { table: table.key("results").sid("RA"), ops: ENDPOINT_OPS }
}

pub static CUSTOMER_PROFILE_ENTITY: Resource<Trust> = entity(
    Table::product(
        "CustomerProfileEntityAssignment",
        "trusthub",
        "/v1/CustomerProfiles/{CustomerProfileSid}/EntityAssignments",
        "/v1/CustomerProfiles/{CustomerProfileSid}/EntityAssignments/{Sid}",
    )
    .under(bundle::CUSTOMER_PROFILE_KIND)
    .fields(&entity_fields("customer_profile_sid")),
);

pub static TRUST_PRODUCT_ENTITY: Resource<Trust> = entity(
    Table::product(
        "TrustProductEntityAssignment",
        "trusthub",
        "/v1/TrustProducts/{TrustProductSid}/EntityAssignments",
        "/v1/TrustProducts/{TrustProductSid}/EntityAssignments/{Sid}",
    )
    .under(bundle::TRUST_PRODUCT_KIND)
    .fields(&entity_fields("trust_product_sid")),
);

pub static CUSTOMER_PROFILE_ENDPOINT: Resource<Trust> = endpoint(
    Table::product(
        "CustomerProfileChannelEndpointAssignment",
        "trusthub",
        "/v1/CustomerProfiles/{CustomerProfileSid}/ChannelEndpointAssignments",
        "/v1/CustomerProfiles/{CustomerProfileSid}/ChannelEndpointAssignments/{Sid}",
    )
    .under(bundle::CUSTOMER_PROFILE_KIND)
    .fields(&endpoint_fields("customer_profile_sid")),
);

pub static TRUST_PRODUCT_ENDPOINT: Resource<Trust> = endpoint(
    Table::product(
        "TrustProductChannelEndpointAssignment",
        "trusthub",
        "/v1/TrustProducts/{TrustProductSid}/ChannelEndpointAssignments",
        "/v1/TrustProducts/{TrustProductSid}/ChannelEndpointAssignments/{Sid}",
    )
    .under(bundle::TRUST_PRODUCT_KIND)
    .fields(&endpoint_fields("trust_product_sid")),
);

/// The field that names the bundle of the path, and its SID.
pub(crate) fn parent_of(ctx: &Ctx) -> (&'static str, &str) {
    match ctx.param("CustomerProfileSid") {
        "" => ("trust_product_sid", ctx.param("TrustProductSid")),
        profile => ("customer_profile_sid", profile),
    }
}

/// The SIDs of what is assigned to a bundle, oldest first.
pub(crate) async fn objects(store: &AccountStore, bundle: &str) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT body FROM resource WHERE account_sid = $1 AND parent = $2
               AND kind IN ($3, $4) ORDER BY sid LIMIT $5";
    let [profile, product] = [&CUSTOMER_PROFILE_ENTITY, &TRUST_PRODUCT_ENTITY];
    let params = vec![
        bundle.into(),
        profile.table.name.into(),
        product.table.name.into(),
        ENTITIES_MAX.into(),
    ];
    let rows = store.query(sql, params).await?;
    let object = |body: &str| {
        let body: serde_json::Value = serde_json::from_str(body).ok()?;
        body["object_sid"].as_str().map(str::to_owned)
    };
    Ok(rows.iter().filter_map(|row| object(row.text(0))).collect())
}

/// # Errors
/// 22205 for an object that the account does not have, is assigned already, or is one too many;
/// 22206 for what no bundle holds.
async fn assign_entity(trust: &Trust, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let (field, bundle) = parent_of(ctx);
    let object = draft.text("object_sid").unwrap_or_default().to_owned();
    let kind = match object.parse::<Sid>() {
        Ok(address) if address.prefix() == "AD" => {
            let known = trust.numbers.has_address(ctx.account, address).await.map_err(|error| {
                ApiError::new(20503, format!("The addresses cannot be asked now: {error}"))
            })?;
            known.then(|| "address".to_owned())
        }
        _ => {
            let found = object_type(&ctx.store, &object).await;
            found.map_err(|error| rest::store_error(ctx, error))?
        }
    };
    let Some(kind) = kind.filter(|_| object != bundle) else {
        return Err(ApiError::new(22205, format!("The account has no {object} to assign")));
    };
    let assigned = objects(&ctx.store, bundle).await;
    let assigned = assigned.map_err(|error| rest::store_error(ctx, error))?;
    if assigned.contains(&object) {
        return Err(ApiError::new(22205, format!("{object} is assigned to {bundle} already")));
    }
    check_room(ctx, ENTITIES_MAX).await?;
    let bundle = bundle.to_owned();
    draft.set(field, bundle);
    draft.set("object_type", kind);
    Ok(())
}

/// What `ObjectType` filters by.
async fn object_type(store: &AccountStore, object: &str) -> Result<Option<String>, StoreError> {
    if let Some(doc) = party::find(store, object).await? {
        return Ok(doc.text("type").map(str::to_owned));
    }
    let found = bundle::find(store, object).await?;
    Ok(found.map(|(kind, _)| {
        if kind == bundle::CUSTOMER_PROFILE_KIND { "customer_profile" } else { "trust_product" }
            .to_owned()
    }))
}

/// # Errors
/// 20404 for a number that is not the account's; 20409 for one that the bundle has; 22205.
async fn assign_endpoint(trust: &Trust, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let (field, bundle) = parent_of(ctx);
    let bundle = bundle.to_owned();
    let number: Sid = ctx.form.sid("ChannelEndpointSid").expect("the table requires it");
    let owned = trust.numbers.owned(ctx.account, number).await.map_err(|error| {
        ApiError::new(20503, format!("The numbers cannot be asked now: {error}"))
    })?;
    if owned.is_none() {
        return Err(ApiError::new(20404, format!("The account has no number {number}")));
    }
    check_room(ctx, ENDPOINTS_MAX).await?;
    draft.claim("trust-endpoint", &format!("{bundle}/{number}"));
    draft.set(field, bundle);
    Ok(())
}

/// 22205 beyond `most`.
async fn check_room(ctx: &Ctx, most: i64) -> Result<(), ApiError> {
    let (_, bundle) = parent_of(ctx);
    let sql = "SELECT COUNT(*) FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3";
    let row = ctx.store.point(sql, vec![ctx.table.name.into(), bundle.into()]).await;
    let count = row.map_err(|error| rest::store_error(ctx, error))?.map_or(0, |row| row.int(0));
    if count < most {
        return Ok(());
    }
    let why = format!("{bundle} has {count} assignments; at most {most} are allowed");
    Err(ApiError::new(22205, why))
}

/// `ChannelEndpointSids` is a list with commas.
async fn list_endpoints(ctx: &Ctx) -> Result<Reply, ApiError> {
    let (_, bundle) = parent_of(ctx);
    let parent = ctx.table.parent.expect("the tables name it");
    let found = rest::load(&ctx.store, parent, "", bundle).await;
    if found.map_err(|error| rest::store_error(ctx, error))?.is_none() {
        return Err(ctx.not_found());
    }
    let one = ctx.form.text("ChannelEndpointSid");
    let many: Option<Vec<_>> =
        ctx.form.text("ChannelEndpointSids").map(|list| list.split(',').map(str::trim).collect());
    let page = rest::documents(ctx, ctx.table.name, bundle, |doc| {
        let sid = doc.text("channel_endpoint_sid").unwrap_or_default();
        one.is_none_or(|one| one == sid) && many.as_ref().is_none_or(|many| many.contains(&sid))
    });
    let (docs, has_next) = page.await.map_err(|error| rest::store_error(ctx, error))?;
    let records = docs.iter().map(|doc| rest::record(ctx.account, ctx.table, doc)).collect();
    Ok(Reply::List(Page { records, has_next }))
}
