//! Unsubscribe groups and their members (sendgrid §6, `asm`).

use serde_json::{Map, Value, json};
use store::{AccountStore, StoreError};

use crate::fault::Fault;
use crate::shelf::{self, Doc};
use crate::wire::{Answer, Call, Route, route};
use crate::{Email, suppression};

const KIND: &str = "EmailGroup";
const GROUPS_MAX: usize = 200;

pub const ROUTES: &[Route] = &[
    route("GET", "/v3/asm/groups", "asm.groups.read", |_, c| Box::pin(list(c))),
    route("POST", "/v3/asm/groups", "asm.groups.create", |e, c| Box::pin(create(e, c))),
    route("GET", "/v3/asm/groups/{id}", "asm.groups.read", |_, c| Box::pin(fetch(c))),
    route("PATCH", "/v3/asm/groups/{id}", "asm.groups.update", |_, c| Box::pin(change(c))),
    route("DELETE", "/v3/asm/groups/{id}", "asm.groups.delete", |_, c| Box::pin(delete(c))),
    route("GET", "/v3/asm/groups/{id}/suppressions", "asm.groups.suppressions.read", |_, c| {
        Box::pin(members(c))
    }),
    route("POST", "/v3/asm/groups/{id}/suppressions", "asm.groups.suppressions.create", |_, c| {
        Box::pin(add(c))
    }),
    route(
        "POST",
        "/v3/asm/groups/{id}/suppressions/search",
        "asm.groups.suppressions.read",
        |_, c| Box::pin(search(c)),
    ),
    route(
        "DELETE",
        "/v3/asm/groups/{id}/suppressions/{email}",
        "asm.groups.suppressions.delete",
        |_, c| Box::pin(remove(c)),
    ),
    route("GET", "/v3/asm/suppressions", "asm.suppressions.read", |_, c| Box::pin(everyone(c))),
    route("GET", "/v3/asm/suppressions/{email}", "asm.suppressions.read", |_, c| {
        Box::pin(groups_of(c))
    }),
];

/// The list of a group's members.
pub fn list_of(id: i64) -> String {
    format!("group:{id}")
}

pub async fn exists(store: &AccountStore, id: i64) -> Result<bool, StoreError> {
    Ok(shelf::get(store, KIND, "", &id.to_string()).await?.is_some())
}

fn number(doc: &Doc) -> i64 {
    doc.id.parse().unwrap_or(0)
}

async fn shown(call: &Call, doc: &Doc) -> Result<Value, Fault> {
    let sql = "SELECT count(*) FROM mail_suppression WHERE account_sid = $1 AND list = $2";
    let count =
        call.store.point(sql, vec![list_of(number(doc)).into()]).await?.map_or(0, |row| row.int(0));
    Ok(json!({
        "id": number(doc), "name": doc.body["name"], "description": doc.body["description"],
        "is_default": doc.body["is_default"], "unsubscribes": count,
    }))
}

async fn load(call: &Call) -> Result<Doc, Fault> {
    shelf::get(&call.store, KIND, "", call.param("id")).await?.ok_or_else(Fault::not_found)
}

async fn list(call: &Call) -> Result<Answer, Fault> {
    let wanted = call.query_all("id");
    let mut all = Vec::new();
    for doc in shelf::all(&call.store, KIND, "").await? {
        if wanted.is_empty() || wanted.contains(&doc.id) {
            all.push(shown(call, &doc).await?);
        }
    }
    Ok(Answer::Json(200, all.into()))
}

async fn fetch(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call).await?;
    shown(call, &doc).await.map(|json| Answer::Json(200, json))
}

/// Takes over what a body sets; the name must be nobody else's.
async fn set(
    call: &Call,
    doc: &mut Value,
    body: &Map<String, Value>,
    own: &str,
) -> Result<(), Fault> {
    for (name, max) in [("name", 30), ("description", 100)] {
        let Some(value) = body.get(name) else { continue };
        let text = value
            .as_str()
            .filter(|text| (1..=max).contains(&text.chars().count()) && !text.contains('\0'));
        doc[name] = text
            .ok_or_else(|| {
                Fault::field(name, format!("{name} must be a string of 1 to {max} characters"))
            })?
            .into();
    }
    if let Some(value) = body.get("is_default") {
        doc["is_default"] = value
            .as_bool()
            .ok_or_else(|| Fault::field("is_default", "is_default must be a boolean"))?
            .into();
    }
    let all = shelf::all(&call.store, KIND, "").await?;
    match all.iter().any(|other| other.id != own && other.body["name"] == doc["name"]) {
        true => Err(Fault::field("name", "there is a group of this name")),
        false => Ok(()),
    }
}

async fn create(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let body = call.object()?;
    let mut doc = json!({"name": "", "description": "", "is_default": false});
    set(call, &mut doc, &body, "").await?;
    if doc["name"] == "" {
        return Err(Fault::field("name", "name is required"));
    }
    if shelf::all(&call.store, KIND, "").await?.len() >= GROUPS_MAX {
        return Err(Fault::new(400, format!("there can be at most {GROUPS_MAX} groups")));
    }
    // Numbers as programs expect them; the row refuses one that is taken.
    let id = 10_000 + email.parts.clock.random() % 10_000_000;
    let mut batch = call.store.batch();
    shelf::insert(&mut batch, KIND, "", &id.to_string(), &doc, call.now);
    call.store.commit(batch).await?;
    doc["id"] = id.into();
    doc["unsubscribes"] = 0.into();
    Ok(Answer::Json(201, doc))
}

async fn change(call: &Call) -> Result<Answer, Fault> {
    let mut doc = load(call).await?;
    let id = doc.id.clone();
    set(call, &mut doc.body, &call.object()?, &id).await?;
    let mut batch = call.store.batch();
    shelf::update(&mut batch, KIND, "", &doc, call.now);
    call.store.commit(batch).await?;
    // 201, as SendGrid answers it.
    shown(call, &doc).await.map(|json| Answer::Json(201, json))
}

async fn delete(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call).await?;
    let mut batch = call.store.batch();
    shelf::remove(&mut batch, KIND, "", &doc.id);
    batch.run(
        "DELETE FROM mail_suppression WHERE account_sid = $1 AND list = $2",
        vec![list_of(number(&doc)).into()],
    );
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}

async fn emails(call: &Call, doc: &Doc) -> Result<Vec<String>, Fault> {
    let sql = "SELECT email FROM mail_suppression WHERE account_sid = $1 AND list = $2 ORDER BY email LIMIT 10000";
    let rows = call.store.query(sql, vec![list_of(number(doc)).into()]).await?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

async fn members(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call).await?;
    Ok(Answer::Json(200, json!(emails(call, &doc).await?)))
}

async fn add(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call).await?;
    let body = call.object()?;
    let emails = suppression::emails_of(
        body.get("recipient_emails").unwrap_or(&Value::Null),
        "recipient_emails",
    )?;
    let mut batch = call.store.batch();
    for email in &emails {
        suppression::add(&mut batch, &list_of(number(&doc)), email, call.now, "", "");
    }
    call.store.commit(batch).await?;
    Ok(Answer::Json(201, json!({"recipient_emails": emails})))
}

async fn search(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call).await?;
    let body = call.object()?;
    let wanted = suppression::emails_of(
        body.get("recipient_emails").unwrap_or(&Value::Null),
        "recipient_emails",
    )?;
    let mut found = emails(call, &doc).await?;
    found.retain(|email| wanted.contains(email));
    Ok(Answer::Json(200, json!(found)))
}

async fn remove(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call).await?;
    let mut batch = call.store.batch();
    suppression::take_off(&mut batch, &list_of(number(&doc)), call.param("email"));
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}

async fn everyone(call: &Call) -> Result<Answer, Fault> {
    let groups = shelf::all(&call.store, KIND, "").await?;
    let sql = "SELECT list, email, created FROM mail_suppression WHERE account_sid = $1
               AND list LIKE 'group:%' ORDER BY created DESC, email LIMIT 10000";
    let rows = call.store.query(sql, vec![]).await?;
    let rows = rows.iter().filter_map(|row| {
        let id = row.text(0).strip_prefix("group:")?;
        let group = groups.iter().find(|group| group.id == id)?;
        Some(json!({"email": row.text(1), "group_id": number(group), "group_name": group.body["name"], "created_at": row.int(2)}))
    });
    Ok(Answer::Json(200, rows.collect()))
}

async fn groups_of(call: &Call) -> Result<Answer, Fault> {
    let lists = suppression::lists(&call.store, call.param("email")).await?;
    let groups = shelf::all(&call.store, KIND, "").await?;
    let rows = groups.iter().map(|group| {
        json!({
            "id": number(group), "name": group.body["name"], "description": group.body["description"],
            "is_default": group.body["is_default"], "suppressed": lists.contains(&list_of(number(group))),
        })
    });
    Ok(Answer::Json(200, json!({"suppressions": rows.collect::<Vec<_>>()})))
}
