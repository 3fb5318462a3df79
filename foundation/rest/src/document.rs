//! The generic verbs: a resource that needs no behaviour is a JSON document.

use kernel::{ApiError, Sid, Timestamp};
use serde_json::{Map, Value as Json};
use store::{AccountBatch, AccountStore, Row, StoreError};

use crate::Ctx;
use crate::audit::changes;
use crate::form::{Form, parse_boolean};
use crate::paging::Cursor;
use crate::reply::{Page, Record, Reply, Val};
use crate::table::{BoxFuture, Param, Table, Verb, Wire};

/// A stored document.
#[derive(Clone, Debug)]
pub struct Doc {
    pub sid: String,
    /// Field name to value, as the table's params typed them.
    pub fields: Map<String, Json>,
    pub date_created: Timestamp,
    pub date_updated: Timestamp,
    pub version: i64,
}

impl Doc {
    /// The text of a field that is set.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Json::as_str).filter(|text| !text.is_empty())
    }
}

/// A document about to be written; a hook may check it, complete it, and add to its commit.
pub struct Draft {
    pub verb: Verb,
    pub sid: String,
    pub fields: Map<String, Json>,
    /// What was there before; `None` at creation.
    pub previous: Option<Doc>,
    pub batch: AccountBatch,
    revealed: Vec<(String, Json)>,
    moved_to: Option<Sid>,
    afterwards: Vec<Box<dyn FnOnce() + Send>>,
}

impl Draft {
    /// Does `what` when the document is committed, and not at all if it is not.
    pub fn afterwards(&mut self, what: impl FnOnce() + Send + 'static) {
        self.afterwards.push(Box::new(what));
    }

    fn new(verb: Verb, sid: String, fields: Map<String, Json>, batch: AccountBatch) -> Self {
        Self {
            verb,
            sid,
            fields,
            previous: None,
            batch,
            revealed: Vec::new(),
            moved_to: None,
            afterwards: Vec::new(),
        }
    }

    /// Hands the document to another account with this update.
    pub fn move_to(&mut self, account: Sid) {
        self.moved_to = Some(account);
    }

    /// Puts a value into this answer and into nothing that is stored.
    pub fn reveal(&mut self, field: &str, value: impl Into<Json>) {
        self.revealed.push((field.to_owned(), value.into()));
    }

    /// The text of a field that is set.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Json::as_str).filter(|text| !text.is_empty())
    }

    pub fn set(&mut self, field: &str, value: impl Into<Json>) {
        self.fields.insert(field.to_owned(), value.into());
    }

    /// Claims `value` for this document; the commit fails as a duplicate if taken.
    pub fn claim(&mut self, name: &str, value: &str) {
        self.batch.run(
            "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
            vec![self.sid.as_str().into(), name.into(), value.into()],
        );
    }
}

const COLUMNS: &str = "sid, body, date_created, date_updated, version";

/// Times a conditional write is decided again before the caller is told 20409.
const DECISIONS_MAX: usize = 4;

/// One document by SID.
pub async fn load(
    store: &AccountStore,
    kind: &str,
    parent: &str,
    sid: &str,
) -> Result<Option<Doc>, StoreError> {
    let sql = "SELECT sid, body, date_created, date_updated, version FROM resource
               WHERE account_sid = $1 AND kind = $2 AND parent = $3 AND sid = $4";
    let row = store.point(sql, vec![kind.into(), parent.into(), sid.into()]).await?;
    Ok(row.map(doc))
}

/// Adds a new document to the batch.
pub fn insert(
    batch: &mut AccountBatch,
    kind: &str,
    parent: &str,
    sid: &str,
    fields: &Map<String, Json>,
    now: Timestamp,
) {
    batch.run(
        "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created, date_updated,
         version) VALUES ($1, $2, $3, $4, $5, $6, $6, 1)",
        vec![
            kind.into(),
            parent.into(),
            sid.into(),
            Json::Object(fields.clone()).to_string().into(),
            now.into(),
        ],
    );
}

/// Gives a document new fields, for workers; the commit conflicts when somebody else changed it
/// since it was read.
pub fn revise(
    batch: &mut AccountBatch,
    kind: &str,
    parent: &str,
    doc: &Doc,
    fields: &Map<String, Json>,
    now: Timestamp,
) {
    let account = batch.account();
    replace(batch, kind, parent, doc, fields, now, account);
}

fn replace(
    batch: &mut AccountBatch,
    kind: &str,
    parent: &str,
    doc: &Doc,
    fields: &Map<String, Json>,
    now: Timestamp,
    account: Sid,
) {
    batch.must(
        "UPDATE resource SET body = $5, date_updated = $6, version = $7 + 1, account_sid = $8
         WHERE account_sid = $1 AND kind = $2 AND parent = $3 AND sid = $4 AND version = $7",
        vec![
            kind.into(),
            parent.into(),
            doc.sid.as_str().into(),
            Json::Object(fields.clone()).to_string().into(),
            now.into(),
            doc.version.into(),
            account.into(),
        ],
    );
}

/// A page of the documents that `keep` keeps, newest first.
pub async fn page(
    ctx: &Ctx,
    kind: &str,
    parent: &str,
    keep: impl Fn(&Doc) -> bool,
) -> Result<(Vec<Doc>, bool), StoreError> {
    let request = &ctx.page;
    let (bound, order) = match &request.cursor {
        Cursor::Offset => (String::new(), "DESC"),
        Cursor::After(key) => (key.clone(), "DESC"),
        Cursor::Before(key) => (key.clone(), "ASC"),
    };
    let mut skip = request.offset();
    let mut kept = Vec::new();
    let mut bound = bound;
    // Filters of the long tail are applied here, chunk by chunk, until the page is full.
    loop {
        let limit = request.limit().max(200);
        let beyond = match (bound.is_empty(), order) {
            (true, _) => "",
            (_, "DESC") => "AND sid < $5",
            _ => "AND sid > $5",
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3
             {beyond} ORDER BY sid {order} LIMIT $4"
        );
        let mut params = vec![kind.into(), parent.into(), limit.into()];
        if !bound.is_empty() {
            params.push(bound.as_str().into());
        }
        let rows = ctx.store.query(&sql, params).await?;
        let exhausted = (rows.len() as i64) < limit;
        for doc in rows.into_iter().map(doc) {
            bound.clone_from(&doc.sid);
            if !keep(&doc) {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            kept.push(doc);
            if kept.len() as i64 == request.limit() {
                return Ok(request.cut(kept));
            }
        }
        if exhausted {
            return Ok(request.cut(kept));
        }
    }
}

/// The document as a record of `table`.
pub fn record(account: Sid, table: &Table, doc: &Doc) -> Record {
    let last = last_param(table);
    let mut record = Record::at(last, &doc.sid);
    for field in table.fields {
        match field.name {
            "sid" => record.set("sid", doc.sid.as_str()),
            "account_sid" => record.set("account_sid", account),
            "date_created" => record.set("date_created", doc.date_created),
            "date_updated" => record.set("date_updated", doc.date_updated),
            name => match doc.fields.get(name) {
                Some(Json::Null) => record.set(name, Val::Null),
                Some(value) => record.set(name, value.clone()),
                None => continue,
            },
        };
    }
    record
}

/// What has its word before a document is committed.
pub(crate) trait DraftHook: Sync {
    fn apply<'d>(&'d self, draft: &'d mut Draft) -> BoxFuture<'d, Result<(), ApiError>>;
}

/// Nothing to say.
pub(crate) struct NoHook;

impl DraftHook for NoHook {
    fn apply<'d>(&'d self, _: &'d mut Draft) -> BoxFuture<'d, Result<(), ApiError>> {
        Box::pin(async { Ok(()) })
    }
}

/// The generic verb of `ctx.op`; `hook` has its word before the commit.
pub(crate) async fn run(ctx: &Ctx, hook: &dyn DraftHook) -> Result<Reply, ApiError> {
    let kind = ctx.table.name;
    let parent = parent(ctx);
    let sid = ctx.param(last_param(ctx.table)).to_owned();
    check_parent(ctx, &parent).await?;
    match ctx.op.verb {
        Verb::List => {
            let (docs, has_next) =
                page(ctx, kind, &parent, |doc| matches_filters(ctx.op.params, &ctx.form, doc))
                    .await
                    .map_err(|error| store_error(ctx, error))?;
            let records = docs.iter().map(|doc| record(ctx.account, ctx.table, doc)).collect();
            Ok(Reply::List(Page { records, has_next }))
        }
        Verb::Fetch => {
            let doc = existing(ctx, &parent, &sid).await?;
            Ok(Reply::Record(record(ctx.account, ctx.table, &doc)))
        }
        Verb::Create => {
            let mut fields = Map::new();
            for param in ctx.op.params {
                if let Some(default) = param.default {
                    fields.insert(field_name(param.name), typed(param, default));
                }
            }
            // Without a prefix the product's hook names it.
            let sid = match ctx.table.sid_prefix {
                "" => String::new(),
                prefix => ctx.clock.sid(prefix).to_string(),
            };
            let doc = create(ctx, &parent, sid, fields, hook).await?;
            Ok(Reply::Record(record(ctx.account, ctx.table, &doc)))
        }
        Verb::Update => {
            for _ in 0..DECISIONS_MAX {
                let doc = existing(ctx, &parent, &sid).await?;
                if let Some((account, doc)) = update(ctx, &parent, doc, hook).await? {
                    let record = record(account, ctx.table, &doc);
                    return Ok(Reply::Record(record.with_path("AccountSid", &account.to_string())));
                }
            }
            Err(ApiError::new(20409, format!("{kind} {sid} is being changed by others; try again")))
        }
        Verb::Delete => {
            let doc = existing(ctx, &parent, &sid).await?;
            let fields = doc.fields.clone();
            let mut draft = Draft::new(Verb::Delete, sid.clone(), fields, ctx.store.batch());
            draft.previous = Some(doc);
            hook.apply(&mut draft).await?;
            draft.batch.run(
                "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3
                 AND sid = $4",
                vec![kind.into(), parent.as_str().into(), sid.as_str().into()],
            );
            if !ctx.table.borrowed_sids {
                draft.batch.run(
                    "DELETE FROM claim WHERE account_sid = $1 AND sid = $2",
                    vec![sid.as_str().into()],
                );
            }
            announce(ctx, &mut draft, "deleted");
            ctx.store.commit(draft.batch).await.map_err(|error| store_error(ctx, error))?;
            draft.afterwards.into_iter().for_each(|what| what());
            Ok(Reply::Empty)
        }
    }
}

async fn create(
    ctx: &Ctx,
    parent: &str,
    sid: String,
    mut fields: Map<String, Json>,
    hook: &dyn DraftHook,
) -> Result<Doc, ApiError> {
    let kind = ctx.table.name;
    apply(&mut fields, ctx.op.params, &ctx.form);
    let mut draft = Draft::new(Verb::Create, sid, fields, ctx.store.batch());
    hook.apply(&mut draft).await?;
    insert(&mut draft.batch, kind, parent, &draft.sid, &draft.fields, ctx.now);
    announce(ctx, &mut draft, "created");
    ctx.store.commit(draft.batch).await.map_err(|error| store_error(ctx, error))?;
    draft.afterwards.into_iter().for_each(|what| what());
    draft.fields.extend(draft.revealed);
    Ok(Doc {
        sid: draft.sid,
        fields: draft.fields,
        date_created: ctx.now,
        date_updated: ctx.now,
        version: 1,
    })
}

/// `None` when somebody else changed the document in between.
async fn update(
    ctx: &Ctx,
    parent: &str,
    doc: Doc,
    hook: &dyn DraftHook,
) -> Result<Option<(Sid, Doc)>, ApiError> {
    let kind = ctx.table.name;
    let mut fields = doc.fields.clone();
    apply(&mut fields, ctx.op.params, &ctx.form);
    let mut draft = Draft::new(Verb::Update, doc.sid.clone(), fields, ctx.store.batch());
    draft.previous = Some(doc.clone());
    hook.apply(&mut draft).await?;
    let account = draft.moved_to.unwrap_or(ctx.account);
    replace(&mut draft.batch, kind, parent, &doc, &draft.fields, ctx.now, account);
    announce(ctx, &mut draft, "updated");
    match ctx.store.commit(draft.batch).await {
        Ok(_) => {}
        Err(StoreError::Conflict) => return Ok(None),
        Err(error) => return Err(store_error(ctx, error)),
    }
    draft.afterwards.into_iter().for_each(|what| what());
    let doc = Doc { fields: draft.fields, date_updated: ctx.now, version: doc.version + 1, ..doc };
    Ok(Some((account, doc)))
}

/// The document, adopted if its table and the profile allow; else 20404.
async fn existing(ctx: &Ctx, parent: &str, sid: &str) -> Result<Doc, ApiError> {
    let found = load(&ctx.store, ctx.table.name, parent, sid).await;
    if let Some(doc) = found.map_err(|error| store_error(ctx, error))? {
        return Ok(doc);
    }
    let adoptable = ctx.table.adoptable && ctx.development && !ctx.is_test();
    if !adoptable || !Sid::is_form(ctx.table.sid_prefix, sid) {
        return Err(ctx.not_found());
    }
    let mut fields = Map::new();
    fields.insert("friendly_name".into(), format!("Adopted {}", ctx.table.name).into());
    let mut batch = ctx.store.batch();
    insert(&mut batch, ctx.table.name, parent, sid, &fields, ctx.now);
    ctx.store.commit(batch).await.map_err(|error| store_error(ctx, error))?;
    ctx.announce_adoption(sid);
    Ok(Doc {
        sid: sid.to_owned(),
        fields,
        date_created: ctx.now,
        date_updated: ctx.now,
        version: 1,
    })
}

/// Says what was done, by whom, and what it changed.
fn announce(ctx: &Ctx, draft: &mut Draft, what: &str) {
    let event = format!("{}.{what}", field_name(ctx.table.name).replace('_', "-"));
    let previous = draft.previous.as_ref().map(|doc| &doc.fields);
    let updated = (draft.verb != Verb::Delete).then_some(&draft.fields);
    let changes = changes(previous, updated);
    ctx.audit(&mut draft.batch, &event, &draft.sid, changes);
}

/// The fields that the given parameters set.
pub fn fields_of(params: &[Param], form: &Form) -> Map<String, Json> {
    let mut fields = Map::new();
    apply(&mut fields, params, form);
    fields
}

/// What the given parameters make of the fields; an empty value clears.
fn apply(fields: &mut Map<String, Json>, params: &[Param], form: &Form) {
    for param in params.iter().filter(|param| form.has(param.name)) {
        let value = if param.repeats {
            form.list(param.name).into_iter().map(|value| typed(param, value)).collect()
        } else {
            typed(param, form.raw(param.name).unwrap_or_default())
        };
        fields.insert(field_name(param.name), value);
    }
}

fn typed(param: &Param, value: &str) -> Json {
    match param.wire {
        Wire::Boolean => parse_boolean(value).map_or(Json::Null, Json::Bool),
        Wire::Integer(..) => value.trim().parse::<i64>().map_or(Json::Null, Json::from),
        Wire::Number => value.trim().parse::<f64>().map_or(Json::Null, Json::from),
        Wire::Json => serde_json::from_str(value).unwrap_or(Json::Null),
        Wire::Method => value.to_ascii_uppercase().into(),
        Wire::Sid(_) => value.parse::<Sid>().map_or(value.into(), |sid| sid.to_string().into()),
        _ => value.into(),
    }
}

fn matches_filters(params: &[Param], form: &Form, doc: &Doc) -> bool {
    params.iter().all(|param| match form.text(param.name) {
        None => true,
        Some(wanted) => doc.fields.get(&field_name(param.name)) == Some(&typed(param, wanted)),
    })
}

fn doc(row: Row) -> Doc {
    let fields = match serde_json::from_str(row.text(1)) {
        Ok(Json::Object(fields)) => fields,
        _ => Map::new(),
    };
    Doc {
        sid: row.text(0).to_owned(),
        fields,
        date_created: row.time(2),
        date_updated: row.time(3),
        version: row.int(4),
    }
}

/// The path parameters between account and instance: what the document lives under.
fn parent(ctx: &Ctx) -> String {
    let last = last_param(ctx.table);
    let between = ctx.path_params.iter().filter(|(name, _)| name != "AccountSid" && name != last);
    between.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("/")
}

/// 20404 when the table's parent does not exist.
async fn check_parent(ctx: &Ctx, parent: &str) -> Result<(), ApiError> {
    let Some(kind) = ctx.table.parent else { return Ok(()) };
    let (above, sid) = parent.rsplit_once('/').unwrap_or(("", parent));
    let found = load(&ctx.store, kind, above, sid).await;
    match found.map_err(|error| store_error(ctx, error))? {
        Some(_) => Ok(()),
        None => Err(ctx.not_found()),
    }
}

/// The parameter that names the instance: the last of the instance path.
fn last_param(table: &Table) -> &'static str {
    let instance = table.instance.unwrap_or_default();
    let name = instance.rsplit_once('{').and_then(|(_, tail)| tail.split_once('}'));
    name.map_or("Sid", |(name, _)| name)
}

/// `SmsFallbackUrl` → `sms_fallback_url`.
pub fn field_name(param: &str) -> String {
    let mut out = String::with_capacity(param.len() + 4);
    for (at, letter) in param.chars().enumerate() {
        if letter == '.' {
            out.push('_');
            continue;
        }
        if letter.is_ascii_uppercase() && at > 0 && !out.ends_with('_') {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// What a failing store means on the wire: 20409, 20503 or 20500.
pub fn store_error(ctx: &Ctx, error: StoreError) -> ApiError {
    match error {
        StoreError::Conflict | StoreError::Duplicate(_) => {
            ApiError::new(20409, format!("{} conflicts with one that exists", ctx.table.name))
        }
        StoreError::Unavailable(why) => {
            tracing::error!(%why, "the store is unavailable");
            ApiError::new(20503, "The service is overloaded or stopping; try again")
        }
        error @ (StoreError::Unscoped(_) | StoreError::Failed(_)) => {
            let id = ctx.clock.hex_token(12);
            tracing::error!(error_id = %id, %error, "a request failed in the store");
            ApiError::internal(&id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_name_their_fields() {
        for (param, field) in [
            ("SmsFallbackUrl", "sms_fallback_url"),
            ("FriendlyName", "friendly_name"),
            ("Sid", "sid"),
            ("Limits.ChannelMembers", "limits_channel_members"),
        ] {
            assert_eq!(field_name(param), field);
        }
    }
}
