//! Settings and other small things, as documents of the `resource` table.

use kernel::Timestamp;
use serde_json::Value;
use store::{AccountBatch, AccountStore, StoreError};

/// A document and its version.
#[derive(Clone, Debug)]
pub struct Doc {
    pub id: String,
    pub body: Value,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub(crate) version: i64,
}

/// Documents of one list at most.
pub const MANY: i64 = 10_000;

pub async fn get(
    store: &AccountStore,
    kind: &str,
    parent: &str,
    id: &str,
) -> Result<Option<Doc>, StoreError> {
    let sql = "SELECT sid, body, date_created, date_updated, version FROM resource
               WHERE account_sid = $1 AND kind = $2 AND parent = $3 AND sid = $4";
    let row = store.point(sql, vec![kind.into(), parent.into(), id.into()]).await?;
    Ok(row.as_ref().map(read))
}

/// All of a kind below a parent, by id.
pub async fn all(store: &AccountStore, kind: &str, parent: &str) -> Result<Vec<Doc>, StoreError> {
    let sql = "SELECT sid, body, date_created, date_updated, version FROM resource
               WHERE account_sid = $1 AND kind = $2 AND parent = $3 ORDER BY sid LIMIT $4";
    let rows = store.query(sql, vec![kind.into(), parent.into(), MANY.into()]).await?;
    Ok(rows.iter().map(read).collect())
}

fn read(row: &store::Row) -> Doc {
    Doc {
        id: row.text(0).to_owned(),
        body: serde_json::from_str(row.text(1)).unwrap_or(Value::Null),
        created: row.time(2),
        updated: row.time(3),
        version: row.int(4),
    }
}

pub fn insert(
    batch: &mut AccountBatch,
    kind: &str,
    parent: &str,
    id: &str,
    body: &Value,
    now: Timestamp,
) {
    batch.run(
        "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created, date_updated,
         version) VALUES ($1, $2, $3, $4, $5, $6, $6, 1)",
        vec![kind.into(), parent.into(), id.into(), body.to_string().into(), now.into()],
    );
}

/// Writes a changed document; the commit conflicts when it changed meanwhile.
pub fn update(batch: &mut AccountBatch, kind: &str, parent: &str, doc: &Doc, now: Timestamp) {
    batch.must(
        "UPDATE resource SET body = $5, date_updated = $6, version = version + 1
         WHERE account_sid = $1 AND kind = $2 AND parent = $3 AND sid = $4 AND version = $7",
        vec![
            kind.into(),
            parent.into(),
            doc.id.as_str().into(),
            doc.body.to_string().into(),
            now.into(),
            doc.version.into(),
        ],
    );
}

/// Writes a document whatever was there.
pub fn put(
    batch: &mut AccountBatch,
    kind: &str,
    parent: &str,
    id: &str,
    body: &Value,
    now: Timestamp,
) {
    batch.run(
        "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created, date_updated,
         version) VALUES ($1, $2, $3, $4, $5, $6, $6, 1)
         ON CONFLICT (account_sid, kind, parent, sid) DO UPDATE SET body = excluded.body,
         date_updated = excluded.date_updated, version = resource.version + 1",
        vec![kind.into(), parent.into(), id.into(), body.to_string().into(), now.into()],
    );
}

/// Removes a document; the commit conflicts when there is none.
pub fn remove(batch: &mut AccountBatch, kind: &str, parent: &str, id: &str) {
    batch.must(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3 AND sid = $4",
        vec![kind.into(), parent.into(), id.into()],
    );
}

/// Holds a name for this account, among all accounts.
pub fn claim(batch: &mut AccountBatch, name: &str, value: &str, id: &str) {
    batch.run(
        "INSERT INTO claim (account_sid, name, value, sid) VALUES ($1, $2, $3, $4)",
        vec![name.into(), value.into(), id.into()],
    );
}

pub fn release(batch: &mut AccountBatch, name: &str, value: &str) {
    batch.run(
        "DELETE FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3",
        vec![name.into(), value.into()],
    );
}
