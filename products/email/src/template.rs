//! Templates and their versions (sendgrid §3.1).

use kernel::Timestamp;
use serde_json::{Map, Value, json};
use store::{AccountStore, StoreError};

use crate::Email;
use crate::fault::Fault;
use crate::shelf::{self, Doc};
use crate::wire::{Answer, Call, Route, route};

const KIND: &str = "EmailTemplate";
const VERSION: &str = "EmailTemplateVersion";
const TEMPLATES_MAX: usize = 300;
const VERSIONS_MAX: usize = 300;
const TEXT_BYTES_MAX: usize = 1024 * 1024;

pub const ROUTES: &[Route] = &[
    route("GET", "/v3/templates", "templates.read", |_, c| Box::pin(list(c))),
    route("POST", "/v3/templates", "templates.create", |e, c| Box::pin(create(e, c))),
    route("GET", "/v3/templates/{id}", "templates.read", |_, c| Box::pin(fetch(c))),
    route("PATCH", "/v3/templates/{id}", "templates.update", |_, c| Box::pin(rename(c))),
    route("POST", "/v3/templates/{id}", "templates.create", |e, c| Box::pin(duplicate(e, c))),
    route("DELETE", "/v3/templates/{id}", "templates.delete", |_, c| Box::pin(delete(c))),
    route("POST", "/v3/templates/{id}/versions", "templates.versions.create", |e, c| {
        Box::pin(create_version(e, c))
    }),
    route("GET", "/v3/templates/{id}/versions/{vid}", "templates.versions.read", |_, c| {
        Box::pin(fetch_version(c))
    }),
    route("PATCH", "/v3/templates/{id}/versions/{vid}", "templates.versions.update", |_, c| {
        Box::pin(change_version(c))
    }),
    route("DELETE", "/v3/templates/{id}/versions/{vid}", "templates.versions.delete", |_, c| {
        Box::pin(delete_version(c))
    }),
    route(
        "POST",
        "/v3/templates/{id}/versions/{vid}/activate",
        "templates.versions.activate.create",
        |_, c| Box::pin(activate(c)),
    ),
];

/// The version that mails are made of.
#[derive(Clone, Debug)]
pub struct Version {
    pub template_name: String,
    pub subject: String,
    pub html: String,
    pub plain: String,
}

/// The active version of a template; `None` when there is no template, or it has none.
pub async fn active(store: &AccountStore, id: &str) -> Result<Option<Version>, StoreError> {
    let Some(template) = shelf::get(store, KIND, "", id).await? else { return Ok(None) };
    let versions = shelf::all(store, VERSION, id).await?;
    let text = |doc: &Doc, name: &str| doc.body[name].as_str().unwrap_or_default().to_owned();
    Ok(versions.iter().find(|doc| doc.body["active"] == 1).map(|doc| Version {
        template_name: text(&template, "name"),
        subject: text(doc, "subject"),
        html: text(doc, "html_content"),
        plain: text(doc, "plain_content"),
    }))
}

fn date(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S")
}

fn shown_version(template: &str, doc: &Doc) -> Value {
    let mut json = doc.body.clone();
    json["id"] = doc.id.as_str().into();
    json["template_id"] = template.into();
    json["updated_at"] = date(doc.updated).into();
    json["thumbnail_url"] = "".into();
    json["warnings"] = json!([]);
    json
}

async fn shown(call: &Call, doc: &Doc) -> Result<Value, Fault> {
    let versions = shelf::all(&call.store, VERSION, &doc.id).await?;
    let versions: Vec<_> = versions.iter().map(|version| shown_version(&doc.id, version)).collect();
    Ok(json!({
        "id": doc.id, "name": doc.body["name"], "generation": doc.body["generation"],
        "updated_at": date(doc.updated), "versions": versions,
    }))
}

fn name_of(body: &Map<String, Value>) -> Result<&str, Fault> {
    let name = body.get("name").and_then(Value::as_str);
    let name =
        name.filter(|name| (1..=100).contains(&name.chars().count()) && !name.contains('\0'));
    name.ok_or_else(|| Fault::field("name", "name must be a string of 1 to 100 characters"))
}

async fn load(call: &Call) -> Result<Doc, Fault> {
    shelf::get(&call.store, KIND, "", call.param("id")).await?.ok_or_else(Fault::not_found)
}

async fn list(call: &Call) -> Result<Answer, Fault> {
    let generations = call.query("generations").unwrap_or("legacy");
    let wanted: Vec<&str> = generations.split(',').collect();
    if !wanted.iter().all(|one| ["legacy", "dynamic"].contains(one)) {
        return Err(Fault::field("generations", "generations must be legacy, dynamic or both"));
    }
    let size = call.number("page_size", 200, 1..=200)?;
    let mut docs = shelf::all(&call.store, KIND, "").await?;
    docs.retain(|doc| doc.body["generation"].as_str().is_some_and(|one| wanted.contains(&one)));
    docs.sort_by_key(|doc| std::cmp::Reverse(doc.updated));
    let start: usize = match call.query("page_token") {
        None => 0,
        Some(token) => token
            .parse()
            .map_err(|_| Fault::field("page_token", "page_token is not one of ours"))?,
    };
    let count = docs.len();
    let size = usize::try_from(size).unwrap_or(200);
    let mut all = Vec::new();
    for doc in docs.iter().skip(start).take(size) {
        all.push(shown(call, doc).await?);
    }
    if call.query("page_size").is_none() {
        return Ok(Answer::Json(200, json!({"templates": all})));
    }
    let at = |start: usize| {
        format!(
            "https://api.sendgrid.com/v3/templates?generations={generations}&page_size={size}&page_token={start}"
        )
    };
    let mut metadata = json!({"self": at(start), "count": count});
    if start > 0 {
        metadata["prev"] = at(start.saturating_sub(size)).into();
    }
    if start + size < count {
        metadata["next"] = at(start + size).into();
    }
    Ok(Answer::Json(200, json!({"result": all, "_metadata": metadata})))
}

async fn create(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let body = call.object()?;
    let generation = body.get("generation").and_then(Value::as_str).unwrap_or("legacy");
    let id = match generation {
        "dynamic" => format!("d-{}", email.parts.clock.hex_token(32)),
        "legacy" => email.uuid(),
        _ => return Err(Fault::field("generation", "generation must be legacy or dynamic")),
    };
    let name = name_of(&body)?;
    if shelf::all(&call.store, KIND, "").await?.len() >= TEMPLATES_MAX {
        return Err(Fault::new(400, format!("there can be at most {TEMPLATES_MAX} templates")));
    }
    let mut batch = call.store.batch();
    shelf::insert(
        &mut batch,
        KIND,
        "",
        &id,
        &json!({"name": name, "generation": generation}),
        call.now,
    );
    call.store.commit(batch).await?;
    let json = json!({"id": id, "name": name, "generation": generation, "updated_at": date(call.now), "versions": []});
    Ok(Answer::Json(201, json))
}

async fn fetch(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call).await?;
    shown(call, &doc).await.map(|json| Answer::Json(200, json))
}

async fn rename(call: &Call) -> Result<Answer, Fault> {
    let mut doc = load(call).await?;
    doc.body["name"] = name_of(&call.object()?)?.into();
    doc.updated = call.now;
    let mut batch = call.store.batch();
    shelf::update(&mut batch, KIND, "", &doc, call.now);
    call.store.commit(batch).await?;
    shown(call, &doc).await.map(|json| Answer::Json(200, json))
}

async fn duplicate(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let from = load(call).await?;
    let body = call.optional_object()?;
    let name = match body.contains_key("name") {
        true => name_of(&body)?.to_owned(),
        false => format!("Duplicate: \"{}\"", from.body["name"].as_str().unwrap_or_default()),
    };
    let id = match from.body["generation"] == "dynamic" {
        true => format!("d-{}", email.parts.clock.hex_token(32)),
        false => email.uuid(),
    };
    let mut batch = call.store.batch();
    let copy = json!({"name": name, "generation": from.body["generation"]});
    shelf::insert(&mut batch, KIND, "", &id, &copy, call.now);
    for version in shelf::all(&call.store, VERSION, &from.id).await? {
        shelf::insert(&mut batch, VERSION, &id, &email.uuid(), &version.body, call.now);
    }
    call.store.commit(batch).await?;
    let doc = shelf::get(&call.store, KIND, "", &id).await?.ok_or_else(Fault::not_found)?;
    shown(call, &doc).await.map(|json| Answer::Json(201, json))
}

async fn delete(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call).await?;
    let mut batch = call.store.batch();
    shelf::remove(&mut batch, KIND, "", &doc.id);
    batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3",
        vec![VERSION.into(), doc.id.as_str().into()],
    );
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}

/// Takes over what a body sets, and reads dynamic texts as templates.
fn set(version: &mut Value, body: &Map<String, Value>, is_dynamic: bool) -> Result<(), Fault> {
    for (name, max) in [
        ("name", 100),
        ("subject", 255),
        ("html_content", TEXT_BYTES_MAX),
        ("plain_content", TEXT_BYTES_MAX),
    ] {
        let Some(value) = body.get(name).filter(|value| !value.is_null()) else { continue };
        let text = value.as_str().filter(|text| text.len() <= max && !text.contains('\0'));
        version[name] = text
            .ok_or_else(|| {
                Fault::field(name, format!("{name} must be a string of at most {max} bytes"))
            })?
            .into();
    }
    if let Some(active) = body.get("active") {
        let number = active
            .as_i64()
            .or_else(|| active.as_bool().map(i64::from))
            .filter(|number| (0..=1).contains(number));
        version["active"] =
            number.ok_or_else(|| Fault::field("active", "active must be 0 or 1"))?.into();
    }
    if let Some(editor) = body.get("editor") {
        let editor = editor.as_str().filter(|editor| ["code", "design"].contains(editor));
        version["editor"] =
            editor.ok_or_else(|| Fault::field("editor", "editor must be code or design"))?.into();
    }
    if let Some(generate) = body.get("generate_plain_content") {
        version["generate_plain_content"] = generate
            .as_bool()
            .ok_or_else(|| {
                Fault::field("generate_plain_content", "generate_plain_content must be a boolean")
            })?
            .into();
    }
    if let Some(data) = body.get("test_data").filter(|data| !data.is_null()) {
        let text = data
            .as_str()
            .filter(|text| text.is_empty() || serde_json::from_str::<Value>(text).is_ok());
        version["test_data"] = text
            .ok_or_else(|| Fault::field("test_data", "test_data must be JSON in a string"))?
            .into();
    }
    if is_dynamic {
        for name in ["subject", "html_content", "plain_content"] {
            handlebars::Template::parse(version[name].as_str().unwrap_or_default()).map_err(
                |error| Fault::field(name, format!("the template cannot be read: {error}")),
            )?;
        }
    }
    if version["generate_plain_content"] == true && !body.contains_key("plain_content") {
        version["plain_content"] = match is_dynamic {
            // Made of the rendered HTML.
            true => "".into(),
            false => mail::plain_text(version["html_content"].as_str().unwrap_or_default()).into(),
        };
    }
    Ok(())
}

fn is_dynamic(template: &Doc) -> bool {
    template.body["generation"] == "dynamic"
}

/// All other versions become inactive.
async fn only_active(
    call: &Call,
    batch: &mut store::AccountBatch,
    template: &str,
    id: &str,
) -> Result<(), Fault> {
    for mut other in shelf::all(&call.store, VERSION, template).await? {
        if other.id != id && other.body["active"] == 1 {
            other.body["active"] = 0.into();
            shelf::update(batch, VERSION, template, &other, call.now);
        }
    }
    Ok(())
}

async fn create_version(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let template = load(call).await?;
    let body = call.object()?;
    name_of(&body)?;
    let versions = shelf::all(&call.store, VERSION, &template.id).await?;
    if versions.len() >= VERSIONS_MAX {
        return Err(Fault::new(
            400,
            format!("a template can have at most {VERSIONS_MAX} versions"),
        ));
    }
    let mut version = json!({
        "name": "", "subject": "", "html_content": "", "plain_content": "",
        "generate_plain_content": true, "active": i32::from(versions.is_empty()), "editor": "code", "test_data": "",
    });
    set(&mut version, &body, is_dynamic(&template))?;
    let id = email.uuid();
    let mut batch = call.store.batch();
    if version["active"] == 1 {
        only_active(call, &mut batch, &template.id, &id).await?;
    }
    shelf::insert(&mut batch, VERSION, &template.id, &id, &version, call.now);
    call.store.commit(batch).await?;
    let doc = Doc { id, body: version, created: call.now, updated: call.now, version: 1 };
    Ok(Answer::Json(201, shown_version(&template.id, &doc)))
}

async fn load_version(call: &Call) -> Result<(Doc, Doc), Fault> {
    let template = load(call).await?;
    let version = shelf::get(&call.store, VERSION, &template.id, call.param("vid")).await?;
    Ok((template, version.ok_or_else(Fault::not_found)?))
}

async fn fetch_version(call: &Call) -> Result<Answer, Fault> {
    let (template, version) = load_version(call).await?;
    Ok(Answer::Json(200, shown_version(&template.id, &version)))
}

async fn save_version(call: &Call, template: &Doc, version: &mut Doc) -> Result<Answer, Fault> {
    let mut batch = call.store.batch();
    if version.body["active"] == 1 {
        only_active(call, &mut batch, &template.id, &version.id).await?;
    }
    shelf::update(&mut batch, VERSION, &template.id, version, call.now);
    call.store.commit(batch).await?;
    version.updated = call.now;
    Ok(Answer::Json(200, shown_version(&template.id, version)))
}

async fn change_version(call: &Call) -> Result<Answer, Fault> {
    let (template, mut version) = load_version(call).await?;
    set(&mut version.body, &call.object()?, is_dynamic(&template))?;
    save_version(call, &template, &mut version).await
}

async fn activate(call: &Call) -> Result<Answer, Fault> {
    let (template, mut version) = load_version(call).await?;
    version.body["active"] = 1.into();
    save_version(call, &template, &mut version).await
}

async fn delete_version(call: &Call) -> Result<Answer, Fault> {
    let (template, version) = load_version(call).await?;
    let mut batch = call.store.batch();
    shelf::remove(&mut batch, VERSION, &template.id, &version.id);
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}
