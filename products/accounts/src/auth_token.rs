//! Rotation of the auth token: `accounts.twilio.com/v1/AuthTokens` (rest-conventions §11).
//!
//! Differs: Twilio's error codes for a second secondary token and for a missing
//! one are not published; here both answer 20409 / 409 and 20404 / 404.

use std::sync::Arc;

use kernel::ApiError;
use rest::{Access, Ctx, Field, Op, Record, Reply, Resource, Table, Wire};
use serde_json::json;

use crate::Accounts;
use crate::directory::Account;
use crate::gate::failed;

pub static SECONDARY: Resource<Accounts> = Resource {
    table: Table::product("SecondaryAuthToken", "accounts", "", "/v1/AuthTokens/Secondary")
        .singleton()
        .access(Access::AccountAdmin)
        .fields(&[
            Field::sid("account_sid", &["AC"]),
            Field::new("date_created", Wire::Iso8601),
            Field::new("date_updated", Wire::Iso8601),
            Field::text("secondary_auth_token"),
            Field::text("url"),
        ]),
    ops: &[
        Op::create(&[]).at_instance().by(|accounts, ctx| Box::pin(create(accounts, ctx))),
        Op::delete().by(|accounts, ctx| Box::pin(delete(accounts, ctx))),
    ],
};

pub static PROMOTION: Resource<Accounts> = Resource {
    table: Table::product("AuthTokenPromotion", "accounts", "", "/v1/AuthTokens/Promote")
        .singleton()
        .access(Access::AccountAdmin)
        .fields(&[
            Field::sid("account_sid", &["AC"]),
            Field::text("auth_token"),
            Field::new("date_created", Wire::Iso8601),
            Field::new("date_updated", Wire::Iso8601),
            Field::text("url"),
        ]),
    ops: &[Op::update(&[]).by(|accounts, ctx| Box::pin(promote(accounts, ctx)))],
};

async fn create(accounts: &Accounts, ctx: &Ctx) -> Result<Reply, ApiError> {
    let account = own(accounts, ctx).await?;
    if account.secondary_token.is_some() {
        return Err(ApiError::new(20409, "The account has a secondary auth token already"));
    }
    let token = ctx.clock.hex_token(32);
    write(accounts, ctx, &account, None, Some(&token)).await?;
    let mut record = Record::new("");
    record
        .set("account_sid", account.sid)
        .set("date_created", ctx.now)
        .set("date_updated", ctx.now)
        .set("secondary_auth_token", token);
    Ok(Reply::Record(record))
}

async fn delete(accounts: &Accounts, ctx: &Ctx) -> Result<Reply, ApiError> {
    let account = own(accounts, ctx).await?;
    if account.secondary_token.is_none() {
        return Err(ctx.not_found());
    }
    write(accounts, ctx, &account, None, None).await?;
    Ok(Reply::Empty)
}

/// The secondary token becomes the primary; the old primary stops at once.
async fn promote(accounts: &Accounts, ctx: &Ctx) -> Result<Reply, ApiError> {
    let account = own(accounts, ctx).await?;
    let Some(token) = account.secondary_token.as_deref() else { return Err(ctx.not_found()) };
    write(accounts, ctx, &account, Some(token), None).await?;
    let mut record = Record::new("");
    record
        .set("account_sid", account.sid)
        .set("auth_token", token)
        .set("date_created", account.secondary_created.unwrap_or(ctx.now))
        .set("date_updated", ctx.now);
    Ok(Reply::Record(record))
}

async fn own(accounts: &Accounts, ctx: &Ctx) -> Result<Arc<Account>, ApiError> {
    let found = accounts.account(ctx.account).await.map_err(failed)?;
    found.ok_or_else(|| ctx.not_found())
}

async fn write(
    accounts: &Accounts,
    ctx: &Ctx,
    account: &Account,
    primary: Option<&str>,
    secondary: Option<&str>,
) -> Result<(), ApiError> {
    let seal = |token: &str| accounts.sealer.seal(token);
    let mut batch = ctx.store.batch();
    batch.must(
        "UPDATE account SET auth_token = $2, secondary_token = $3, secondary_created = $4,
         date_updated = $5, version = version + 1 WHERE account_sid = $1 AND version = $6",
        vec![
            seal(primary.unwrap_or(&account.auth_token)).into(),
            secondary.map(seal).into(),
            secondary.map(|_| ctx.now).into(),
            ctx.now.into(),
            account.version.into(),
        ],
    );
    let kind = "account.auth-token-updated";
    ctx.audit(&mut batch, kind, &account.sid.to_string(), json!({}));
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    accounts.changed();
    Ok(())
}
