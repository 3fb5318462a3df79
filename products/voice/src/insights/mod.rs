//! `insights.twilio.com/v1`: what is known of calls and conferences afterwards
//! (messaging-adjacent §7).
//!
//! Everything is read from the records that calls leave anyway: the call, its events and alerts,
//! its conference. What nobody measures here (packets, jitter, carriers' names) is null, never
//! guessed. [`summary`] are calls, [`call`] one call's events and annotation, [`conference`]
//! conferences and who was in them.

mod call;
mod conference;
mod summary;

use std::time::Duration;

use kernel::{ApiError, Sid, Timestamp};
use rest::{Access, Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Value as Json, json};
use store::AccountStore;

use crate::Voice;

pub use call::{ANNOTATION, CALL, EVENTS, METRICS};
pub(crate) use conference::left;
pub use conference::{CONFERENCES, PARTICIPANTS};
pub use summary::{SUMMARIES, SUMMARY};

const ACCESS: Access = Access::Keys("insights/calls");
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How far back insights go: events are kept no longer.
const REACH: Duration = Duration::from_secs(30 * 24 * 3600);
const SETTINGS_KIND: &str = "InsightsSettings";
const THE_SETTINGS: &str = "settings";
const ADVANCED: &str = "advanced_features";

pub static SETTINGS: Resource<Voice> = Resource {
    table: Table::product("AccountSettings", "insights", "", "/v1/Voice/Settings")
        .singleton()
        .fields(&[
            Field::sid("account_sid", &["AC"]),
            Field::new("advanced_features", Wire::Boolean).empty("true"),
            Field::new("voice_trace", Wire::Boolean).empty("false"),
            Field::new("url", Wire::Url),
        ])
        .access(ACCESS),
    ops: &[
        Op::fetch()
            .params(&[Param::sid("SubaccountSid", &["AC"])])
            .by(|voice, ctx| Box::pin(settings(voice, ctx))),
        Op::update(&[
            Param::boolean("AdvancedFeatures"),
            Param::boolean("VoiceTrace"),
            Param::sid("SubaccountSid", &["AC"]),
        ])
        .by(|voice, ctx| Box::pin(set(voice, ctx))),
    ],
};

/// The store of the account that a request is about: its own, or a subaccount's that it names.
///
/// # Errors
/// 20404 for an account that is none of the caller's.
async fn store_of(voice: &Voice, ctx: &Ctx, param: &str) -> Result<AccountStore, ApiError> {
    let Some(wanted) = ctx.form.sid(param).filter(|wanted| *wanted != ctx.account) else {
        return Ok(ctx.store.clone());
    };
    let facts = voice.parts.accounts.facts(wanted).await;
    let facts = facts.map_err(|error| ApiError::new(20503, error.to_string()))?;
    match facts.is_some_and(|facts| facts.owner == ctx.account) {
        true => Ok(voice.parts.store.account(wanted)),
        false => Err(ApiError::new(20404, format!("{param}: {wanted} is none of your accounts"))),
    }
}

async fn stored_settings(ctx: &Ctx, store: &AccountStore) -> Result<Json, ApiError> {
    let found = rest::load(store, SETTINGS_KIND, "", THE_SETTINGS).await;
    let found = found.map_err(|error| rest::store_error(ctx, error))?;
    Ok(found.map_or(json!({}), |doc| Json::Object(doc.fields)))
}

fn shown_settings(account: Sid, settings: &Json) -> Reply {
    let mut record = Record::new("");
    record.set("account_sid", account);
    for name in [ADVANCED, "voice_trace"] {
        if let Some(value) = settings[name].as_bool() {
            record.set(if name == ADVANCED { ADVANCED } else { "voice_trace" }, value);
        }
    }
    Reply::Record(record)
}

async fn settings(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let store = store_of(voice, ctx, "SubaccountSid").await?;
    Ok(shown_settings(store.account(), &stored_settings(ctx, &store).await?))
}

async fn set(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let store = store_of(voice, ctx, "SubaccountSid").await?;
    let mut settings = stored_settings(ctx, &store).await?;
    for (param, name) in [("AdvancedFeatures", ADVANCED), ("VoiceTrace", "voice_trace")] {
        if let Some(value) = ctx.form.boolean(param) {
            settings[name] = value.into();
        }
    }
    let mut batch = store.batch();
    batch.run(
        "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created, date_updated,
         version) VALUES ($1, $2, '', $3, $4, $5, $5, 1)
         ON CONFLICT (account_sid, kind, parent, sid)
         DO UPDATE SET body = excluded.body, date_updated = excluded.date_updated",
        vec![
            SETTINGS_KIND.into(),
            THE_SETTINGS.into(),
            settings.to_string().into(),
            ctx.now.into(),
        ],
    );
    let account = store.account();
    ctx.audit(&mut batch, "insights-settings.updated", &account.to_string(), settings.clone());
    store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(shown_settings(account, &settings))
}

/// 17007 when the account has switched the advanced features off.
///
/// Differs: they are on until they are switched off, and nothing is charged for them.
async fn check_advanced(ctx: &Ctx) -> Result<(), ApiError> {
    match stored_settings(ctx, &ctx.store).await?[ADVANCED] == false {
        false => Ok(()),
        true => {
            let why = "Voice Insights Advanced Features are not enabled for this account";
            Err(ApiError::new(17007, why).with_status(401))
        }
    }
}

/// 17400 for a filter that is none of its choices.
fn check_choices(ctx: &Ctx) -> Result<(), ApiError> {
    for param in ctx.op.params {
        if let (Wire::Enum(choices), Some(given)) = (param.wire, ctx.form.text(param.name))
            && !choices.contains(&given)
        {
            let why = format!("{} '{given}' is none of {}", param.name, choices.join(", "));
            return Err(ApiError::new(17400, why));
        }
    }
    Ok(())
}

/// The moment that a filter names: ISO 8601, or so long before now: `4h`, `30m`, `2d`, `1w`.
///
/// # Errors
/// 17400 for what is neither.
fn moment(ctx: &Ctx, param: &str) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = ctx.form.text(param) else { return Ok(None) };
    moment_of(text, ctx.now).map(Some).ok_or_else(|| {
        let why = format!("{param} '{text}' is neither ISO 8601 nor a time ago, such as 4h");
        ApiError::new(17400, why)
    })
}

fn moment_of(text: &str, now: Timestamp) -> Option<Timestamp> {
    let unit = text.chars().next_back()?;
    let seconds: u64 = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        'w' => 7 * 24 * 3600,
        _ => return Timestamp::parse(text).ok(),
    };
    let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
    Some(before(now, Duration::from_secs(count.checked_mul(seconds)?)))
}

/// So long before; not before the epoch.
fn before(now: Timestamp, ago: Duration) -> Timestamp {
    let micros = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(micros).max(0))
}

/// Seconds between two moments, those that were begun counted.
fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    i64::try_from(to.since(from).as_millis().div_ceil(1000)).unwrap_or(i64::MAX)
}

/// What a page shows of a list in memory, and whether more follows; `key` is what pages by.
fn page<T>(ctx: &Ctx, all: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, bool) {
    let size = ctx.page.size as usize;
    let at = |wanted: &str| all.iter().position(|one| key(one) == wanted);
    let start = match &ctx.page.cursor {
        rest::Cursor::Offset => usize::try_from(ctx.page.offset()).unwrap_or(usize::MAX),
        rest::Cursor::After(wanted) => at(wanted).map_or(all.len(), |at| at + 1),
        rest::Cursor::Before(wanted) => at(wanted).unwrap_or(0).saturating_sub(size),
    };
    let has_next = all.len() > start.saturating_add(size);
    (all.into_iter().skip(start).take(size).collect(), has_next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_absolute_or_ago() {
        let now = Timestamp::parse("2026-05-10T12:00:00Z").unwrap();
        for (text, expected) in [
            ("0m", Some("2026-05-10T12:00:00Z")),
            ("30m", Some("2026-05-10T11:30:00Z")),
            ("4h", Some("2026-05-10T08:00:00Z")),
            ("2d", Some("2026-05-08T12:00:00Z")),
            ("1w", Some("2026-05-03T12:00:00Z")),
            ("2026-05-01T00:00:00Z", Some("2026-05-01T00:00:00Z")),
            ("4y", None),
            ("h", None),
            ("", None),
        ] {
            let found = moment_of(text, now).map(Timestamp::iso8601);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        assert_eq!(before(now, DAY).iso8601(), "2026-05-09T12:00:00Z");
    }
}
