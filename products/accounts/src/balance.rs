//! `/2010-04-01/Accounts/{AccountSid}/Balance`.

use kernel::ApiError;
use rest::{Access, Ctx, Field, Op, Record, Reply, Resource, Table};

use crate::Accounts;
use crate::directory::OPENING_CREDIT;

pub static BALANCE: Resource<Accounts> = Resource {
    table: Table::v2010("Balance", "", "/2010-04-01/Accounts/{AccountSid}/Balance")
        .singleton()
        .access(Access::Keys("billing/balance"))
        .fields(&[
            Field::sid("account_sid", &["AC"]),
            Field::text("balance"),
            Field::text("currency"),
        ]),
    ops: &[Op::fetch().by(|_, ctx| Box::pin(fetch(ctx)))],
};

/// The opening credit less what was spent.
async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let sql = "SELECT CAST(COALESCE(sum(micros), 0) AS BIGINT) FROM spend WHERE account_sid = $1";
    let row = ctx.store.point(sql, vec![]).await.map_err(|error| rest::store_error(ctx, error))?;
    let spent = row.map_or(0, |row| row.int(0));
    let mut record = Record::new("");
    record
        .set("account_sid", ctx.account)
        .set("balance", format!("{:.5}", (OPENING_CREDIT - spent) as f64 / 1e6))
        .set("currency", "USD");
    Ok(Reply::Record(record))
}
