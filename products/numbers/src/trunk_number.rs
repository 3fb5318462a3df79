//! `trunking/v1/Trunks/{TrunkSid}/PhoneNumbers` (voice-api §14): the numbers whose calls a trunk
//! takes. They are the account's numbers as they are; only their trunk is said here.

use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Doc, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::Value as Json;
use store::{AccountStore, StoreError};

use crate::{Numbers, incoming};

/// Numbers of one trunk that are found at once.
const MANY: i64 = 1000;
/// Times a change is decided again.
const DECISIONS_MAX: usize = 4;

pub static TRUNK_NUMBER: Resource<Numbers> = Resource {
    table: Table::product(
        "TrunkPhoneNumber",
        "trunking",
        "/v1/Trunks/{TrunkSid}/PhoneNumbers",
        "/v1/Trunks/{TrunkSid}/PhoneNumbers/{Sid}",
    )
    .key("phone_numbers")
    .sid("PN")
    .borrowed_sids()
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::new("address_requirements", Wire::Enum(&["none", "any", "local", "foreign"]))
            .empty("\"none\""),
        Field::text("api_version").empty("\"2010-04-01\""),
        Field::new("beta", Wire::Boolean).empty("false"),
        Field::new("capabilities", Wire::Json),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
        Field::text("friendly_name"),
        Field::new("links", Wire::UriMap).empty("{}"),
        Field::new("phone_number", Wire::Address),
        Field::sid("sid", &["PN"]),
        Field::sid("sms_application_sid", &["AP"]),
        Field::new("sms_fallback_method", Wire::Method).empty("\"POST\""),
        Field::new("sms_fallback_url", Wire::Url).empty("\"\""),
        Field::new("sms_method", Wire::Method).empty("\"POST\""),
        Field::new("sms_url", Wire::Url).empty("\"\""),
        Field::new("status_callback", Wire::Url).empty("\"\""),
        Field::new("status_callback_method", Wire::Method).empty("\"POST\""),
        Field::sid("trunk_sid", &["TK"]),
        Field::new("url", Wire::Url),
        Field::sid("voice_application_sid", &["AP"]),
        Field::new("voice_caller_id_lookup", Wire::Boolean).empty("false"),
        Field::new("voice_fallback_method", Wire::Method).empty("\"POST\""),
        Field::new("voice_fallback_url", Wire::Url).empty("\"\""),
        Field::new("voice_method", Wire::Method).empty("\"POST\""),
        Field::new("voice_url", Wire::Url).empty("\"\""),
    ])
    .access(Access::Keys("trunking/phone-numbers")),
    ops: &[
        Op::create(&[Param::sid("PhoneNumberSid", &["PN"]).required(20001)])
            .by(|numbers, ctx| Box::pin(add(numbers, ctx))),
        Op::list(&[]).by(|numbers, ctx| Box::pin(list(numbers, ctx))),
        Op::fetch().by(|numbers, ctx| Box::pin(fetch(numbers, ctx))),
        Op::delete().by(|numbers, ctx| Box::pin(remove(numbers, ctx))),
    ],
};

/// The numbers of a trunk, oldest first.
pub(crate) async fn of(store: &AccountStore, trunk: Sid) -> Result<Vec<Sid>, StoreError> {
    let sql = "SELECT sid, body FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = ''
               AND body LIKE $3 ORDER BY sid LIMIT $4";
    let params = vec![incoming::KIND.into(), format!("%{trunk}%").into(), MANY.into()];
    let rows = store.query(sql, params).await?;
    let is_of = |body: &str| {
        let body: Result<Json, _> = serde_json::from_str(body);
        body.is_ok_and(|body| body["trunk_sid"] == trunk.to_string())
    };
    Ok(rows.iter().filter(|row| is_of(row.text(1))).map(|row| row.sid(0)).collect())
}

/// 20001 for a `TrunkSid` that is no trunk of the account.
pub(crate) async fn check(numbers: &Numbers, ctx: &Ctx) -> Result<(), ApiError> {
    let Some(trunk) = ctx.form.sid("TrunkSid") else { return Ok(()) };
    match exists(numbers, ctx, trunk).await? {
        true => Ok(()),
        false => {
            let why = format!("TrunkSid: the account has no trunk {trunk}");
            Err(ApiError::new(20001, why))
        }
    }
}

async fn exists(numbers: &Numbers, ctx: &Ctx, trunk: Sid) -> Result<bool, ApiError> {
    let trunks = numbers.trunks.get().expect("the binary connects the trunks");
    let found = trunks.has_trunk(ctx.account, trunk).await;
    found.map_err(|error| ApiError::new(20503, format!("The trunks cannot be asked: {error}")))
}

/// The trunk of the path, which exists.
async fn trunk(numbers: &Numbers, ctx: &Ctx) -> Result<Sid, ApiError> {
    let trunk = ctx.param_sid("TrunkSid", &["TK"])?;
    match exists(numbers, ctx, trunk).await? {
        true => Ok(trunk),
        false => Err(ctx.not_found()),
    }
}

/// What is not set has no SID here.
fn shown(ctx: &Ctx, mut doc: Doc) -> Record {
    doc.fields.retain(|name, value| !name.ends_with("_sid") || *value != "");
    rest::record(ctx.account, ctx.table, &doc)
}

/// The number of the path, if the trunk has it.
async fn existing(ctx: &Ctx, trunk: Sid, number: &str) -> Result<Doc, ApiError> {
    let found = rest::load(&ctx.store, incoming::KIND, "", number).await;
    let found = found.map_err(|error| rest::store_error(ctx, error))?;
    let is_of = |doc: &Doc| doc.text("trunk_sid") == Some(&trunk.to_string());
    found.filter(is_of).ok_or_else(|| ctx.not_found())
}

/// Gives a number another trunk, or none; a trunk excludes an application.
async fn set(ctx: &Ctx, number: &str, trunk: Option<Sid>) -> Result<Doc, ApiError> {
    for _ in 0..DECISIONS_MAX {
        let found = rest::load(&ctx.store, incoming::KIND, "", number).await;
        let found = found.map_err(|error| rest::store_error(ctx, error))?;
        let doc = found.ok_or_else(|| {
            ApiError::new(20001, format!("PhoneNumberSid: the account has no number {number}"))
        })?;
        let mut fields = doc.fields.clone();
        fields
            .insert("trunk_sid".into(), trunk.map_or(Json::Null, |trunk| trunk.to_string().into()));
        if trunk.is_some() {
            fields.insert("voice_application_sid".into(), "".into());
        }
        let mut batch = ctx.store.batch();
        rest::revise(&mut batch, incoming::KIND, "", &doc, &fields, ctx.now);
        let changes = rest::changes(Some(&doc.fields), Some(&fields));
        ctx.audit(&mut batch, "incoming-phone-number.updated", &doc.sid, changes);
        match ctx.store.commit(batch).await {
            Ok(_) => return Ok(Doc { fields, date_updated: ctx.now, ..doc }),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(ApiError::new(20409, format!("{number} is being changed by others; try again")))
}

async fn add(numbers: &Numbers, ctx: &Ctx) -> Result<Reply, ApiError> {
    let trunk = trunk(numbers, ctx).await?;
    let number = ctx.form.sid("PhoneNumberSid").expect("the table requires it").to_string();
    Ok(Reply::Record(shown(ctx, set(ctx, &number, Some(trunk)).await?)))
}

async fn list(numbers: &Numbers, ctx: &Ctx) -> Result<Reply, ApiError> {
    let trunk = trunk(numbers, ctx).await?.to_string();
    let is_of = |doc: &Doc| doc.text("trunk_sid") == Some(&trunk);
    let page = rest::documents(ctx, incoming::KIND, "", is_of).await;
    let (docs, has_next) = page.map_err(|error| rest::store_error(ctx, error))?;
    let records = docs.into_iter().map(|doc| shown(ctx, doc)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

async fn fetch(numbers: &Numbers, ctx: &Ctx) -> Result<Reply, ApiError> {
    let trunk = trunk(numbers, ctx).await?;
    Ok(Reply::Record(shown(ctx, existing(ctx, trunk, ctx.param("Sid")).await?)))
}

async fn remove(numbers: &Numbers, ctx: &Ctx) -> Result<Reply, ApiError> {
    let trunk = trunk(numbers, ctx).await?;
    let doc = existing(ctx, trunk, ctx.param("Sid")).await?;
    set(ctx, &doc.sid, None).await?;
    Ok(Reply::Empty)
}
