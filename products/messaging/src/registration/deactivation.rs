//! `/v1/Deactivations` (compliance §14): numbers that were given up on a day.

use std::time::Duration;

use kernel::{ApiError, Timestamp};
use rest::{Access, Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};

use crate::Messaging;

const DAY: Duration = Duration::from_secs(86_400);

/// How far back days are known (30113).
// Differs: Twilio's number of days is unconfirmed.
const DAYS_KEPT: u32 = 90;

pub static DEACTIVATION: Resource<Messaging> = Resource {
    table: Table::product("Deactivation", "messaging", "", "/v1/Deactivations")
        .singleton()
        .fields(&[Field::new("redirect_to", Wire::Url)]),
    ops: &[Op::fetch()
        .status(307)
        .params(&[Param::new("Date", Wire::Date).code(30115)])
        .by(|_, ctx| Box::pin(async move { redirect(ctx) }))],
};

/// The file, which needs no credential, as the one that Twilio redirects to.
pub static FILE: Resource<Messaging> = Resource {
    table: Table::product("DeactivationFile", "messaging", "", "/v1/Deactivations/{Date}")
        .singleton()
        .access(Access::Public),
    ops: &[Op::fetch().by(|_, ctx| Box::pin(async move { file(ctx) }))],
};

/// Without a Date: yesterday's.
fn redirect(ctx: &Ctx) -> Result<Reply, ApiError> {
    let date = match ctx.form.text("Date") {
        Some(text) => known_day(text, ctx.now)?.date(),
        None => days_before(ctx.now, 1).date(),
    };
    let location = format!("{}/v1/Deactivations/{date}", ctx.base);
    let mut record = Record::new("");
    record.set("redirect_to", location.as_str());
    Ok(Reply::RecordAt { location, record })
}

fn file(ctx: &Ctx) -> Result<Reply, ApiError> {
    let day = known_day(ctx.param("Date"), ctx.now)?;
    let body = deactivated(day).into_bytes();
    Ok(Reply::Bytes { content_type: "text/plain".into(), body })
}

/// # Errors
/// 30115 unless it is `YYYY-MM-DD`; 30114 for a day that is not over; 30113 for one too far back.
fn known_day(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    let day = Timestamp::parse(text).ok().filter(|_| Timestamp::is_date_only(text));
    let Some(day) = day else {
        return Err(ApiError::new(30115, format!("Date '{text}' is not of the form YYYY-MM-DD")));
    };
    if day > days_before(now, 1) {
        let why = format!("The day {text} is not over: the last file is yesterday's");
        return Err(ApiError::new(30114, why));
    }
    if day < days_before(now, DAYS_KEPT) {
        let why = format!("The day {text} is more than {DAYS_KEPT} days ago");
        return Err(ApiError::new(30113, why));
    }
    Ok(day)
}

/// Midnight of the day this many days before.
fn days_before(now: Timestamp, days: u32) -> Timestamp {
    let micros = 86_400_000_000;
    let midnight = now.as_micros().div_euclid(micros) * micros;
    Timestamp::from_micros(midnight - i64::from(days) * micros)
}

/// One number per line.
///
// Differs: the simulated network gives up three fictional numbers a day, chosen by the date.
fn deactivated(day: Timestamp) -> String {
    const AREAS: [u32; 3] = [212, 312, 415];
    let day = u64::try_from(day.as_micros()).unwrap_or(0) / DAY.as_micros() as u64;
    let line = |(at, area): (usize, u32)| {
        format!("+1{area}55501{:02}\n", (day * 7 + at as u64 * 31) % 100)
    };
    AREAS.into_iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_known_for_a_while() {
        let now = Timestamp::parse("2026-04-01T12:00:00Z").unwrap();
        for (text, code) in [
            ("2026-03-31", None),
            ("2026-01-01", None),
            ("2025-12-31", Some(30113)),
            ("2026-04-01", Some(30114)),
            ("2027-01-01", Some(30114)),
            ("03/31/2026", Some(30115)),
            ("2026-03-31T00:00:00Z", Some(30115)),
            ("", Some(30115)),
        ] {
            let found = known_day(text, now).err().map(|error| error.code);
            assert_eq!(found, code, "{text}");
        }
    }

    #[test]
    fn a_day_has_its_numbers() {
        let day = Timestamp::parse("2026-03-31").unwrap();
        let numbers = deactivated(day);
        assert_eq!(numbers, deactivated(day));
        assert_ne!(numbers, deactivated(Timestamp::parse("2026-03-30").unwrap()));
        assert_eq!(numbers.lines().count(), 3);
        assert!(numbers.lines().all(|line| line.len() == 12 && line.starts_with("+1")));
    }
}
