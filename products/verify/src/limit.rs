//! Limits that programs set (verify §6), and the counters under every limit of this product.
//!
//! A counter is a row with the end of its window; it grows in the commit of what it counts, and
//! only while it may, so that it holds across processes and restarts.
//!
//! Differs: windows are fixed, and begin with what is first counted in them.

use std::time::Duration;

use kernel::{ApiError, Timestamp};
use rest::{Access, Ctx, Draft, Field, Op, Param, Resource, Table, Wire};
use serde_json::Value as Json;
use store::{AccountBatch, AccountStore, StoreError};

use crate::Verify;
use crate::faults::{failed, invalid};
use crate::plan::strings;

const LIMIT: &str = "VerifyRateLimit";
const BUCKET: &str = "VerifyBucket";
/// Rate limits of a service (60207) and buckets of a rate limit (60210).
// Differs: Twilio's numbers are not documented.
const LIMITS_MAX: usize = 20;
const BUCKETS_MAX: usize = 10;
/// Longest key of a rate limit, in characters.
const KEY_MAX: usize = 256;
/// Counters that are forgotten with one that is counted.
const FORGOTTEN: i64 = 20;

pub static RATE_LIMIT: Resource<Verify> = Resource {
    table: Table::product(
        LIMIT,
        "verify",
        "/v2/Services/{ServiceSid}/RateLimits",
        "/v2/Services/{ServiceSid}/RateLimits/{Sid}",
    )
    .key("rate_limits")
    .sid("RK")
    .under(crate::service::KIND)
    .access(Access::Keys("verify/rate-limits"))
    .links(&[("buckets", "/Buckets")])
    .fields(&[
        Field::sid("sid", &["RK"]),
        Field::sid("service_sid", &["VA"]),
        Field::sid("account_sid", &["AC"]),
        Field::text("unique_name"),
        Field::text("description"),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
        Field::new("url", Wire::Url),
        Field::new("links", Wire::UriMap),
    ]),
    ops: &[
        Op::create(&[
            Param::text("UniqueName", 128).required(60200).code(60200),
            Param::text("Description", 1024).code(60200),
        ])
        .with(|_, ctx, draft| Box::pin(name_limit(ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[Param::text("Description", 1024).code(60200)]),
        Op::delete().with(|_, ctx, draft| {
            Box::pin(async {
                let parent = format!("{}/{}", ctx.param("ServiceSid"), draft.sid);
                draft.batch.run(
                    "DELETE FROM resource WHERE account_sid = $1 AND parent = $2",
                    vec![parent.into()],
                );
                Ok(())
            })
        }),
    ],
};

const BUCKET_PARAMS: [Param; 2] = [
    Param::integer("Max", 1, 1_000_000_000).code(60200),
    Param::integer("Interval", 1, 86_400 * 366).code(60200),
];

pub static BUCKET_RESOURCE: Resource<Verify> = Resource {
    table: Table::product(
        BUCKET,
        "verify",
        "/v2/Services/{ServiceSid}/RateLimits/{RateLimitSid}/Buckets",
        "/v2/Services/{ServiceSid}/RateLimits/{RateLimitSid}/Buckets/{Sid}",
    )
    .key("buckets")
    .sid("BL")
    .under(LIMIT)
    .access(Access::Keys("verify/rate-limits"))
    .fields(&[
        Field::sid("sid", &["BL"]),
        Field::sid("rate_limit_sid", &["RK"]),
        Field::sid("service_sid", &["VA"]),
        Field::sid("account_sid", &["AC"]),
        Field::new("max", Wire::Integer(1, i64::MAX)),
        Field::new("interval", Wire::Integer(1, i64::MAX)),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
        Field::new("url", Wire::Url),
    ]),
    ops: &[
        Op::create(&[BUCKET_PARAMS[0].required(60200), BUCKET_PARAMS[1].required(60200)])
            .with(|_, ctx, draft| Box::pin(check_bucket(ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&BUCKET_PARAMS).with(|_, ctx, draft| Box::pin(check_bucket(ctx, draft))),
        Op::delete(),
    ],
};

/// # Errors
/// 60209 for a name in another form, 60208 for one that is taken, 60207 for one too many.
async fn name_limit(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let service = ctx.param("ServiceSid");
    let name = draft.text("unique_name").unwrap_or_default().to_owned();
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        let why = "UniqueName may have letters, digits, dots, underscores and dashes";
        return Err(ApiError::new(60209, why));
    }
    let all = children(&ctx.store, LIMIT, service).await.map_err(failed(ctx))?;
    if all.iter().any(|(_, fields)| fields["unique_name"] == name.as_str()) {
        return Err(ApiError::new(60208, format!("The service has a rate limit {name}")));
    }
    if all.len() >= LIMITS_MAX {
        let why = format!("The service has {LIMITS_MAX} rate limits already");
        return Err(ApiError::new(60207, why));
    }
    draft.set("service_sid", service);
    draft.claim("verify-rate-limit", &format!("{service}/{name}"));
    Ok(())
}

/// # Errors
/// 60211 for an interval that another bucket has, 60210 for one bucket too many.
async fn check_bucket(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let (service, limit) = (ctx.param("ServiceSid"), ctx.param("RateLimitSid"));
    let all = children(&ctx.store, BUCKET, &format!("{service}/{limit}")).await;
    let mut all = all.map_err(failed(ctx))?;
    all.retain(|(sid, _)| *sid != draft.sid);
    if all.iter().any(|(_, fields)| Some(&fields["interval"]) == draft.fields.get("interval")) {
        let why = "The rate limit has a bucket with this Interval";
        return Err(ApiError::new(60211, why));
    }
    if all.len() >= BUCKETS_MAX {
        let why = format!("The rate limit has {BUCKETS_MAX} buckets already");
        return Err(ApiError::new(60210, why));
    }
    draft.set("service_sid", service);
    draft.set("rate_limit_sid", limit);
    Ok(())
}

/// The few documents below another, with their SIDs.
pub(crate) async fn children(
    store: &AccountStore,
    kind: &str,
    parent: &str,
) -> Result<Vec<(String, Json)>, StoreError> {
    let sql = "SELECT sid, body FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3
               ORDER BY sid LIMIT 300";
    let rows = store.query(sql, vec![kind.into(), parent.into()]).await?;
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or(Json::Null);
    Ok(rows.iter().map(|row| (row.text(0).to_owned(), parsed(row.text(1)))).collect())
}

/// A counter that may grow to `max` within `window`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counter {
    /// Of its row.
    name: String,
    /// What an answer calls it.
    pub limit: String,
    max: i64,
    window: Duration,
}

impl Counter {
    pub fn new(name: impl Into<String>, max: i64, window: Duration) -> Self {
        let name = name.into();
        Self { limit: name.clone(), name, max, window }
    }

    /// Counts in the commit of what is counted; a conflict when it is full.
    pub fn count(&self, batch: &mut AccountBatch, now: Timestamp) {
        batch.must(
            "INSERT INTO verify_counter (account_sid, name, count, expires_at)
             VALUES ($1, $2, 1, $4)
             ON CONFLICT (account_sid, name) DO UPDATE SET
             count = CASE WHEN verify_counter.expires_at <= $3 THEN 1
                     ELSE verify_counter.count + 1 END,
             expires_at = CASE WHEN verify_counter.expires_at <= $3 THEN $4
                          ELSE verify_counter.expires_at END
             WHERE verify_counter.expires_at <= $3 OR verify_counter.count < $5",
            vec![
                self.name.as_str().into(),
                now.into(),
                (now + self.window).into(),
                self.max.into(),
            ],
        );
    }

    /// How long it stays full, if it is.
    pub async fn full_for(
        &self,
        store: &AccountStore,
        now: Timestamp,
    ) -> Result<Option<Duration>, StoreError> {
        let sql = "SELECT expires_at FROM verify_counter WHERE account_sid = $1 AND name = $2
                   AND expires_at > $3 AND count >= $4";
        let params = vec![self.name.as_str().into(), now.into(), self.max.into()];
        Ok(store.point(sql, params).await?.map(|row| row.time(0).since(now)))
    }
}

/// Forgets some counters whose windows are over.
pub(crate) fn forget(batch: &mut AccountBatch, now: Timestamp) {
    batch.run(
        "DELETE FROM verify_counter WHERE account_sid = $1 AND name IN (SELECT name
         FROM verify_counter WHERE account_sid = $1 AND expires_at < $2
         ORDER BY expires_at LIMIT $3)",
        vec![now.into(), FORGOTTEN.into()],
    );
}

/// The first of `counters` that is full, with how long it stays so.
pub(crate) async fn first_full<'a>(
    store: &AccountStore,
    counters: &'a [Counter],
    now: Timestamp,
) -> Result<Option<(&'a Counter, Duration)>, StoreError> {
    for counter in counters {
        if let Some(wait) = counter.full_for(store, now).await? {
            return Ok(Some((counter, wait)));
        }
    }
    Ok(None)
}

/// The counters that the `RateLimits` of a start name.
///
/// # Errors
/// 60200 for what is no object of strings, and for a limit that the service does not have.
pub(crate) async fn named(ctx: &Ctx, service: &str) -> Result<Vec<Counter>, ApiError> {
    let Some(text) = ctx.form.text("RateLimits") else { return Ok(Vec::new()) };
    let json = serde_json::from_str(text).unwrap_or(Json::Null);
    let keys = strings("RateLimits", &json)?;
    let known = children(&ctx.store, LIMIT, service).await.map_err(failed(ctx))?;
    let mut counters = Vec::new();
    for (name, key) in keys {
        let found = known.iter().find(|(_, fields)| fields["unique_name"] == name.as_str());
        let Some((sid, _)) = found else {
            return Err(invalid("RateLimits", &format!("the service has no rate limit {name}")));
        };
        if key.chars().count() > KEY_MAX {
            let why = format!("the key of {name} is longer than {KEY_MAX} characters");
            return Err(invalid("RateLimits", &why));
        }
        let buckets = children(&ctx.store, BUCKET, &format!("{service}/{sid}")).await;
        for (bucket, fields) in buckets.map_err(failed(ctx))? {
            let seconds = fields["interval"].as_u64().unwrap_or(1);
            counters.push(Counter {
                name: format!("limit/{bucket}/{key}"),
                limit: name.clone(),
                max: fields["max"].as_i64().unwrap_or(1),
                window: Duration::from_secs(seconds),
            });
        }
    }
    Ok(counters)
}

/// 20429 / 429 with the headers that say which limit and how long.
pub(crate) fn refusal(ctx: &Ctx, limit: &str, wait: Duration) -> ApiError {
    ctx.answer_header("retry-after", wait.as_secs().max(1).to_string());
    ctx.answer_header("twilio-reached-rate-limit", limit);
    ApiError::new(20429, "Too many requests")
}
