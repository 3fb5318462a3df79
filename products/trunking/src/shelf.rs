//! What the resources of this product share of the store.

use contracts::Unavailable;
use kernel::ApiError;
use rest::{Ctx, Doc};
use store::{AccountStore, StoreError};

/// Documents of one kind that a list in memory may have.
const MANY: i64 = 1000;

/// What a failing store means to a caller of the API.
pub(crate) fn failed(ctx: &Ctx) -> impl Fn(StoreError) -> ApiError + '_ {
    move |error| rest::store_error(ctx, error)
}

/// What a failing store means to another part.
pub(crate) fn unavailable(error: StoreError) -> Unavailable {
    Unavailable(error.to_string())
}

/// What another part that cannot be asked means to a caller of the API.
pub(crate) fn busy(error: Unavailable) -> ApiError {
    ApiError::new(20503, format!("Another part cannot be asked now: {error}"))
}

/// `code` when the account has `most` documents of this kind under this parent already.
pub(crate) async fn check_room(
    ctx: &Ctx,
    kind: &str,
    parent: &str,
    most: i64,
    code: u32,
) -> Result<(), ApiError> {
    let sql = "SELECT COUNT(*) FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3";
    let row = ctx.store.point(sql, vec![kind.into(), parent.into()]).await.map_err(failed(ctx))?;
    if row.map_or(0, |row| row.int(0)) < most {
        return Ok(());
    }
    Err(ApiError::new(code, format!("There are {most} already, and no more are allowed")))
}

/// `code` unless the account has the document `sid`, named by the parameter `param`.
pub(crate) async fn check_exists(
    ctx: &Ctx,
    kind: &str,
    param: &str,
    sid: &str,
    code: u32,
) -> Result<Doc, ApiError> {
    let found = rest::load(&ctx.store, kind, "", sid).await.map_err(failed(ctx))?;
    found.ok_or_else(|| ApiError::new(code, format!("{param}: the account has no {sid}")))
}

/// All documents of a kind under a parent, oldest first.
pub(crate) async fn all(
    store: &AccountStore,
    kind: &str,
    parent: &str,
) -> Result<Vec<Doc>, StoreError> {
    let sql = "SELECT sid, body, date_created, date_updated, version FROM resource
               WHERE account_sid = $1 AND kind = $2 AND parent = $3 ORDER BY sid LIMIT $4";
    let rows = store.query(sql, vec![kind.into(), parent.into(), MANY.into()]).await?;
    let doc = |row: &store::Row| Doc {
        sid: row.text(0).to_owned(),
        fields: serde_json::from_str(row.text(1)).unwrap_or_default(),
        date_created: row.time(2),
        date_updated: row.time(3),
        version: row.int(4),
    };
    Ok(rows.iter().map(doc).collect())
}

/// Whether a document of these kinds with this SID stands under any parent: a list that is mapped.
pub(crate) async fn is_mapped(
    store: &AccountStore,
    kinds: &[&str],
    sid: &str,
) -> Result<bool, StoreError> {
    for kind in kinds {
        let sql = "SELECT 1 FROM resource WHERE account_sid = $1 AND kind = $2 AND sid = $3
                   LIMIT 1";
        if store.point(sql, vec![(*kind).into(), sid.into()]).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A flag of a document; what is not said is `false`.
pub(crate) fn flag(doc: &Doc, field: &str) -> bool {
    doc.fields.get(field).and_then(serde_json::Value::as_bool).unwrap_or(false)
}
