//! `/v2/Attempts` and `/v2/Attempts/Summary` (verify §9): sends, and how many were converted.

use kernel::{ApiError, Sid, SidGenerator, Timestamp};
use rest::{
    Access, Ctx, Cursor, Field, Form, Op, Page, Param, Record, Reply, Resource, Table, Wire,
};
use serde_json::{Value as Json, json};
use store::{Row, Value};

use crate::Verify;
use crate::faults::failed;

const CHANNELS: &[&str] = &["sms", "call", "email", "whatsapp", "rbm", "sna"];

const AFTER: Param = Param::date_time("DateCreatedAfter");
const BEFORE: Param = Param::date_time("DateCreatedBefore");
const COUNTRY: Param = Param::text("Country", 2);
const CHANNEL: Param = Param::one_of("Channel", CHANNELS);
const SERVICE: Param = Param::sid("VerifyServiceSid", &["VA"]);

const LIST: &[Param] = &[
    AFTER,
    BEFORE,
    Param::text("ChannelData.To", 254),
    COUNTRY,
    CHANNEL,
    SERVICE,
    Param::sid("VerificationSid", &["VE"]),
    Param::one_of("Status", &["converted", "unconverted"]),
];

const SUMMARIZE: &[Param] =
    &[SERVICE, AFTER, BEFORE, COUNTRY, CHANNEL, Param::text("DestinationPrefix", 16)];

const FIELDS: &[Field] = &[
    Field::sid("sid", &["VL"]),
    Field::sid("account_sid", &["AC"]),
    Field::sid("service_sid", &["VA"]),
    Field::sid("verification_sid", &["VE"]),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("conversion_status", Wire::Enum(&["converted", "unconverted"])),
    Field::new("channel", Wire::Enum(CHANNELS)),
    Field::new("price", Wire::Json),
    Field::new("channel_data", Wire::Json),
    Field::new("url", Wire::Url),
];

pub static ATTEMPT: Resource<Verify> = Resource {
    table: Table::product("VerificationAttempt", "verify", "/v2/Attempts", "/v2/Attempts/{Sid}")
        .key("attempts")
        .sid("VL")
        .access(Access::Keys("verify/attempts"))
        .fields(FIELDS),
    ops: &[
        Op::list(LIST).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
    ],
};

pub static SUMMARY: Resource<Verify> = Resource {
    table: Table::product("VerificationAttemptsSummary", "verify", "", "/v2/Attempts/Summary")
        .singleton()
        .access(Access::Keys("verify/attempts"))
        .fields(&[
            Field::new("total_attempts", Wire::Integer(0, i64::MAX)),
            Field::new("total_converted", Wire::Integer(0, i64::MAX)),
            Field::new("total_unconverted", Wire::Integer(0, i64::MAX)),
            Field::text("conversion_rate_percentage"),
            Field::new("url", Wire::Url),
        ]),
    ops: &[Op::fetch().params(SUMMARIZE).by(|_, ctx| Box::pin(summary(ctx)))],
};

const COLUMNS: &str = "sid, service_sid, verification_sid, to_addr, country, channel, converted,
    message_status, error_code, data, date_created, date_updated";

/// The conditions that the filters make, and their parameters from `$2` on.
fn conditions(form: &Form) -> (String, Vec<Value>) {
    let mut sql = String::from("account_sid = $1");
    let mut params: Vec<Value> = Vec::new();
    let mut add = |condition: &str, value: Value| {
        params.push(value);
        sql.push_str(&format!(" AND {condition} ${}", params.len() + 1));
    };
    for (name, column) in [
        ("ChannelData.To", "to_addr ="),
        ("Country", "country ="),
        ("Channel", "channel ="),
        ("VerifyServiceSid", "service_sid ="),
        ("VerificationSid", "verification_sid ="),
    ] {
        if let Some(value) = form.text(name) {
            add(column, value.into());
        }
    }
    // SIDs begin with their time, and are what the rows are sorted by.
    let bound = |at: Timestamp| Sid::from_parts("VL", SidGenerator::lower_bound(at));
    if let Some(after) = form.time("DateCreatedAfter") {
        add("sid >=", bound(after).into());
    }
    if let Some(before) = form.time("DateCreatedBefore") {
        add("sid <", bound(before).into());
    }
    if let Some(status) = form.text("Status") {
        add("converted =", i64::from(status == "converted").into());
    }
    if let Some(prefix) = form.text("DestinationPrefix") {
        let prefix = format!("+{}", prefix.trim_start_matches('+'));
        add("to_addr >=", prefix.as_str().into());
        add("to_addr <", format!("{prefix}\u{10ffff}").into());
    }
    (sql, params)
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let (mut sql, mut params) = conditions(&ctx.form);
    let order = match &ctx.page.cursor {
        Cursor::Offset => "DESC",
        Cursor::After(key) => {
            params.push(key.as_str().into());
            sql.push_str(&format!(" AND sid < ${}", params.len() + 1));
            "DESC"
        }
        Cursor::Before(key) => {
            params.push(key.as_str().into());
            sql.push_str(&format!(" AND sid > ${}", params.len() + 1));
            "ASC"
        }
    };
    let at = params.len() + 2;
    let next = at + 1;
    params.push(ctx.page.limit().into());
    params.push(ctx.page.offset().into());
    let sql = format!(
        "SELECT {COLUMNS} FROM verification_attempt WHERE {sql} ORDER BY sid {order}
         LIMIT ${at} OFFSET ${next}"
    );
    let rows = ctx.store.query(&sql, params).await.map_err(failed(ctx))?;
    let (rows, has_next) = ctx.page.cut(rows);
    let records = rows.iter().map(|row| record(ctx, row)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let sql =
        format!("SELECT {COLUMNS} FROM verification_attempt WHERE account_sid = $1 AND sid = $2");
    let row = ctx.store.point(&sql, vec![ctx.param("Sid").into()]).await.map_err(failed(ctx))?;
    let row = row.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(record(ctx, &row)))
}

// Differs: attempts have no price.
fn record(ctx: &Ctx, row: &Row) -> Record {
    let data: Json = serde_json::from_str(row.text(9)).unwrap_or(Json::Null);
    let converted = row.int(6) == 1;
    let error = row.opt_int(8).map(|code| code.to_string());
    let channel_data = json!({
        "verification_sid": row.text(2),
        "to": row.text(3),
        "status": if converted { "confirmed" } else { "unconfirmed" },
        "message_status": row.opt_text(7),
        "error_code": error,
        "country": row.text(4),
        "code_length": data["code_length"],
        "locale": data["locale"],
        "mcc": data["mcc"],
        "mnc": data["mnc"],
        "carrier": data["carrier"],
    });
    let mut record = Record::new(row.text(0));
    record
        .set("sid", row.text(0))
        .set("account_sid", ctx.account)
        .set("service_sid", row.text(1))
        .set("verification_sid", row.text(2))
        .set("date_created", row.time(10))
        .set("date_updated", row.time(11))
        .set("conversion_status", if converted { "converted" } else { "unconverted" })
        .set("channel", row.text(5))
        .set("channel_data", channel_data);
    record
}

async fn summary(ctx: &Ctx) -> Result<Reply, ApiError> {
    let (sql, params) = conditions(&ctx.form);
    let sql = format!(
        "SELECT COUNT(*), CAST(COALESCE(SUM(converted), 0) AS BIGINT)
         FROM verification_attempt WHERE {sql}"
    );
    let row = ctx.store.point(&sql, params).await.map_err(failed(ctx))?;
    let (total, converted) = row.map_or((0, 0), |row| (row.int(0), row.int(1)));
    let mut record = Record::at("", "");
    record
        .set("total_attempts", total)
        .set("total_converted", converted)
        .set("total_unconverted", total - converted)
        .set("conversion_rate_percentage", percentage(converted, total));
    Ok(Reply::Record(record))
}

/// Nine digits behind the point, cut off, without zeros that say nothing.
fn percentage(converted: i64, total: i64) -> String {
    if total == 0 {
        return "0".to_owned();
    }
    let nanos = i128::from(converted) * 100_000_000_000 / i128::from(total);
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_as_samples_show_them() {
        for (converted, total, text) in
            [(9, 11, "81.818181818"), (1, 1, "100"), (0, 3, "0"), (1, 8, "12.5"), (0, 0, "0")]
        {
            assert_eq!(percentage(converted, total), text);
        }
    }
}
