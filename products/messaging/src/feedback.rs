//! `/Messages/{MessageSid}/Feedback` (messaging §6).

use kernel::ApiError;
use rest::{Access, Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};

use crate::Messaging;
use crate::resource::existing;

const OUTCOMES: &[&str] = &["confirmed", "unconfirmed"];

pub static FEEDBACK: Resource<Messaging> = Resource {
    table: Table::v2010(
        "MessageFeedback",
        "/2010-04-01/Accounts/{AccountSid}/Messages/{MessageSid}/Feedback",
        "",
    )
    .collection()
    .access(Access::Keys("messaging/feedback"))
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::sid("message_sid", &["SM", "MM"]),
        Field::new("outcome", Wire::Enum(OUTCOMES)),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::text("uri"),
    ]),
    ops: &[Op::create(&[Param::one_of("Outcome", OUTCOMES)])
        .status(200)
        .by(|m, ctx| Box::pin(create(m, ctx)))],
};

/// Keeps the outcome.
///
/// Differs: without an `Outcome` the message counts as confirmed; a message that
/// was not created with `ProvideFeedback` answers 20404.
async fn create(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let mut message = existing(ctx, "MessageSid").await?;
    if !message.extra.provide_feedback {
        return Err(ctx.not_found());
    }
    let outcome = ctx.form.text("Outcome").unwrap_or("confirmed").to_owned();
    let created = message.extra.outcome_created.unwrap_or(ctx.now);
    message.extra.outcome = Some(outcome.clone());
    message.extra.outcome_created = Some(created);
    let extra = serde_json::to_string(&message.extra).expect("extras are plain text");
    let mut batch = ctx.store.batch();
    batch.must(
        "UPDATE message SET extra = $3, version = version + 1
         WHERE account_sid = $1 AND id = $2 AND version = $4",
        vec![message.sid.hex().into(), extra.into(), message.version.into()],
    );
    if outcome == "confirmed" {
        messaging.vouch(&message.to, &mut batch);
    }
    batch.event("message.feedback", &message.sid.to_string(), ctx.now, "{}".into());
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    let mut record = Record::new("");
    record
        .set("account_sid", ctx.account)
        .set("message_sid", message.sid)
        .set("outcome", outcome)
        .set("date_created", created)
        .set("date_updated", ctx.now);
    Ok(Reply::Record(record))
}
