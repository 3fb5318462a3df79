//! `voice/v1/Archives/{Date}/Calls/{CA}` (voice-api §15): old calls can only be removed.
//!
//! Differs: calls are not moved to an archive: the call is removed from the list itself, if it was
//! made on that day.

use kernel::ApiError;
use rest::{Access, Ctx, Op, Reply, Resource, Table};

use crate::Voice;
use crate::resource;

pub static ARCHIVED_CALL: Resource<Voice> = Resource {
    table: Table::product("ArchivedCall", "voice", "", "/v1/Archives/{Date}/Calls/{Sid}")
        .singleton()
        .access(Access::Keys("voice/calls")),
    ops: &[Op::delete().by(|_, ctx| Box::pin(delete(ctx)))],
};

async fn delete(ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = resource::existing(ctx, "Sid").await?;
    match call.created.date() == ctx.param("Date") {
        true => resource::forget(ctx, call).await,
        false => Err(ctx.not_found()),
    }
}
