//! The platform's clock, which a developer moves.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use clock::Clock;
use kernel::{ApiError, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Batch, Store, StoreError};

use super::api::{App, Refusal, bad, read};
use super::views;

/// Seconds the clock may be advanced by at once: a hundred years.
const ADVANCE_MAX: f64 = 100.0 * 366.0 * 86_400.0;

async fn clock_json(store: &Store, clock: &Clock) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({
        "now": clock.now().iso8601(),
        "offset_seconds": clock.offset_micros() / 1_000_000,
        "movable": clock.is_movable(),
        "next_timer": views::next_timer(store, clock.now()).await?.map(Timestamp::iso8601),
    })))
}

pub(super) async fn clock_now(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    clock_json(&app.store, &app.clock).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    advance_seconds: Option<f64>,
    set: Option<String>,
    #[serde(default)]
    resume: bool,
}

pub(super) async fn move_clock(
    State(app): State<App>,
    body: String,
) -> Result<Json<Value>, Refusal> {
    let moved = match read::<Move>(&body)? {
        Move { advance_seconds: Some(seconds), set: None, resume: false } => {
            if !(0.0..=ADVANCE_MAX).contains(&seconds) {
                return Err(bad("advance_seconds must be from 0 to a hundred years"));
            }
            app.clock.advance(Duration::from_secs_f64(seconds))
        }
        Move { advance_seconds: None, set: Some(text), resume: false } => {
            let at = Timestamp::parse(&text);
            app.clock.set(at.map_err(|error| bad(format!("set: '{text}' is {error}")))?)
        }
        Move { advance_seconds: None, set: None, resume: true } => app.clock.resume(),
        _ => return Err(bad("Give one of advance_seconds, set or resume")),
    };
    moved.map_err(|error| Refusal(ApiError::new(20403, error.to_string())))?;
    let mut batch = Batch::new();
    batch.run(
        "INSERT INTO meta (name, value) VALUES ('clock_offset', $1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        vec![app.clock.offset_micros().to_string().into()],
    );
    app.store.commit(batch).await?;
    app.store.bus().invalidate(super::cluster::CLOCK);
    if app.leases.nodes().await?.len() > 1 {
        // The other nodes have followed when the answer is read.
        tokio::time::sleep(super::cluster::FOLLOWED).await;
    }
    clock_json(&app.store, &app.clock).await
}

/// A moved clock stays moved over a restart, else time would step back; and on every node.
pub async fn restore_clock(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    let sql = "SELECT value FROM meta WHERE name = 'clock_offset'";
    let Some(row) = store.point(sql, vec![]).await? else { return Ok(()) };
    let offset: i64 = row.text(0).parse().unwrap_or(0);
    if offset.abs_diff(clock.offset_micros()) < 1_000 {
        return Ok(());
    }
    let at = Timestamp::from_micros(clock.wall().as_micros().saturating_add(offset));
    if clock.set(at).is_ok() {
        tracing::info!(now = %clock.now(), "the clock was moved before and still is");
    }
    Ok(())
}
