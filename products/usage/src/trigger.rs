//! `/Usage/Triggers`: a callback when a counter passes a value (messaging-adjacent §1).

use kernel::{ApiError, Sid, Timestamp};
use rest::{
    Access, Ctx, Doc, Draft, Field, Op, Page, Param, Record, Reply, Resource, Table, Verb, Wire,
};
use store::{AccountStore, StoreError};

use crate::Usage;
use crate::category;
use crate::counter::{self, Counters, Millionths};
use crate::period::{self, Range};
use crate::watch;

pub(crate) const KIND: &str = "UsageTrigger";

/// Triggers of one account. Differs: Twilio's bound and its error are unpublished; here 20001 / 400.
const TRIGGERS_MAX: i64 = 1000;

const RECURRING: &[&str] = &["daily", "monthly", "yearly", "alltime"];
const TRIGGER_BY: &[&str] = &["count", "usage", "price"];

const CREATE: &[Param] = &[
    Param::url("CallbackUrl").required(20001),
    Param::text("TriggerValue", 32).required(20001),
    Param::text("UsageCategory", 128).required(20001),
    Param::method("CallbackMethod"),
    Param::text("FriendlyName", 64).code(20001),
    Param::one_of("Recurring", RECURRING),
    Param::one_of("TriggerBy", TRIGGER_BY).default("usage"),
];

const LIST: &[Param] = &[
    Param::one_of("Recurring", RECURRING),
    Param::one_of("TriggerBy", TRIGGER_BY),
    Param::text("UsageCategory", 128),
];

const UPDATE: &[Param] = &[
    Param::method("CallbackMethod"),
    Param::url("CallbackUrl"),
    Param::text("FriendlyName", 64).code(20001),
];

const FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::text("api_version").empty("\"2010-04-01\""),
    Field::new("callback_method", Wire::Method),
    Field::new("callback_url", Wire::Url),
    Field::text("current_value"),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_fired", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::text("friendly_name"),
    Field::new("recurring", Wire::Enum(RECURRING)),
    Field::sid("sid", &["UT"]),
    Field::new("trigger_by", Wire::Enum(TRIGGER_BY)),
    Field::text("trigger_value"),
    Field::text("uri"),
    Field::text("usage_category"),
    Field::text("usage_record_uri"),
];

pub static TRIGGER: Resource<Usage> = Resource {
    table: Table::v2010(
        KIND,
        "/2010-04-01/Accounts/{AccountSid}/Usage/Triggers",
        "/2010-04-01/Accounts/{AccountSid}/Usage/Triggers/{Sid}",
    )
    .key("usage_triggers")
    .sid("UT")
    .fields(FIELDS)
    .access(Access::Keys("usage/triggers")),
    ops: &[
        Op::create(CREATE).with(|_, ctx, draft| Box::pin(create(ctx, draft))),
        Op::list(LIST).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(UPDATE).with(|_, ctx, draft| Box::pin(update(ctx, draft))),
        Op::delete().with(|_, _, draft| {
            Box::pin(async move {
                watch::forget(draft);
                Ok(())
            })
        }),
    ],
};

/// What a trigger watches.
pub(crate) struct Watched {
    pub category: String,
    /// `count`, `usage` or `price`.
    pub by: String,
    /// `daily`, `monthly`, `yearly`; `None` for all time, of which it fires once.
    pub recurring: Option<String>,
}

impl Watched {
    pub fn of(text: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            category: text("usage_category").unwrap_or_default(),
            by: text("trigger_by").unwrap_or_default(),
            recurring: text("recurring").filter(|recurring| recurring != "alltime"),
        }
    }

    /// The days that count at `now`; a trigger that fired for their first does not again.
    pub fn period(&self, now: Timestamp) -> Range {
        let today = period::day(now);
        match self.recurring.as_deref() {
            Some("daily") => Range::one(today),
            Some("monthly") => Range::month(today, 0),
            Some("yearly") => Range::year(today, 0),
            _ => Range { first: jiff::civil::Date::ZERO, last: today },
        }
    }

    /// The counter's value in the period of `now`.
    pub async fn value(
        &self,
        store: &AccountStore,
        now: Timestamp,
    ) -> Result<Millionths, StoreError> {
        let period = self.period(now);
        let sum = Counters::read(store, period).await?.sum(&self.category, period);
        Ok(match (self.by.as_str(), self.category.as_str()) {
            ("price", _) | (_, "totalprice") => sum.micros,
            _ => sum.count.saturating_mul(1_000_000),
        })
    }

    /// The record that the trigger watches.
    pub fn record_uri(&self, account: Sid) -> String {
        let span = match self.recurring.as_deref() {
            Some("daily") => "/Today",
            Some("monthly") => "/ThisMonth",
            Some("yearly") => "/Yearly",
            _ => "",
        };
        let category = &self.category;
        format!("/2010-04-01/Accounts/{account}/Usage/Records{span}.json?Category={category}")
    }
}

fn watched(doc: &Doc) -> Watched {
    Watched::of(|field| doc.text(field).map(str::to_owned))
}

/// Checks what is watched, makes a relative value absolute, and promises the first look.
async fn create(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    check_room(ctx).await?;
    let watched = Watched::of(|field| draft.text(field).map(str::to_owned));
    if !category::ALL.contains(&watched.category.as_str()) {
        let why = format!("UsageCategory '{}' is no category of usage", watched.category);
        return Err(ApiError::new(20001, why));
    }
    let now = current(ctx, &watched).await?;
    let asked = draft.text("trigger_value").unwrap_or_default();
    // A plus sign that was not percent-encoded arrives as a space.
    let relative = asked.strip_prefix(['+', ' ']);
    let value = counter::parse(relative.unwrap_or(asked).trim());
    let value = match (value, relative) {
        (Some(more), Some(_)) => now.checked_add(more),
        (value, _) => value,
    };
    let Some(value) = value.filter(|value| *value > 0) else {
        let why = format!("TriggerValue '{asked}' is not a positive number such as 30 or +30");
        return Err(ApiError::new(20001, why));
    };
    draft.set("trigger_value", counter::decimal(value));
    draft.set("recurring", watched.recurring.clone());
    draft.set("usage_record_uri", watched.record_uri(ctx.account));
    draft.set("current_value", counter::decimal(now));
    watch::begin(draft, &ctx.clock);
    Ok(())
}

async fn check_room(ctx: &Ctx) -> Result<(), ApiError> {
    let sql = "SELECT count(*) FROM resource WHERE account_sid = $1 AND kind = $2";
    let row = ctx.store.point(sql, vec![KIND.into()]).await;
    let row = row.map_err(|error| rest::store_error(ctx, error))?;
    if row.is_some_and(|row| row.int(0) >= TRIGGERS_MAX) {
        let why = format!("The account has {TRIGGERS_MAX} usage triggers; delete one first");
        return Err(ApiError::new(20001, why));
    }
    Ok(())
}

async fn update(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    debug_assert_eq!(draft.verb, Verb::Update);
    let now = current(ctx, &Watched::of(|field| draft.text(field).map(str::to_owned))).await?;
    draft.set("current_value", counter::decimal(now));
    Ok(())
}

async fn current(ctx: &Ctx, watched: &Watched) -> Result<Millionths, ApiError> {
    let value = watched.value(&ctx.store, ctx.now).await;
    value.map_err(|error| rest::store_error(ctx, error))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = rest::load(&ctx.store, KIND, "", ctx.param("Sid")).await;
    let doc = doc.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(record(ctx, doc).await?))
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let filters = [
        ("Recurring", "recurring"),
        ("TriggerBy", "trigger_by"),
        ("UsageCategory", "usage_category"),
    ];
    let keep = |doc: &Doc| {
        filters.iter().all(|(param, field)| match ctx.form.text(param) {
            None => true,
            Some("alltime") => doc.text(field).is_none(),
            Some(wanted) => doc.text(field) == Some(wanted),
        })
    };
    let (docs, has_next) = rest::documents(ctx, KIND, "", keep)
        .await
        .map_err(|error| rest::store_error(ctx, error))?;
    let mut records = Vec::with_capacity(docs.len());
    for doc in docs {
        records.push(record(ctx, doc).await?);
    }
    Ok(Reply::List(Page { records, has_next }))
}

/// The trigger with the counter as it is now.
async fn record(ctx: &Ctx, mut doc: Doc) -> Result<Record, ApiError> {
    let now = current(ctx, &watched(&doc)).await?;
    doc.fields.insert("current_value".to_owned(), counter::decimal(now).into());
    Ok(rest::record(ctx.account, ctx.table, &doc))
}
