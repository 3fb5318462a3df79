//! `/Usage/Records` and its spans (messaging-adjacent §1).

use jiff::civil::Date;
use kernel::ApiError;
use rest::{Access, Ctx, Cursor, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json};

use crate::Usage;
use crate::category;
use crate::counter::{Counters, decimal};
use crate::period::{self, Cut, Range};

const LIST: &[Param] = &[
    Param::text("Category", 128),
    Param::new("StartDate", Wire::Day),
    Param::new("EndDate", Wire::Day),
    // Differs: accepted, but only the account's own usage is shown.
    Param::boolean("IncludeSubaccounts"),
];

const FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::text("api_version"),
    Field::text("as_of"),
    Field::text("category"),
    Field::text("count"),
    Field::text("count_unit"),
    Field::text("description"),
    Field::new("end_date", Wire::Date),
    // A string on the wire, whatever the definitions say.
    Field::new("price", Wire::Number),
    Field::text("price_unit"),
    Field::new("start_date", Wire::Date),
    Field::new("subresource_uris", Wire::UriMap),
    Field::text("uri"),
    Field::text("usage"),
    Field::text("usage_unit"),
];

macro_rules! records {
    ($($name:literal $path:literal $span:ident),* $(,)?) => {
        /// One collection for each span.
        pub static RECORDS: &[&Resource<Usage>] = &[$(&Resource {
            table: Table::v2010(
                $name,
                concat!("/2010-04-01/Accounts/{AccountSid}/Usage/Records", $path),
                "",
            )
            .collection()
            .key("usage_records")
            .fields(FIELDS)
            .access(Access::Keys("usage/records")),
            ops: &[Op::list(LIST).by(|_, ctx| Box::pin(list(ctx, Span::$span)))],
        }),*];
    };
}

records! {
    "UsageRecord" "" AllTime,
    "UsageRecordAllTime" "/AllTime" AllTime,
    "UsageRecordDaily" "/Daily" Daily,
    "UsageRecordLastMonth" "/LastMonth" LastMonth,
    "UsageRecordMonthly" "/Monthly" Monthly,
    "UsageRecordThisMonth" "/ThisMonth" ThisMonth,
    "UsageRecordToday" "/Today" Today,
    "UsageRecordYearly" "/Yearly" Yearly,
    "UsageRecordYesterday" "/Yesterday" Yesterday,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    AllTime,
    Daily,
    Monthly,
    Yearly,
    LastMonth,
    ThisMonth,
    Today,
    Yesterday,
}

/// One record for each category and part of the range; what was not used is zero.
async fn list(ctx: &Ctx, span: Span) -> Result<Reply, ApiError> {
    let (range, cut) = asked(ctx, span).await?;
    let wanted = ctx.form.text("Category");
    // Differs: of a category that is unknown there are no records.
    let categories: Vec<&str> = match wanted {
        None => category::ALL.to_vec(),
        Some(wanted) => category::ALL.iter().copied().filter(|known| *known == wanted).collect(),
    };
    let width = categories.len() as u64;
    let total = range.count(cut) * width;
    let start = first_row(ctx)?.min(total);
    let end = start.saturating_add(u64::from(ctx.page.size)).min(total);
    if start == end {
        return Ok(Reply::List(Page::default()));
    }
    let (newest, oldest) = (range.part(cut, start / width), range.part(cut, (end - 1) / width));
    let seen = Range { first: oldest.first, last: newest.last };
    let counters =
        Counters::read(&ctx.store, seen).await.map_err(|error| rest::store_error(ctx, error))?;
    let records = (start..end).map(|row| {
        let part = range.part(cut, row / width);
        let at = usize::try_from(row % width).unwrap_or_default();
        record(ctx, categories[at], part, &counters).with_cursor(row.to_string())
    });
    Ok(Reply::List(Page { records: records.collect(), has_next: end < total }))
}

/// The range that the request asks for, and how it is cut.
async fn asked(ctx: &Ctx, span: Span) -> Result<(Range, Cut), ApiError> {
    let today = period::day(ctx.now);
    let given = |name: &str| match ctx.form.text(name) {
        None => Ok(None),
        Some(text) => match period::parse(text, today) {
            Some(day) => Ok(Some(day)),
            None => {
                let why = format!("{name} '{text}' is neither YYYY-MM-DD nor like -30days");
                Err(ApiError::new(20001, why))
            }
        },
    };
    let (first, last) = (given("StartDate")?, given("EndDate")?);
    let (default, cut) = match span {
        Span::AllTime => (None, Cut::Whole),
        Span::Daily => (None, Cut::Days),
        Span::Monthly => (None, Cut::Months),
        Span::Yearly => (None, Cut::Years),
        Span::Today => (Some(Range::one(today)), Cut::Whole),
        Span::Yesterday => (Some(Range::one(today.yesterday().unwrap_or(Date::MIN))), Cut::Whole),
        Span::ThisMonth => (Some(Range { last: today, ..Range::month(today, 0) }), Cut::Whole),
        Span::LastMonth => (Some(Range::month(today, 1)), Cut::Whole),
    };
    // A span with a name is that span, whatever dates come with it.
    let range = match default {
        Some(range) => range,
        None => Range {
            first: match first {
                Some(first) => first,
                None => first_day(ctx).await?.unwrap_or(today),
            },
            last: last.unwrap_or(today),
        },
    };
    Ok((range, cut))
}

/// The first day on which anything was billed.
async fn first_day(ctx: &Ctx) -> Result<Option<Date>, ApiError> {
    let sql = "SELECT min(day) FROM spend WHERE account_sid = $1";
    let row = ctx.store.point(sql, vec![]).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(row.and_then(|row| row.opt_text(0)?.parse().ok()))
}

/// The first row of the page; a page token holds the number of a row.
fn first_row(ctx: &Ctx) -> Result<u64, ApiError> {
    let number = |key: &str| {
        key.parse::<u64>().map_err(|_| ApiError::new(21481, format!("PageToken '{key}' is none")))
    };
    Ok(match &ctx.page.cursor {
        Cursor::Offset => ctx.page.offset().unsigned_abs(),
        Cursor::After(key) => number(key)?.saturating_add(1),
        Cursor::Before(key) => number(key)?.saturating_sub(u64::from(ctx.page.size)),
    })
}

fn record(ctx: &Ctx, category: &str, part: Range, counters: &Counters) -> Record {
    let sum = counters.sum(category, part);
    let (count_unit, usage_unit) = category::units(category);
    let price = decimal(sum.micros);
    let (count, usage) = match category {
        "totalprice" => (None, price.clone()),
        // Differs: Twilio counts segments as usage where this counts messages.
        _ => (Some(sum.count.to_string()), sum.count.to_string()),
    };
    let (first, last) = (part.first.to_string(), part.last.to_string());
    let base = format!("/2010-04-01/Accounts/{}/Usage/Records", ctx.account);
    let mut record = Record::new("");
    record
        .set("account_sid", ctx.account)
        .set("api_version", "2010-04-01")
        .set("as_of", ctx.now.format("%Y-%m-%dT%H:%M:%S+00:00"))
        .set("category", category)
        .set("count", count)
        .set("count_unit", count_unit)
        .set("description", category::description(category))
        .set("end_date", last.as_str())
        .set("price", price)
        .set("price_unit", "usd")
        .set("start_date", first.as_str())
        .set("subresource_uris", spans(&base, category))
        .set("uri", format!("{base}.json?Category={category}&StartDate={first}&EndDate={last}"))
        .set("usage", usage)
        .set("usage_unit", usage_unit);
    record
}

fn spans(base: &str, category: &str) -> Json {
    let spans = [
        ("all_time", "AllTime"),
        ("daily", "Daily"),
        ("last_month", "LastMonth"),
        ("monthly", "Monthly"),
        ("this_month", "ThisMonth"),
        ("today", "Today"),
        ("yearly", "Yearly"),
        ("yesterday", "Yesterday"),
    ];
    let uri = |(name, path): (&str, &str)| {
        (name.to_owned(), format!("{base}/{path}.json?Category={category}").into())
    };
    Json::Object(Map::from_iter(spans.map(uri)))
}
