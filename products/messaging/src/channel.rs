//! WhatsApp and other channels: their senders, and the window in which one may speak freely
//! (whatsapp-content §1, §6).

use std::time::Duration;

use clock::Clock;
use kernel::{ApiError, Sid, Timestamp};
use numbering::{Address, Channel};
use rest::{Ctx, Doc, Draft, Field, Op, Param, Resource, Table, Verb, Wire};
use serde_json::{Value as Json, json};
use store::{AccountBatch, AccountStore, StoreError};

use crate::Messaging;
use crate::create::unavailable;
use crate::sandbox::{self, SANDBOX};

pub(crate) const KIND: &str = "ChannelsSender";
/// The claims by which numbers are found; channel addresses are among them.
pub(crate) const CLAIM: &str = "number";
/// How long after a user's last message anything may be said.
const WINDOW: Duration = Duration::from_secs(24 * 3600);

const STATUSES: &[&str] = &[
    "CREATING",
    "ONLINE",
    "OFFLINE",
    "PENDING_VERIFICATION",
    "VERIFYING",
    "ONLINE:UPDATING",
    "TWILIO_REVIEW",
    "DRAFT",
    "STUBBED",
];

const SETTINGS: [Param; 3] = [
    Param::new("configuration", Wire::Json),
    Param::new("webhook", Wire::Json),
    Param::new("profile", Wire::Json),
];

const CREATE: &[Param] =
    &[Param::text("sender_id", 256).required(20001), SETTINGS[0], SETTINGS[1], SETTINGS[2]];

/// `messaging.twilio.com/v2/Channels/Senders`.
///
/// Differs: a sender is online at once; there is no number to verify on a simulated network,
/// and none to ask for one on a real.
pub static SENDER: Resource<Messaging> = Resource {
    table: Table::product(KIND, "messaging", "/v2/Channels/Senders", "/v2/Channels/Senders/{Sid}")
        .key("senders")
        .sid("XE")
        .fields(&[
            Field::sid("sid", &["XE"]),
            Field::new("status", Wire::Enum(STATUSES)),
            Field::text("sender_id"),
            Field::new("configuration", Wire::Json),
            Field::new("webhook", Wire::Json),
            Field::new("profile", Wire::Json),
            Field::new("properties", Wire::Json),
            Field::new("offline_reasons", Wire::Json),
            Field::new("compliance", Wire::Json),
            Field::new("url", Wire::Url),
        ]),
    ops: &[
        Op::create(CREATE)
            .status(202)
            .json()
            .with(|m, ctx, draft| Box::pin(created(m, ctx, draft))),
        Op::list(&[Param::one_of("Channel", &["whatsapp", "rcs"]).required(20001)])
            .by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch(),
        Op::update(&SETTINGS).status(202).json(),
        Op::delete().with(|m, _, draft| Box::pin(async move { deleted(m, draft) })),
    ],
};

/// The channel's address, and claims it: 20001 for what is none, 20409 for a taken one.
async fn created(messaging: &Messaging, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let text = ctx.form.text("sender_id").unwrap_or_default();
    let address = match Address::parse_from(text) {
        Ok(address @ Address::Channel { channel: Channel::Whatsapp | Channel::Rcs, .. }) => address,
        _ => {
            let why = format!("'sender_id' {text:?} is no address such as whatsapp:+14155550100");
            return Err(ApiError::new(20001, why));
        }
    };
    let address = address.to_string();
    if address == SANDBOX {
        return created_sandbox(ctx, draft).await;
    }
    let owner = messaging.parts.numbers.owner(&address).await.map_err(unavailable)?;
    if owner.is_some() {
        return Err(ApiError::new(20409, format!("{address} is a sender already")));
    }
    draft.set("sender_id", address.as_str());
    draft.fields.extend(begun());
    draft.claim(CLAIM, &address);
    Ok(())
}

/// The sandbox is a sender of every account, once.
async fn created_sandbox(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let known = sandbox::sender_of(&ctx.store).await;
    if let Some(sid) = known.map_err(|error| rest::store_error(ctx, error))? {
        let why = format!("The sandbox is sender {sid} of this account; update that");
        return Err(ApiError::new(20409, why));
    }
    let sid = draft.sid.parse().expect("the table makes SIDs");
    draft.set("sender_id", SANDBOX);
    draft.fields.extend(begun());
    sandbox::claim_code(sid, &sandbox::words(ctx.account, 0), &mut draft.batch);
    Ok(())
}

/// What a new sender has beside its address.
fn begun() -> serde_json::Map<String, Json> {
    let properties = json!({
        "status": "ONLINE",
        "properties": {"quality_rating": "HIGH", "messaging_limit": "1K Customers/24hr"},
        "offline_reasons": [],
    });
    match properties {
        Json::Object(fields) => fields,
        _ => serde_json::Map::new(),
    }
}

fn deleted(messaging: &Messaging, draft: &mut Draft) -> Result<(), ApiError> {
    debug_assert_eq!(draft.verb, Verb::Delete);
    let numbers = messaging.parts.numbers.clone();
    draft.afterwards(move || numbers.forget());
    Ok(())
}

async fn list(ctx: &Ctx) -> Result<rest::Reply, ApiError> {
    let channel = ctx.form.text("Channel").unwrap_or_default();
    let prefix = format!("{channel}:");
    let keep = |doc: &Doc| doc.text("sender_id").is_some_and(|id| id.starts_with(&prefix));
    let (docs, has_next) = rest::documents(ctx, KIND, "", keep)
        .await
        .map_err(|error| rest::store_error(ctx, error))?;
    let records = docs.iter().map(|doc| rest::record(ctx.account, ctx.table, doc)).collect();
    Ok(rest::Reply::List(rest::Page { records, has_next }))
}

impl Messaging {
    /// Development profile: the address becomes a sender of the account.
    pub(crate) async fn adopt_channel_sender(
        &self,
        store: &AccountStore,
        address: &str,
    ) -> Result<Sid, StoreError> {
        let mut batch = store.batch();
        let sid = insert_sender(address, &self.parts.clock, &mut batch);
        batch.run(
            "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
            vec![sid.into(), CLAIM.into(), address.into()],
        );
        store.commit(batch).await?;
        tracing::info!(account_sid = %store.account(), sender = %kernel::Redacted(address),
            "adopted a channel sender (development profile)");
        Ok(sid)
    }

    /// Where what a channel sender receives goes, as the sender says.
    pub(crate) async fn channel_route(
        &self,
        store: &AccountStore,
        sender: Sid,
    ) -> Result<Option<contracts::InboundRoute>, StoreError> {
        let Some(doc) = rest::load(store, KIND, "", &sender.to_string()).await? else {
            return Ok(None);
        };
        let webhook = doc.fields.get("webhook").cloned().unwrap_or(Json::Null);
        let text = |name: &str| webhook.get(name).and_then(Json::as_str).map(str::to_owned);
        let method = |name: &str| text(name).unwrap_or_else(|| "POST".to_owned());
        Ok(text("callback_url").map(|url| contracts::InboundRoute {
            url: Some(url),
            method: method("callback_method"),
            fallback_url: text("fallback_url"),
            fallback_method: method("fallback_method"),
            application: None,
        }))
    }

    /// Whether anything may be said to this user now, or only templates (63016).
    pub(crate) async fn is_window_open(
        &self,
        store: &AccountStore,
        sender: &str,
        user: &str,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT last_inbound FROM channel_session
                   WHERE account_sid = $1 AND sender = $2 AND address = $3";
        let row = store.point(sql, vec![sender.into(), user.into()]).await?;
        let now = self.parts.clock.now();
        Ok(row.is_some_and(|row| now.since(row.time(0)) < WINDOW))
    }
}

/// Adds the document of a sender that nobody has asked for by the API.
pub(crate) fn insert_sender(address: &str, clock: &Clock, batch: &mut AccountBatch) -> Sid {
    let (sid, now) = (clock.sid("XE"), clock.now());
    let mut fields = begun();
    fields.insert("sender_id".into(), address.into());
    rest::insert(batch, KIND, "", &sid.to_string(), &fields, now);
    batch.event("channels-sender.created", &sid.to_string(), now, "{}".into());
    sid
}

/// A user's message opens the window, or keeps it open.
pub(crate) fn open_window(sender: &str, user: &str, now: Timestamp, batch: &mut AccountBatch) {
    batch.run(
        "INSERT INTO channel_session (account_sid, sender, address, last_inbound)
         VALUES ($1, $2, $3, $4) ON CONFLICT (account_sid, sender, address)
         DO UPDATE SET last_inbound = excluded.last_inbound",
        vec![sender.into(), user.into(), now.into()],
    );
}

/// `messaging.twilio.com/v2/Indicators/Typing` (messaging §19).
///
/// Differs: it is an event (`message.typing`) and nothing more; the simulated phone shows neither
/// that somebody types nor that its message was read.
pub static TYPING: Resource<Messaging> = Resource {
    table: Table::product(
        "TypingIndicator",
        "messaging",
        "/v2/Indicators/Typing.json",
        "/v2/Indicators/Typing.json",
    )
    .collection()
    .fields(&[Field::new("success", Wire::Boolean)]),
    ops: &[Op::create(&[
        Param::one_of("channel", &["whatsapp"]).required(20001),
        Param::sid("messageId", &["SM", "MM"]).required(20001),
    ])
    .status(200)
    .by(|_, ctx| Box::pin(typing(ctx)))],
};

/// `messaging.twilio.com/v3/Indicators/Typing`: the indicator of RCS.
///
/// Differs: it is not supported; whoever asks is told (20001).
pub static RCS_TYPING: Resource<Messaging> = Resource {
    table: Table::product(
        "RcsTypingIndicator",
        "messaging",
        "/v3/Indicators/Typing.json",
        "/v3/Indicators/Typing.json",
    )
    .collection()
    .fields(&[Field::new("success", Wire::Boolean)]),
    ops: &[Op::create(&[
        Param::one_of("channel", &["RCS"]).required(20001),
        Param::sid("messageId", &["SM", "MM"]).required(20001),
        Param::text("from", 256).required(20001),
        Param::text("to", 256).required(20001),
        Param::one_of("event", &["START"]),
    ])
    .json()
    .by(|_, _| {
        let why = "channel 'RCS' is not supported by this version of Offhook; \
                   WhatsApp's indicators are at /v2/Indicators/Typing.json";
        Box::pin(async move { Err(ApiError::new(20001, why)) })
    })],
};

async fn typing(ctx: &Ctx) -> Result<rest::Reply, ApiError> {
    let sid = ctx.form.sid("messageId").expect("the table requires it");
    let found = crate::message::Message::load(&ctx.store, sid).await;
    let message = found.map_err(|error| rest::store_error(ctx, error))?;
    let is_theirs = message.as_ref().is_some_and(|message| {
        message.direction == "inbound" && message.to.starts_with("whatsapp:")
    });
    if !is_theirs {
        let why = format!("{sid} is no message that a WhatsApp user sent to this account");
        return Err(ApiError::new(20404, why));
    }
    let mut batch = ctx.store.batch();
    batch.event("message.typing", &sid.to_string(), ctx.now, "{}".into());
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    let mut record = rest::Record::new("");
    record.set("success", true);
    Ok(rest::Reply::Record(record))
}
