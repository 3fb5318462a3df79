//! Counts by day (sendgrid §10).

use kernel::Timestamp;
use serde_json::{Map, Value, json};
use store::AccountBatch;

use crate::fault::Fault;
use crate::wire::{Answer, Call, Route, route};

pub const ROUTES: &[Route] = &[
    route("GET", "/v3/stats", "stats.read", |_, c| Box::pin(list(c, false))),
    route("GET", "/v3/categories", "categories.read", |_, c| Box::pin(categories(c))),
    route("GET", "/v3/categories/stats", "categories.stats.read", |_, c| Box::pin(list(c, true))),
];

/// As the answers name them.
const METRICS: [&str; 16] = [
    "blocks",
    "bounce_drops",
    "bounces",
    "clicks",
    "deferred",
    "delivered",
    "invalid_emails",
    "opens",
    "processed",
    "requests",
    "spam_report_drops",
    "spam_reports",
    "unique_clicks",
    "unique_opens",
    "unsubscribe_drops",
    "unsubscribes",
];

const DAYS_MAX: usize = 366;

/// What an event adds to.
pub fn metrics(event: &str, is_block: bool) -> &'static [&'static str] {
    match event {
        "processed" => &["processed"],
        "delivered" => &["delivered"],
        "deferred" => &["deferred"],
        "bounce" if is_block => &["blocks"],
        "bounce" => &["bounces"],
        "open" => &["opens"],
        "click" => &["clicks"],
        "spamreport" => &["spam_reports"],
        "unsubscribe" | "group_unsubscribe" => &["unsubscribes"],
        _ => &[],
    }
}

/// Adds one to a count of all mail and of each category.
pub fn count(batch: &mut AccountBatch, categories: &[String], metric: &str, now: Timestamp) {
    for category in std::iter::once("").chain(categories.iter().map(String::as_str)) {
        batch.run(
            "INSERT INTO mail_stat (account_sid, day, category, metric, count)
             VALUES ($1, $2, $3, $4, 1) ON CONFLICT (account_sid, day, category, metric)
             DO UPDATE SET count = mail_stat.count + 1",
            vec![now.date().into(), category.into(), metric.into()],
        );
    }
}

fn day(call: &Call, name: &str) -> Result<Option<Timestamp>, Fault> {
    let Some(text) = call.query(name) else { return Ok(None) };
    let at = Timestamp::parse(text).ok().filter(|_| Timestamp::is_date_only(text));
    at.map(Some).ok_or_else(|| Fault::field(name, format!("{name} should be YYYY-MM-DD")))
}

/// The first day of the period that a day belongs to.
fn period(day: Timestamp, by: &str) -> String {
    match by {
        "month" => format!("{}-01", &day.date()[..7]),
        // 1970-01-01 was a Thursday; weeks begin on Sunday.
        "week" => {
            let days = day.as_seconds().div_euclid(86_400);
            let sunday = days - (days + 4).rem_euclid(7);
            Timestamp::from_seconds(sunday * 86_400).date()
        }
        _ => day.date(),
    }
}

async fn list(call: &Call, by_category: bool) -> Result<Answer, Fault> {
    let start = day(call, "start_date")?
        .ok_or_else(|| Fault::field("start_date", "start_date is required"))?;
    let end = day(call, "end_date")?.unwrap_or(call.now);
    let by = call.query("aggregated_by").unwrap_or("day");
    if !["day", "week", "month"].contains(&by) {
        return Err(Fault::field("aggregated_by", "aggregated_by must be day, week or month"));
    }
    let names: Vec<String> = match by_category {
        false => vec![String::new()],
        true => call.query_all("categories").into_iter().take(10).collect(),
    };
    if names.is_empty() {
        return Err(Fault::field("categories", "categories is required"));
    }
    let sql = "SELECT day, category, metric, count FROM mail_stat WHERE account_sid = $1
               AND day >= $2 AND day <= $3";
    let rows = call.store.query(sql, vec![start.date().into(), end.date().into()]).await?;
    let mut periods: Vec<String> = Vec::new();
    let mut at = start;
    while at.date() <= end.date() {
        let name = period(at, by);
        if periods.last() != Some(&name) {
            periods.push(name);
        }
        if periods.len() > DAYS_MAX {
            return Err(Fault::field("end_date", "at most a year can be read at once"));
        }
        at = at + std::time::Duration::from_secs(86_400);
    }
    let stats = periods.iter().map(|name| {
        let of = |category: &String| {
            let mut metrics: Map<String, Value> =
                METRICS.iter().map(|metric| ((*metric).to_owned(), json!(0))).collect();
            for row in rows.iter().filter(|row| row.text(1) == category) {
                let this = Timestamp::parse(row.text(0)).map(|day| period(day, by));
                if this.as_ref() == Ok(name)
                    && let Some(count) = metrics.get_mut(row.text(2))
                {
                    *count = json!(count.as_i64().unwrap_or(0) + row.int(3));
                }
            }
            match by_category {
                true => json!({"type": "category", "name": category, "metrics": metrics}),
                false => json!({"metrics": metrics}),
            }
        };
        json!({"date": name, "stats": names.iter().map(of).collect::<Vec<_>>()})
    });
    Ok(Answer::Json(200, stats.collect()))
}

async fn categories(call: &Call) -> Result<Answer, Fault> {
    let limit = call.number("limit", 50, 1..=1000)?;
    let offset = call.number("offset", 0, 0..=1_000_000)?;
    let sql = "SELECT DISTINCT category FROM mail_stat WHERE account_sid = $1 AND category <> ''
               ORDER BY category LIMIT $2 OFFSET $3";
    let rows = call.store.query(sql, vec![limit.into(), offset.into()]).await?;
    Ok(Answer::Json(200, rows.iter().map(|row| json!({"category": row.text(0)})).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_on_sundays_and_firsts() {
        let day = Timestamp::parse("2026-11-21").unwrap();
        assert_eq!(period(day, "day"), "2026-11-21");
        assert_eq!(period(day, "week"), "2026-11-15");
        assert_eq!(period(day, "month"), "2026-11-01");
    }
}
