//! Whether this instance lives, whether it is ready, and what it is busy with.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{App, Refusal, bad, unavailable};

/// Seconds of one profile.
const SECONDS_MAX: u64 = 60;
/// Samples a second; no divisor of what timers do.
const HERTZ: i32 = 99;
/// How long a store may take to say that it is there.
const STORE_TIME: Duration = Duration::from_secs(2);

/// The process answers. An orchestrator that hears nothing restarts it, which mends no database:
/// what others have to do with it is not asked here.
pub(super) async fn live() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Whether requests should come here: the store answers and has its schema, and nobody has asked
/// this instance to stop.
pub(super) async fn ready(State(app): State<App>) -> Response {
    let schema = app.store.point("SELECT MAX(version) FROM refinery_schema_history", vec![]);
    let (schema, fault) = match tokio::time::timeout(STORE_TIME, schema).await {
        Ok(Ok(Some(row))) if row.opt_int(0).is_some() => (row.opt_int(0), None),
        Ok(Ok(_)) => (None, Some("the database has no schema".to_owned())),
        Ok(Err(error)) => (None, Some(error.to_string())),
        Err(_) => (None, Some("the store does not answer".to_owned())),
    };
    let draining = *app.draining.borrow();
    let is_ready = fault.is_none() && !draining;
    let body = Json(json!({
        "status": if is_ready { "ready" } else { "not ready" },
        "store": app.store.kind(),
        "schema": schema,
        "draining": draining,
        "error": fault,
    }));
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, body).into_response()
}

#[derive(Deserialize)]
pub(super) struct Asked {
    seconds: Option<u64>,
}

/// What the processor does in the next seconds, as collapsed stacks: one line each, outermost
/// function first, with its samples; what flame graph tools read. One at a time.
pub(super) async fn profile(Query(asked): Query<Asked>) -> Result<Response, Refusal> {
    let seconds = asked.seconds.unwrap_or(5);
    if !(1..=SECONDS_MAX).contains(&seconds) {
        return Err(bad(format!("'seconds' is from 1 to {SECONDS_MAX}")));
    }
    let text = stacks(Duration::from_secs(seconds)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

#[cfg(unix)]
async fn stacks(time: Duration) -> Result<String, Refusal> {
    let guard = pprof::ProfilerGuardBuilder::default()
        .frequency(HERTZ)
        // A signal that finds them at work would wait for itself.
        .blocklist(&["libc", "libgcc", "pthread", "vdso"])
        .build()
        .map_err(|error| unavailable(format!("no profile now: {error}")))?;
    tokio::time::sleep(time).await;
    let built = tokio::task::spawn_blocking(move || guard.report().build()).await;
    let report = built.map_err(unavailable)?.map_err(unavailable)?;
    let mut lines: HashMap<String, isize> = HashMap::new();
    for (frames, samples) in &report.data {
        let names = frames.frames.iter().rev().flat_map(|frame| frame.iter().rev());
        let names = names.map(|symbol| symbol.name().replace(';', ":"));
        let stack: Vec<String> = std::iter::once(frames.thread_name.clone()).chain(names).collect();
        *lines.entry(stack.join(";")).or_default() += *samples;
    }
    let mut lines: Vec<_> = lines.into_iter().collect();
    lines.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    Ok(lines.iter().map(|(stack, samples)| format!("{stack} {samples}\n")).collect())
}

#[cfg(not(unix))]
async fn stacks(_: Duration) -> Result<String, Refusal> {
    Err(unavailable("there are no profiles on this system"))
}
