//! The simulated reviewer: opens what was submitted, holds it against its policy, decides.

use std::sync::Arc;
use std::time::Duration;

use jobs::{Failure, Job, NewJob, Worker};
use rest::Doc;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use store::{AccountBatch, AccountStore};
use webhooks::Callback;

use crate::lifecycle::{self, Event, Status};
use crate::{Trust, bundle, evaluation};

const QUEUE: &str = "trust.review";

/// After submission.
const OPENED_AFTER: Duration = Duration::from_secs(60);
const DECIDED_AFTER: Duration = Duration::from_secs(600);

/// What the reviewer does next.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Step {
    Open,
    Decide,
}

#[derive(Serialize, Deserialize)]
struct Task {
    kind: String,
    sid: String,
    step: Step,
}

/// Promises a review in the commit of the submission.
///
// Differs: a review takes ten minutes of the platform's clock; Twilio's takes up to days.
pub(crate) fn promise(trust: &Trust, kind: &str, sid: &str, batch: &mut AccountBatch) {
    for (step, delay) in [(Step::Open, OPENED_AFTER), (Step::Decide, DECIDED_AFTER)] {
        let task = Task { kind: kind.to_owned(), sid: sid.to_owned(), step };
        let job = NewJob::now(QUEUE, &trust.clock, &task).after(delay);
        jobs::add(batch, &trust.clock, job.in_lane(format!("review/{sid}")));
    }
}

/// Tells the owner of the bundle's status.
///
// Differs: the parameters are those of regulatory bundles; Trust Hub's are unconfirmed.
pub(crate) fn callback(
    trust: &Trust,
    sid: &str,
    fields: &Map<String, Json>,
    batch: &mut AccountBatch,
) {
    let text = |field: &str| fields.get(field).and_then(Json::as_str).filter(|it| !it.is_empty());
    let Some(url) = text("status_callback") else { return };
    let reason = fields.get("errors").and_then(|errors| errors[0]["description"].as_str());
    let mut params = vec![
        ("AccountSid".to_owned(), batch.account().to_string()),
        ("BundleSid".to_owned(), sid.to_owned()),
        ("Status".to_owned(), text("status").unwrap_or_default().to_owned()),
    ];
    params.extend(reason.map(|reason| ("FailureReason".to_owned(), reason.to_owned())));
    let callback =
        Callback { url: url.to_owned(), method: "POST".into(), params, resource: sid.to_owned() };
    webhooks::promise(batch, &trust.clock, callback);
}

/// Does the reviewer's steps.
pub(crate) struct Reviewer(pub Arc<Trust>);

impl Worker for Reviewer {
    const QUEUE: &'static str = QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let task: Task = job.read()?;
        let mut batch = store.batch();
        if let Some(doc) = rest::load(store, &task.kind, "", &task.sid).await? {
            step(&self.0, store, &task, &doc, &mut batch).await?;
        }
        Ok(batch)
    }
}

async fn step(
    trust: &Trust,
    store: &AccountStore,
    task: &Task,
    doc: &Doc,
    batch: &mut AccountBatch,
) -> Result<(), Failure> {
    let errors = match task.step {
        Step::Open => Vec::new(),
        Step::Decide => faults(trust, store, doc).await?,
    };
    let event = match task.step {
        Step::Open => Event::Opened,
        Step::Decide => Event::Decided { is_compliant: errors.is_empty() },
    };
    // A withdrawn bundle is left alone.
    let Some(next) = lifecycle::apply(bundle::status(Some(&doc.fields)), event) else {
        return Ok(());
    };
    let mut fields = doc.fields.clone();
    fields.insert("status".into(), next.as_str().into());
    if next == Status::Rejected {
        fields.insert("errors".into(), errors.into());
    }
    let now = trust.clock.now();
    rest::revise(batch, &task.kind, "", doc, &fields, now);
    let event = format!("{}.{}", rest::field_name(&task.kind).replace('_', "-"), next.as_str());
    batch.event(&event, &task.sid, now, "{}".to_owned());
    callback(trust, &task.sid, &fields, batch);
    Ok(())
}

/// Why the bundle is rejected; nothing when it is not.
async fn faults(trust: &Trust, store: &AccountStore, doc: &Doc) -> Result<Vec<Json>, Failure> {
    let name = doc.text("friendly_name").unwrap_or_default();
    if let Some(wish) = wish(name, trust.development) {
        return Ok(vec![wish]);
    }
    let policy = doc.text("policy_sid").unwrap_or_default();
    let evaluation = evaluation::evaluate(store, &doc.sid, policy).await?;
    Ok(evaluation.faults())
}

/// In development a FriendlyName that begins with `Reject` is reason enough.
fn wish(name: &str, development: bool) -> Option<Json> {
    let is_wish = development && name.starts_with("Reject");
    let why = || format!("The name '{name}' asks the simulated reviewer to reject it");
    is_wish.then(|| json!({"code": null, "description": why()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_wish_in_development_only() {
        for (name, development, wished) in [
            ("Reject us", true, true),
            ("Reject us", false, false),
            ("We reject spam", true, false),
            ("", true, false),
        ] {
            assert_eq!(wish(name, development).is_some(), wished, "{name}");
        }
    }
}
