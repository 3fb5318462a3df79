//! The stored templates: reading many, and writing an approval.

use rest::Doc;
use serde_json::Value as Json;
use store::{AccountBatch, AccountStore, StoreError, Value};
use template::Template;

use crate::approval::FIELD;
use crate::lifecycle::Approval;
use crate::resource::KIND;

/// Templates of one account that a search or a comparison looks at.
///
/// Differs: of more than 6,000 templates, searches see the newest 6,000.
pub(crate) const SCAN_MAX: usize = 6000;
/// Templates in memory at one time.
const CHUNK: i64 = 200;

/// The account's templates, newest first, a chunk at a time.
pub(crate) struct Scan<'a> {
    store: &'a AccountStore,
    below: Option<String>,
    seen: usize,
}

impl<'a> Scan<'a> {
    pub fn new(store: &'a AccountStore) -> Self {
        Self { store, below: None, seen: 0 }
    }

    /// Empty when there are no more.
    pub async fn next(&mut self) -> Result<Vec<Doc>, StoreError> {
        if self.seen >= SCAN_MAX {
            return Ok(Vec::new());
        }
        let mut params: Vec<Value> = vec![KIND.into(), CHUNK.into()];
        let beyond = match &self.below {
            Some(sid) => {
                params.push(sid.as_str().into());
                "AND sid < $4"
            }
            None => "",
        };
        let sql = format!(
            "SELECT sid, body, date_created, date_updated, version FROM resource
             WHERE account_sid = $1 AND kind = $2 AND parent = '' {beyond}
             ORDER BY sid DESC LIMIT $3"
        );
        let docs: Vec<Doc> = self.store.query(&sql, params).await?.iter().map(doc).collect();
        self.seen += docs.len();
        self.below = docs.last().map(|doc| doc.sid.clone()).or(self.below.take());
        Ok(docs)
    }
}

/// The templates with these SIDs, in their order; those that are gone left out.
pub(crate) async fn these(store: &AccountStore, sids: &[&str]) -> Result<Vec<Doc>, StoreError> {
    let mut found = Vec::with_capacity(sids.len());
    for chunk in sids.chunks(CHUNK as usize) {
        let places: Vec<String> = (3..chunk.len() + 3).map(|at| format!("${at}")).collect();
        let sql = format!(
            "SELECT sid, body, date_created, date_updated, version FROM resource
             WHERE account_sid = $1 AND kind = $2 AND parent = '' AND sid IN ({})",
            places.join(", ")
        );
        let mut params: Vec<Value> = vec![KIND.into()];
        params.extend(chunk.iter().map(|sid| Value::from(*sid)));
        let mut docs: Vec<Doc> = store.query(&sql, params).await?.iter().map(doc).collect();
        docs.sort_by_key(|doc| chunk.iter().position(|sid| *sid == doc.sid));
        found.extend(docs);
    }
    Ok(found)
}

fn doc(row: &store::Row) -> Doc {
    let fields = match serde_json::from_str(row.text(1)) {
        Ok(Json::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    Doc {
        sid: row.text(0).to_owned(),
        fields,
        date_created: row.time(2),
        date_updated: row.time(3),
        version: row.int(4),
    }
}

/// The template of a document; `None` when a later version wrote what this one cannot read.
pub(crate) fn template(doc: &Doc) -> Option<Template> {
    let part = |field: &str| doc.fields.get(field).unwrap_or(&Json::Null);
    let language = doc.text("language").unwrap_or_default();
    Template::new(language, part("variables"), part("types")).ok()
}

/// The approval of a document that was submitted.
pub(crate) fn approval(doc: &Doc) -> Option<Approval> {
    serde_json::from_value(doc.fields.get(FIELD)?.clone()).ok()
}

/// Writes an approval; the commit conflicts when somebody else changed the template.
pub(crate) fn put_approval(batch: &mut AccountBatch, doc: &Doc, approval: &Approval) {
    let mut fields = doc.fields.clone();
    let json = serde_json::to_value(approval).expect("an approval is plain JSON");
    fields.insert(FIELD.to_owned(), json);
    batch.must(
        "UPDATE resource SET body = $4, version = $5 + 1
         WHERE account_sid = $1 AND kind = $2 AND parent = '' AND sid = $3 AND version = $5",
        vec![
            KIND.into(),
            doc.sid.as_str().into(),
            Json::Object(fields).to_string().into(),
            doc.version.into(),
        ],
    );
}
