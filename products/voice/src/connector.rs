//! `/Calls/{CA}/Siprec` (voice-api §12): recorders of others that a connector of the console would
//! join to a call.
//!
//! Differs: no SIPREC recorder can be installed, so it is refused for whatever connector is named.

use kernel::ApiError;
use rest::{Access, Ctx, Op, Param, Reply, Resource, Table};

use crate::{Voice, along};

const RECORD: &[Param] = along::with_numbered_parameters![
    Param::text("Name", 255),
    Param::text("ConnectorName", 255),
    Param::one_of("Track", &["inbound_track", "outbound_track", "both_tracks"]),
    Param::url("StatusCallback").code(21205),
    Param::method("StatusCallbackMethod").code(21209),
];

pub static SIPREC: Resource<Voice> = Resource {
    table: Table::v2010(
        "Siprec",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Siprec",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Siprec/{Sid}",
    )
    .sid("SR")
    .fields(&const { along::fields(&["SR"]) })
    .access(Access::Keys("voice/siprec")),
    ops: &[
        Op::create(RECORD).status(200).by(|_, ctx| Box::pin(record(ctx))),
        Op::update(along::STOP).by(|_, ctx| Box::pin(async move { Err(ctx.not_found()) })),
    ],
};

/// 20001: whatever connector is named, it is not installed.
async fn record(ctx: &Ctx) -> Result<Reply, ApiError> {
    along::running_call(ctx).await?;
    let name = ctx.form.text("ConnectorName").unwrap_or_default();
    let why = format!("ConnectorName: no SIPREC connector '{name}' is installed, nor can one be");
    Err(ApiError::new(20001, why))
}
