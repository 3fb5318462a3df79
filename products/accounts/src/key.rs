//! API keys: `/Keys` and `/SigningKeys` of the 2010 API, `/v1/Keys` of IAM
//! (rest-conventions §12).

use kernel::{ApiError, Sid, Timestamp};
use rest::{Access, Ctx, Cursor, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json};
use store::{AccountBatch, Row};

use crate::Accounts;

/// Permissions a restricted key may have.
const PERMISSIONS_MAX: usize = 100;

const FIELDS: &[Field] = &[
    Field::sid("sid", &["SK"]),
    Field::text("friendly_name"),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
];
const NEW_FIELDS: &[Field] = &[
    Field::sid("sid", &["SK"]),
    Field::text("friendly_name"),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::text("secret"),
];
const IAM_FIELDS: &[Field] = &[
    Field::sid("sid", &["SK"]),
    Field::text("friendly_name"),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::new("policy", Wire::Json),
];
/// A list shows flags where a key shows its policy.
const LISTED_IAM_FIELDS: &[Field] = &[
    Field::sid("sid", &["SK"]),
    Field::text("friendly_name"),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::new("flags", Wire::Json).empty("[]"),
];
const NEW_IAM_FIELDS: &[Field] = &[
    Field::sid("sid", &["SK"]),
    Field::text("friendly_name"),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::text("secret"),
    Field::new("policy", Wire::Json),
];
const NAME: &[Param] = &[Param::text("FriendlyName", 64).code(20002)];

pub static KEY: Resource<Accounts> = Resource {
    table: Table::v2010(
        "Key",
        "/2010-04-01/Accounts/{AccountSid}/Keys",
        "/2010-04-01/Accounts/{AccountSid}/Keys/{Sid}",
    )
    .key("keys")
    .sid("SK")
    .fields(FIELDS)
    .access(Access::AccountAdmin),
    ops: OPS,
};

pub static SIGNING_KEY: Resource<Accounts> = Resource {
    table: Table::v2010(
        "SigningKey",
        "/2010-04-01/Accounts/{AccountSid}/SigningKeys",
        "/2010-04-01/Accounts/{AccountSid}/SigningKeys/{Sid}",
    )
    .key("signing_keys")
    .sid("SK")
    .fields(FIELDS)
    .access(Access::AccountAdmin),
    ops: OPS,
};

const OPS: &[Op<Accounts>] = &[
    Op::create(NAME).fields(NEW_FIELDS).by(|accounts, ctx| Box::pin(create(accounts, ctx))),
    Op::list(&[]).by(|_, ctx| Box::pin(list(ctx))),
    Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
    Op::update(NAME).by(|accounts, ctx| Box::pin(update(accounts, ctx))),
    Op::delete().by(|accounts, ctx| Box::pin(delete(accounts, ctx))),
];

pub static IAM_KEY: Resource<Accounts> = Resource {
    table: Table::product("Key", "iam", "/v1/Keys", "/v1/Keys/{Sid}")
        .key("keys")
        .sid("SK")
        .fields(IAM_FIELDS)
        .access(Access::AccountAdmin),
    ops: &[
        Op::create(&[
            Param::sid("AccountSid", &["AC"]).required(20001),
            Param::text("FriendlyName", 64).code(20002),
            Param::one_of("KeyType", &["restricted"]),
            Param::new("Policy", Wire::Json),
        ])
        .fields(NEW_IAM_FIELDS)
        .by(|accounts, ctx| Box::pin(create(accounts, ctx))),
        Op::list(&[Param::sid("AccountSid", &["AC"]).required(20001)])
            .fields(LISTED_IAM_FIELDS)
            .by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(&[
            Param::text("FriendlyName", 64).code(20002),
            Param::new("Policy", Wire::Json),
        ])
        .by(|accounts, ctx| Box::pin(update(accounts, ctx))),
        Op::delete().by(|accounts, ctx| Box::pin(delete(accounts, ctx))),
    ],
};

/// The `allow` list of a policy.
pub(crate) fn allowed(policy: &str) -> Vec<String> {
    let policy: Json = serde_json::from_str(policy).unwrap_or(Json::Null);
    let allow = policy.get("allow").and_then(Json::as_array);
    allow.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

impl Accounts {
    /// The row of a new key.
    pub(crate) fn key_rows(
        &self,
        account: Sid,
        sid: Sid,
        name: &str,
        kind: &str,
        policy: Option<&str>,
        secret: &str,
    ) -> AccountBatch {
        let now = self.clock.now();
        let mut batch = self.store.account(account).batch();
        batch.run(
            "INSERT INTO api_key (account_sid, sid, friendly_name, kind, policy, secret,
             date_created, date_updated) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
            vec![
                sid.into(),
                name.into(),
                kind.into(),
                policy.into(),
                self.sealer.seal(secret).into(),
                now.into(),
            ],
        );
        batch
    }
}

async fn create(accounts: &Accounts, ctx: &Ctx) -> Result<Reply, ApiError> {
    check_own_account(ctx)?;
    let policy = ctx.form.text("Policy");
    let kind = ctx.form.text("KeyType").unwrap_or("standard");
    check_policy(kind, policy)?;
    let sid = ctx.clock.sid("SK");
    let secret = ctx.clock.alphanumeric_token(32);
    let name = ctx.form.text("FriendlyName").unwrap_or_default();
    let mut batch = accounts.key_rows(ctx.account, sid, name, kind, policy, &secret);
    let made = changes(None, Some((name, policy)));
    ctx.audit(&mut batch, "key.created", &sid.to_string(), made);
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    let mut record = record(&KeyRow {
        sid: sid.to_string(),
        friendly_name: name.to_owned(),
        policy: policy.map(str::to_owned),
        date_created: ctx.now,
        date_updated: ctx.now,
    });
    record.set("secret", secret);
    Ok(Reply::Record(record))
}

fn check_policy(kind: &str, policy: Option<&str>) -> Result<(), ApiError> {
    match (kind, policy) {
        ("restricted", None) => Err(ApiError::missing("Policy")),
        ("restricted", Some(policy)) => {
            let count = allowed(policy).len();
            if (1..=PERMISSIONS_MAX).contains(&count) {
                return Ok(());
            }
            let why = format!(
                "Policy must be {{\"allow\":[…]}} with 1 to {PERMISSIONS_MAX} permissions such as \
                 /twilio/messaging/messages/read; it has {count}"
            );
            Err(ApiError::new(20001, why))
        }
        _ => Ok(()),
    }
}

/// IAM names the account in the form: it must be the caller's.
fn check_own_account(ctx: &Ctx) -> Result<(), ApiError> {
    match ctx.form.sid("AccountSid") {
        Some(account) if account != ctx.account => Err(rest::unauthenticated(
            "Authenticate: AccountSid is not the account of the credential",
        )),
        _ => Ok(()),
    }
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    check_own_account(ctx)?;
    if let Cursor::After(key) | Cursor::Before(key) = &ctx.page.cursor
        && !Sid::is_form("SK", key)
    {
        return Err(ApiError::new(21481, format!("PageToken names '{key}', which is no key")));
    }
    let (beyond, order, bound) = match &ctx.page.cursor {
        Cursor::Offset => ("", "DESC", None),
        Cursor::After(key) => ("AND sid < $4", "DESC", Some(key.as_str())),
        Cursor::Before(key) => ("AND sid > $4", "ASC", Some(key.as_str())),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM api_key WHERE account_sid = $1 {beyond} ORDER BY sid {order}
         LIMIT $2 OFFSET $3"
    );
    let mut params = vec![ctx.page.limit().into(), ctx.page.offset().into()];
    params.extend(bound.map(Into::into));
    let rows =
        ctx.store.query(&sql, params).await.map_err(|error| rest::store_error(ctx, error))?;
    let (rows, has_next) = ctx.page.cut(rows);
    let records = rows.iter().map(|row| record(&key_row(row))).collect();
    Ok(Reply::List(Page { records, has_next }))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    Ok(Reply::Record(record(&load(ctx).await?)))
}

async fn update(accounts: &Accounts, ctx: &Ctx) -> Result<Reply, ApiError> {
    let key = load(ctx).await?;
    let name = ctx.form.raw("FriendlyName").unwrap_or(&key.friendly_name);
    let policy = ctx.form.text("Policy").or(key.policy.as_deref());
    if key.policy.is_some() {
        check_policy("restricted", policy)?;
    } else if ctx.form.text("Policy").is_some() {
        return Err(ApiError::new(
            20001,
            "Policy belongs to a restricted key; this one is standard",
        ));
    }
    let mut batch = ctx.store.batch();
    batch.must(
        "UPDATE api_key SET friendly_name = $3, policy = $4, date_updated = $5
         WHERE account_sid = $1 AND sid = $2",
        vec![key.sid.as_str().into(), name.into(), policy.into(), ctx.now.into()],
    );
    let renamed = changes(Some(&key), Some((name, policy)));
    ctx.audit(&mut batch, "key.updated", &key.sid, renamed);
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    accounts.changed();
    fetch(ctx).await
}

async fn delete(accounts: &Accounts, ctx: &Ctx) -> Result<Reply, ApiError> {
    let key = load(ctx).await?;
    let mut batch = ctx.store.batch();
    batch.run(
        "DELETE FROM api_key WHERE account_sid = $1 AND sid = $2",
        vec![key.sid.as_str().into()],
    );
    // The development profile adopts unknown keys, but never one that was deleted.
    batch.run(
        "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, 'deleted-key', $2)",
        vec![key.sid.as_str().into()],
    );
    ctx.audit(&mut batch, "key.deleted", &key.sid, changes(Some(&key), None));
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    accounts.changed();
    Ok(Reply::Empty)
}

const COLUMNS: &str = "sid, friendly_name, policy, date_created, date_updated";

struct KeyRow {
    sid: String,
    friendly_name: String,
    policy: Option<String>,
    date_created: Timestamp,
    date_updated: Timestamp,
}

/// What the audit tells of a key: its name and policy, never its secret.
fn changes(previous: Option<&KeyRow>, updated: Option<(&str, Option<&str>)>) -> Json {
    let fields = |name: &str, policy: Option<&str>| {
        Map::from_iter([
            ("friendly_name".to_owned(), name.into()),
            ("policy".to_owned(), policy.map_or(Json::Null, Into::into)),
        ])
    };
    let previous = previous.map(|key| fields(&key.friendly_name, key.policy.as_deref()));
    let updated = updated.map(|(name, policy)| fields(name, policy));
    rest::changes(previous.as_ref(), updated.as_ref())
}

async fn load(ctx: &Ctx) -> Result<KeyRow, ApiError> {
    let sid = ctx.param_sid("Sid", &["SK"])?;
    let sql = format!("SELECT {COLUMNS} FROM api_key WHERE account_sid = $1 AND sid = $2");
    let row = ctx.store.point(&sql, vec![sid.into()]).await;
    let row = row.map_err(|error| rest::store_error(ctx, error))?;
    row.as_ref().map(key_row).ok_or_else(|| ctx.not_found())
}

fn key_row(row: &Row) -> KeyRow {
    KeyRow {
        sid: row.text(0).to_owned(),
        friendly_name: row.text(1).to_owned(),
        policy: row.opt_text(2).map(str::to_owned),
        date_created: row.time(3),
        date_updated: row.time(4),
    }
}

fn record(key: &KeyRow) -> Record {
    let policy = key.policy.as_deref().and_then(|text| serde_json::from_str::<Json>(text).ok());
    let mut record = Record::new(&key.sid);
    record
        .set("sid", key.sid.as_str())
        .set("friendly_name", key.friendly_name.as_str())
        .set("date_created", key.date_created)
        .set("date_updated", key.date_updated)
        .set("policy", policy);
    record
}
