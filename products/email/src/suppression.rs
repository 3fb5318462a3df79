//! Who is not written to any more (sendgrid §6).

use kernel::Timestamp;
use serde_json::{Value, json};
use store::{AccountBatch, AccountStore, StoreError};

use crate::fault::Fault;
use crate::group;
use crate::letter::Letter;
use crate::wire::{Answer, Call, Route, route};

pub const ROUTES: &[Route] = &[
    route("GET", "/v3/suppression/bounces", "suppression.bounces.read", |_, c| {
        Box::pin(list(c, "bounces"))
    }),
    route("DELETE", "/v3/suppression/bounces", "suppression.bounces.delete", |_, c| {
        Box::pin(clear(c, "bounces"))
    }),
    route("GET", "/v3/suppression/bounces/{email}", "suppression.bounces.read", |_, c| {
        Box::pin(one(c, "bounces"))
    }),
    route("DELETE", "/v3/suppression/bounces/{email}", "suppression.bounces.delete", |_, c| {
        Box::pin(remove(c, "bounces"))
    }),
    route("GET", "/v3/suppression/blocks", "suppression.blocks.read", |_, c| {
        Box::pin(list(c, "blocks"))
    }),
    route("DELETE", "/v3/suppression/blocks", "suppression.blocks.delete", |_, c| {
        Box::pin(clear(c, "blocks"))
    }),
    route("GET", "/v3/suppression/blocks/{email}", "suppression.blocks.read", |_, c| {
        Box::pin(one(c, "blocks"))
    }),
    route("DELETE", "/v3/suppression/blocks/{email}", "suppression.blocks.delete", |_, c| {
        Box::pin(remove(c, "blocks"))
    }),
    route("GET", "/v3/suppression/invalid_emails", "suppression.invalid_emails.read", |_, c| {
        Box::pin(list(c, "invalid"))
    }),
    route(
        "DELETE",
        "/v3/suppression/invalid_emails",
        "suppression.invalid_emails.delete",
        |_, c| Box::pin(clear(c, "invalid")),
    ),
    route(
        "GET",
        "/v3/suppression/invalid_emails/{email}",
        "suppression.invalid_emails.read",
        |_, c| Box::pin(one(c, "invalid")),
    ),
    route(
        "DELETE",
        "/v3/suppression/invalid_emails/{email}",
        "suppression.invalid_emails.delete",
        |_, c| Box::pin(remove(c, "invalid")),
    ),
    route("GET", "/v3/suppression/spam_reports", "suppression.spam_reports.read", |_, c| {
        Box::pin(list(c, "spam"))
    }),
    route("DELETE", "/v3/suppression/spam_reports", "suppression.spam_reports.delete", |_, c| {
        Box::pin(clear(c, "spam"))
    }),
    route(
        "GET",
        "/v3/suppression/spam_reports/{email}",
        "suppression.spam_reports.read",
        |_, c| Box::pin(one(c, "spam")),
    ),
    route(
        "DELETE",
        "/v3/suppression/spam_reports/{email}",
        "suppression.spam_reports.delete",
        |_, c| Box::pin(remove(c, "spam")),
    ),
    route("GET", "/v3/suppression/unsubscribes", "suppression.unsubscribes.read", |_, c| {
        Box::pin(list(c, "global"))
    }),
    route("POST", "/v3/asm/suppressions/global", "asm.suppressions.global.create", |_, c| {
        Box::pin(add_global(c))
    }),
    route("GET", "/v3/asm/suppressions/global/{email}", "asm.suppressions.global.read", |_, c| {
        Box::pin(global(c))
    }),
    route(
        "DELETE",
        "/v3/asm/suppressions/global/{email}",
        "asm.suppressions.global.delete",
        |_, c| Box::pin(remove(c, "global")),
    ),
];

/// Addresses of one request.
pub const EMAILS_MAX: usize = 1000;

/// Puts an address on a list; who is on it stays since when they are.
pub fn add(
    batch: &mut AccountBatch,
    list: &str,
    email: &str,
    now: Timestamp,
    reason: &str,
    status: &str,
) {
    let reason: String = reason.chars().take(2000).collect();
    batch.run(
        "INSERT INTO mail_suppression (account_sid, list, email, created, reason, status)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account_sid, list, email) DO NOTHING",
        vec![
            list.into(),
            email.to_lowercase().into(),
            now.as_seconds().into(),
            reason.into(),
            status.into(),
        ],
    );
}

pub fn take_off(batch: &mut AccountBatch, list: &str, email: &str) {
    batch.run(
        "DELETE FROM mail_suppression WHERE account_sid = $1 AND list = $2 AND email = $3",
        vec![list.into(), email.to_lowercase().into()],
    );
}

pub async fn has(store: &AccountStore, list: &str, email: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM mail_suppression WHERE account_sid = $1 AND list = $2 AND email = $3";
    Ok(store.point(sql, vec![list.into(), email.to_lowercase().into()]).await?.is_some())
}

/// The lists that an address is on.
pub async fn lists(store: &AccountStore, email: &str) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT list FROM mail_suppression WHERE account_sid = $1 AND email = $2 LIMIT 1000";
    let rows = store.query(sql, vec![email.to_lowercase().into()]).await?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

/// Why a mail is not sent to an address, and what counts it; `None` when it is sent.
pub async fn reason(
    store: &AccountStore,
    email: &str,
    letter: &Letter,
) -> Result<Option<(&'static str, &'static str)>, StoreError> {
    let lists = lists(store, email).await?;
    let group = letter.asm.as_ref().map(|asm| group::list_of(asm.group_id));
    let bypasses = |name: &str| letter.enables("mail", name) == Some(true);
    Ok(decide(&lists, group.as_deref(), bypasses))
}

/// The decision: bounces first, blocks never (sendgrid §6).
fn decide(
    lists: &[String],
    group: Option<&str>,
    bypasses: impl Fn(&str) -> bool,
) -> Option<(&'static str, &'static str)> {
    if bypasses("bypass_list_management") {
        return None;
    }
    let on = |list: &str| lists.iter().any(|known| known == list);
    let rows = [
        (on("bounces"), "bypass_bounce_management", ("Bounced Address", "bounce_drops")),
        (on("invalid"), "bypass_bounce_management", ("Invalid", "invalid_emails")),
        (on("spam"), "bypass_spam_management", ("Spam Reporting Address", "spam_report_drops")),
        (
            on("global") || group.is_some_and(on),
            "bypass_unsubscribe_management",
            ("Unsubscribed Address", "unsubscribe_drops"),
        ),
    ];
    rows.into_iter()
        .find(|(is_on, bypass, _)| *is_on && !bypasses(bypass))
        .map(|(_, _, found)| found)
}

fn shown(list: &str, row: &store::Row) -> Value {
    let mut json = json!({"created": row.int(1), "email": row.text(0)});
    match list {
        "bounces" | "blocks" => {
            json["reason"] = row.text(2).into();
            json["status"] = row.text(3).into();
        }
        "invalid" => json["reason"] = row.text(2).into(),
        "spam" => json["ip"] = Value::Null,
        _ => {}
    }
    json
}

async fn list(call: &Call, list: &str) -> Result<Answer, Fault> {
    let start = call.number("start_time", 0, 0..=i64::MAX)?;
    let end = call.number("end_time", i64::MAX, 0..=i64::MAX)?;
    let limit = call.number("limit", 500, 1..=500)?;
    let offset = call.number("offset", 0, 0..=10_000_000)?;
    let email = call.query("email").unwrap_or_default().to_lowercase();
    let sql = "SELECT email, created, reason, status FROM mail_suppression WHERE account_sid = $1
               AND list = $2 AND created >= $3 AND created <= $4
               AND (CAST($5 AS TEXT) = '' OR email LIKE '%' || CAST($5 AS TEXT) || '%')
               ORDER BY created DESC, email LIMIT $6 OFFSET $7";
    let params =
        vec![list.into(), start.into(), end.into(), email.into(), limit.into(), offset.into()];
    let rows = call.store.query(sql, params).await?;
    Ok(Answer::Json(200, rows.iter().map(|row| shown(list, row)).collect()))
}

async fn find(call: &Call, list: &str) -> Result<Option<Value>, Fault> {
    let sql = "SELECT email, created, reason, status FROM mail_suppression WHERE account_sid = $1
               AND list = $2 AND email = $3";
    let row =
        call.store.point(sql, vec![list.into(), call.param("email").to_lowercase().into()]).await?;
    Ok(row.map(|row| shown(list, &row)))
}

async fn one(call: &Call, list: &str) -> Result<Answer, Fault> {
    let found = find(call, list).await?;
    Ok(Answer::Json(200, found.into_iter().collect()))
}

async fn remove(call: &Call, list: &str) -> Result<Answer, Fault> {
    if find(call, list).await?.is_none() {
        return Err(Fault::not_found());
    }
    let mut batch = call.store.batch();
    take_off(&mut batch, list, call.param("email"));
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}

/// `{delete_all: true}` or `{emails: […]}`.
async fn clear(call: &Call, list: &str) -> Result<Answer, Fault> {
    let body = call.object()?;
    let mut batch = call.store.batch();
    let everything = body.get("delete_all").and_then(Value::as_bool) == Some(true);
    match (everything, body.get("emails")) {
        (true, None) => {
            batch.run(
                "DELETE FROM mail_suppression WHERE account_sid = $1 AND list = $2",
                vec![list.into()],
            );
        }
        (false, Some(emails)) => {
            for email in emails_of(emails, "emails")? {
                take_off(&mut batch, list, &email);
            }
        }
        _ => return Err(Fault::field("emails", "give either delete_all: true or emails")),
    }
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}

/// A list of addresses of a body.
pub fn emails_of(value: &Value, field: &str) -> Result<Vec<String>, Fault> {
    let bad = || {
        Fault::field(
            field,
            format!("{field} must be an array of 1 to {EMAILS_MAX} email addresses"),
        )
    };
    let all =
        value.as_array().filter(|all| (1..=EMAILS_MAX).contains(&all.len())).ok_or_else(bad)?;
    let email =
        |value: &Value| value.as_str().filter(|text| mail::is_address(text)).map(str::to_lowercase);
    all.iter().map(|value| email(value).ok_or_else(bad)).collect()
}

async fn add_global(call: &Call) -> Result<Answer, Fault> {
    let body = call.object()?;
    let emails =
        emails_of(body.get("recipient_emails").unwrap_or(&Value::Null), "recipient_emails")?;
    let mut batch = call.store.batch();
    for email in &emails {
        add(&mut batch, "global", email, call.now, "", "");
    }
    call.store.commit(batch).await?;
    Ok(Answer::Json(201, json!({"recipient_emails": emails})))
}

async fn global(call: &Call) -> Result<Answer, Fault> {
    let is_on = has(&call.store, "global", call.param("email")).await?;
    let json = if is_on {
        json!({"recipient_email": call.param("email").to_lowercase()})
    } else {
        json!({})
    };
    Ok(Answer::Json(200, json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_decide_unless_bypassed() {
        let on = |lists: &[&str], group: Option<&str>, bypass: &str| {
            let lists: Vec<_> = lists.iter().map(|list| (*list).to_owned()).collect();
            decide(&lists, group, |name| name == bypass).map(|(reason, _)| reason)
        };
        assert_eq!(on(&[], None, ""), None);
        assert_eq!(on(&["blocks"], None, ""), None);
        assert_eq!(on(&["bounces", "spam"], None, ""), Some("Bounced Address"));
        assert_eq!(
            on(&["bounces", "spam"], None, "bypass_bounce_management"),
            Some("Spam Reporting Address")
        );
        assert_eq!(on(&["bounces", "spam"], None, "bypass_list_management"), None);
        assert_eq!(on(&["group:7"], None, ""), None);
        assert_eq!(on(&["group:7"], Some("group:7"), ""), Some("Unsubscribed Address"));
        assert_eq!(on(&["global"], Some("group:7"), "bypass_unsubscribe_management"), None);
    }
}
