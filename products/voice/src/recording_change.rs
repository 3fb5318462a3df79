//! Ending, pausing and resuming a recording that runs, of a call or of a conference.

use kernel::{ApiError, Sid};
use rest::{Ctx, Param, Reply};
use store::{AccountBatch, StoreError};

use crate::call_recording::STATUSES;
use crate::recording::KIND;

/// Times a change is decided again.
const DECISIONS_MAX: usize = 4;

/// What may be asked of a recording that runs.
pub(crate) const CHANGE: &[Param] = &[
    Param::one_of("Status", STATUSES).required(20001),
    Param::one_of("PauseBehavior", &["skip", "silence"]),
];

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Stop,
    /// With `skip` the pause takes no time in the recording.
    Pause {
        skip: bool,
    },
    Resume,
}

/// Does what the request asks; `tell` adds to the batch who is told. 20001 for what a recording in
/// its status cannot become, 20409 when others keep changing it.
pub(crate) async fn change(
    ctx: &Ctx,
    recording: Sid,
    tell: impl Fn(&mut AccountBatch, Change),
) -> Result<Reply, ApiError> {
    let failed = |error| rest::store_error(ctx, error);
    let skip = ctx.form.text("PauseBehavior") == Some("skip");
    let after = ctx.form.text("Status").unwrap_or_default();
    for _ in 0..DECISIONS_MAX {
        let doc = rest::load(&ctx.store, KIND, "", &recording.to_string()).await;
        let mut doc = doc.map_err(failed)?.ok_or_else(|| ctx.not_found())?;
        let before = doc.text("status").unwrap_or_default();
        let change = match (before, after) {
            ("in-progress" | "paused", "stopped") => Change::Stop,
            ("in-progress", "paused") => Change::Pause { skip },
            ("paused", "in-progress") => Change::Resume,
            ("paused", "paused") | ("in-progress", "in-progress") => {
                return Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)));
            }
            _ => {
                let why = format!("Status: a recording that is {before} cannot become {after}");
                return Err(ApiError::new(20001, why));
            }
        };
        let mut batch = ctx.store.batch();
        let mut fields = doc.fields.clone();
        fields.insert("status".into(), after.into());
        // What has been stopped is shown so, and becomes what the carrier makes of it.
        if change != Change::Stop {
            rest::revise(&mut batch, KIND, "", &doc, &fields, ctx.now);
        }
        tell(&mut batch, change);
        match ctx.store.commit(batch).await {
            Ok(_) => {
                doc.fields = fields;
                return Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)));
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(ApiError::new(20409, "The recording is being changed by others; try again"))
}
