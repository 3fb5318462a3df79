//! `/v2/SafeList/Numbers` (verify §9): numbers that fraud guard leaves alone.

use kernel::ApiError;
use numbering::E164;
use rest::{Access, Ctx, Doc, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json};
use store::{AccountStore, StoreError};

use crate::Verify;
use crate::faults::{failed, invalid};

const KIND: &str = "VerifySafeListNumber";

/// Stored under the number.
pub static SAFE_LIST: Resource<Verify> = Resource {
    table: Table::product(
        KIND,
        "verify",
        "/v2/SafeList/Numbers",
        "/v2/SafeList/Numbers/{PhoneNumber}",
    )
    .access(Access::Keys("verify/safe-list"))
    .fields(&[
        Field::sid("sid", &["GN"]),
        Field::text("phone_number"),
        Field::new("url", Wire::Url),
    ]),
    ops: &[
        Op::create(&[Param::text("PhoneNumber", 32).required(60200).code(60200)])
            .by(|_, ctx| Box::pin(create(ctx))),
        Op::fetch()
            .by(|_, ctx| Box::pin(async { Ok(Reply::Record(record(&existing(ctx).await?))) })),
        Op::delete().by(|_, ctx| Box::pin(delete(ctx))),
    ],
};

/// # Errors
/// 60411 / 409 for a number that is there.
async fn create(ctx: &Ctx) -> Result<Reply, ApiError> {
    let asked = ctx.form.text("PhoneNumber").unwrap_or_default();
    let number = E164::parse(asked).map_err(|_| invalid("PhoneNumber", asked))?.to_string();
    let mut fields = Map::new();
    fields.insert("number_sid".into(), ctx.clock.sid("GN").to_string().into());
    let mut batch = ctx.store.batch();
    rest::insert(&mut batch, KIND, "", &number, &fields, ctx.now);
    match ctx.store.commit(batch).await {
        Ok(_) => {
            let (at, version) = (ctx.now, 1);
            let doc = Doc { sid: number, fields, date_created: at, date_updated: at, version };
            Ok(Reply::Record(record(&doc)))
        }
        Err(StoreError::Duplicate(_)) => {
            Err(ApiError::new(60411, format!("{number} is in the safe list")))
        }
        Err(error) => Err(rest::store_error(ctx, error)),
    }
}

async fn existing(ctx: &Ctx) -> Result<Doc, ApiError> {
    let found = rest::load(&ctx.store, KIND, "", ctx.param("PhoneNumber")).await;
    found.map_err(failed(ctx))?.ok_or_else(|| ctx.not_found())
}

async fn delete(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx).await?;
    let mut batch = ctx.store.batch();
    batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = '' AND sid = $3",
        vec![KIND.into(), doc.sid.into()],
    );
    ctx.store.commit(batch).await.map_err(failed(ctx))?;
    Ok(Reply::Empty)
}

fn record(doc: &Doc) -> Record {
    let mut record = Record::at("PhoneNumber", &doc.sid);
    let sid = doc.fields.get("number_sid").cloned().unwrap_or(Json::Null);
    record.set("sid", sid).set("phone_number", doc.sid.as_str());
    record
}

/// Whether fraud guard leaves a number alone.
pub(crate) async fn has(store: &AccountStore, number: &str) -> Result<bool, StoreError> {
    Ok(rest::load(store, KIND, "", number).await?.is_some())
}
