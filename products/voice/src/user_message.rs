//! `/Calls/{CA}/UserDefinedMessages` and their subscriptions (voice-api §12): JSON between an
//! application and the program at the other end of a call.
//!
//! A message of the application goes to the leg, in its order among everything else; what the
//! program sends is posted to whoever has subscribed.

use contracts::Order;
use jobs::Failure;
use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Doc, Field, Op, Param, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json};
use store::{AccountBatch, StoreError};
use twiml::voice::Params;
use webhooks::Callback;

use crate::Voice;
use crate::act::Act;
use crate::call::Call;
use crate::lifecycle::Status;
use crate::resource::existing as existing_call;

const MESSAGE_KIND: &str = "UserDefinedMessage";
const SUBSCRIPTION_KIND: &str = "UserDefinedMessageSubscription";
/// The claims on idempotency keys.
const CLAIM: &str = "voice-idempotency";
const CONTENT_CHARS_MAX: usize = 10_000;
const KEY_CHARS_MAX: u32 = 255;
/// Subscriptions of one call.
const SUBSCRIPTIONS_MAX: i64 = 20;

pub static MESSAGE: Resource<Voice> = Resource {
    table: Table::v2010(
        MESSAGE_KIND,
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/UserDefinedMessages",
        "",
    )
    .collection()
    .sid("KX")
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::sid("call_sid", &["CA"]),
        Field::sid("sid", &["KX"]),
        Field::new("date_created", Wire::Rfc2822),
    ])
    .access(Access::Keys("voice/calls")),
    ops: &[Op::create(&[
        Param::new("Content", Wire::Text).required(32702),
        Param::text("IdempotencyKey", KEY_CHARS_MAX),
    ])
    .or_json()
    .by(|voice, ctx| Box::pin(send(voice, ctx)))],
};

pub static SUBSCRIPTION: Resource<Voice> = Resource {
    table: Table::v2010(
        SUBSCRIPTION_KIND,
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/UserDefinedMessageSubscriptions",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/UserDefinedMessageSubscriptions/{Sid}",
    )
    .sid("ZY")
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::sid("call_sid", &["CA"]),
        Field::sid("sid", &["ZY"]),
        Field::new("date_created", Wire::Rfc2822),
        Field::text("uri"),
    ])
    .access(Access::Keys("voice/calls")),
    ops: &[
        Op::create(&[
            Param::url("Callback").code(21205).required(21205),
            Param::text("IdempotencyKey", KEY_CHARS_MAX),
            Param::method("Method").code(21209),
        ])
        .or_json()
        .by(|voice, ctx| Box::pin(subscribe(voice, ctx))),
        Op::delete(),
    ],
};

/// The call of the path, in which somebody talks.
async fn running(ctx: &Ctx) -> Result<Call, ApiError> {
    let call = existing_call(ctx, "CallSid").await?;
    match call.status {
        Status::InProgress => Ok(call),
        status => Err(ApiError::new(21220, format!("Call is not in-progress: it is {status}"))),
    }
}

/// What was made under this request's idempotency key before.
async fn repeated(ctx: &Ctx, kind: &str, call: &str) -> Result<Option<Doc>, ApiError> {
    let Some(key) = claimed(ctx, kind, call) else { return Ok(None) };
    let failed = |error| rest::store_error(ctx, error);
    let sql = "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
    let row = ctx.store.point(sql, vec![CLAIM.into(), key.into()]).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    rest::load(&ctx.store, kind, call, row.text(0)).await.map_err(failed)
}

/// The key of a request as it is claimed: of its account, its call and its kind.
fn claimed(ctx: &Ctx, kind: &str, call: &str) -> Option<String> {
    let key = ctx.form.text("IdempotencyKey")?;
    Some(format!("{}/{call}/{kind}/{key}", ctx.account))
}

/// Makes the document, with `and` in its commit; a repetition finds what was made first.
pub(crate) async fn make(
    ctx: &Ctx,
    call: &Call,
    prefix: &str,
    mut fields: Map<String, Json>,
    and: impl Fn(&mut AccountBatch, Sid),
) -> Result<Reply, ApiError> {
    let (kind, call) = (ctx.table.name, call.sid.to_string());
    fields.insert("call_sid".into(), call.as_str().into());
    if let Some(doc) = repeated(ctx, kind, &call).await? {
        return Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)));
    }
    let made = ctx.clock.sid(prefix);
    let sid = made.to_string();
    let mut batch = ctx.store.batch();
    rest::insert(&mut batch, kind, &call, &sid, &fields, ctx.now);
    if let Some(key) = claimed(ctx, kind, &call) {
        batch.run(
            "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
            vec![sid.as_str().into(), CLAIM.into(), key.into()],
        );
    }
    and(&mut batch, made);
    let doc = match ctx.store.commit(batch).await {
        Ok(_) => {
            let (date_created, date_updated) = (ctx.now, ctx.now);
            Doc { sid, fields, date_created, date_updated, version: 1 }
        }
        // Somebody was faster with the same key.
        Err(StoreError::Duplicate(why)) => repeated(ctx, kind, &call)
            .await?
            .ok_or_else(|| rest::store_error(ctx, StoreError::Duplicate(why)))?,
        Err(error) => return Err(rest::store_error(ctx, error)),
    };
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

/// Sends JSON to the program at the other end.
///
/// Differs: a telephone has no program: the message is accepted and reaches nobody.
async fn send(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let content = ctx.form.text("Content").unwrap_or_default();
    if content.chars().count() > CONTENT_CHARS_MAX {
        let why = format!("Content: more than {CONTENT_CHARS_MAX} characters");
        return Err(ApiError::new(32703, why));
    }
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(content) {
        return Err(ApiError::new(32702, format!("Content: it is no JSON: {error}")));
    }
    let call = running(ctx).await?;
    make(ctx, &call, "KX", Map::new(), |batch, _| {
        let order = Order::Message { content: content.to_owned() };
        voice.order(batch, call.sid, ctx.now, order);
    })
    .await
}

async fn subscribe(_voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = running(ctx).await?;
    let sql = "SELECT COUNT(*) FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3";
    let row = ctx.store.point(sql, vec![SUBSCRIPTION_KIND.into(), call.sid.into()]).await;
    let count = row.map_err(|error| rest::store_error(ctx, error))?.map_or(0, |row| row.int(0));
    if count >= SUBSCRIPTIONS_MAX {
        let why = format!("The call has {count} subscriptions, and no more are allowed");
        return Err(ApiError::new(20001, why));
    }
    let mut fields = Map::new();
    fields.insert("callback".into(), ctx.form.text("Callback").into());
    let method = ctx.form.text("Method").unwrap_or("POST").to_ascii_uppercase();
    fields.insert("method".into(), method.into());
    make(ctx, &call, "ZY", fields, |_, _| {}).await
}

impl Act<'_> {
    /// The program at the other end sent something: everybody who subscribed is told.
    pub async fn program_said(&mut self, content: &str) -> Result<(), Failure> {
        let call = self.call.sid;
        let sql = "SELECT body FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3
                   ORDER BY sid LIMIT $4";
        let params = vec![SUBSCRIPTION_KIND.into(), call.into(), SUBSCRIPTIONS_MAX.into()];
        let rows = self.store.query(sql, params).await?;
        let sid: Sid = self.voice.parts.clock.sid("KX");
        for row in rows {
            let Ok(body) = serde_json::from_str::<Json>(row.text(0)) else { continue };
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            let params: Params = [
                ("AccountSid", self.store.account().to_string()),
                ("CallSid", call.to_string()),
                ("Sid", sid.to_string()),
                ("Content", content.to_owned()),
                ("ContentType", "application/json".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
            let callback = Callback {
                url: text("callback"),
                method: text("method"),
                params,
                resource: call.to_string(),
            };
            webhooks::promise(&mut self.batch, &self.voice.parts.clock, callback);
        }
        Ok(())
    }
}
