//! The simulated vetting: every step is a job, promised when the registration is made.

use std::sync::Arc;
use std::time::Duration;

use jobs::{Failure, Job, NewJob, Worker};
use rest::Doc;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use store::{AccountBatch, AccountStore};

use super::lifecycle::{Event, Machine};
use super::{brand, brand_vetting, campaign, toll_free};
use crate::Messaging;

const QUEUE: &str = "messaging.registration";

/// What the vetting does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    Open,
    Decide,
    Suspend,
}

/// A registration: kind, parent and SID of its document.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Subject<'a> {
    pub kind: &'a str,
    pub parent: &'a str,
    pub sid: &'a str,
}

#[derive(Serialize, Deserialize)]
struct Task<'a> {
    #[serde(borrow, flatten)]
    subject: Subject<'a>,
    step: Step,
}

/// How a vetting ends, with the fields that tell of it.
#[derive(Debug)]
pub(super) enum Verdict {
    Passes(Map<String, Json>),
    Fails(Map<String, Json>),
}

/// Promises steps in the commit of the submission, each after its time from now.
pub(super) fn promise(
    messaging: &Messaging,
    batch: &mut AccountBatch,
    subject: Subject<'_>,
    plan: &[(Step, Duration)],
) {
    let clock = &messaging.parts.clock;
    for (step, delay) in plan {
        let task = Task { subject, step: *step };
        let job = NewJob::now(QUEUE, clock, &task).after(*delay);
        jobs::add(batch, clock, job.in_lane(format!("registration/{}", subject.sid)));
    }
}

/// Does the steps.
pub(crate) struct Reviewer(pub Arc<Messaging>);

impl Worker for Reviewer {
    const QUEUE: &'static str = QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let task: Task<'_> = serde_json::from_str(&job.payload)
            .map_err(|error| Failure::Hopeless(error.to_string()))?;
        let mut batch = store.batch();
        let Subject { kind, parent, sid } = task.subject;
        if let Some(doc) = rest::load(store, kind, parent, sid).await? {
            take(&self.0, store, &task, &doc, &mut batch).await?;
        }
        Ok(batch)
    }
}

async fn take(
    messaging: &Messaging,
    store: &AccountStore,
    task: &Task<'_>,
    doc: &Doc,
    batch: &mut AccountBatch,
) -> Result<(), Failure> {
    let machine = machine_of(task.subject.kind)?;
    let (event, told) = match task.step {
        Step::Open => (Event::Opened, Map::new()),
        Step::Suspend => (Event::Suspended, Map::new()),
        Step::Decide => match judge(messaging, store, task.subject, doc).await? {
            Verdict::Passes(told) => (Event::Decided { passes: true }, told),
            Verdict::Fails(told) => (Event::Decided { passes: false }, told),
        },
    };
    let state = doc.text(machine.field).unwrap_or_default();
    let Some(next) = machine.apply(state, event) else { return Ok(()) };
    let mut fields = doc.fields.clone();
    fields.extend(told);
    fields.insert(machine.field.to_owned(), next.into());
    let Subject { kind, parent, sid } = task.subject;
    let now = messaging.parts.clock.now();
    rest::revise(batch, kind, parent, doc, &fields, now);
    match kind {
        campaign::KIND => campaign::moved(messaging, store, task.subject, &fields, batch).await?,
        brand_vetting::KIND => brand_vetting::moved(store, parent, &fields, now, batch).await?,
        _ => {}
    }
    let event = format!("{}.{}", rest::field_name(kind), next.to_lowercase()).replace('_', "-");
    batch.event(&event, sid, now, "{}".to_owned());
    Ok(())
}

fn machine_of(kind: &str) -> Result<&'static Machine, Failure> {
    match kind {
        brand::KIND => Ok(&brand::MACHINE),
        brand_vetting::KIND => Ok(&brand_vetting::MACHINE),
        campaign::KIND => Ok(&campaign::MACHINE),
        toll_free::KIND => Ok(&toll_free::MACHINE),
        kind => Err(not_vetted(kind)),
    }
}

fn not_vetted(kind: &str) -> Failure {
    Failure::Hopeless(format!("{kind} is not vetted"))
}

async fn judge(
    messaging: &Messaging,
    store: &AccountStore,
    subject: Subject<'_>,
    doc: &Doc,
) -> Result<Verdict, Failure> {
    let development = messaging.parts.development;
    match subject.kind {
        brand::KIND => brand::vet(messaging, store, doc).await,
        campaign::KIND => campaign::vet(messaging, store, doc).await,
        toll_free::KIND => {
            Ok(toll_free::judge(&doc.fields, development, messaging.parts.clock.now()))
        }
        brand_vetting::KIND => Ok(brand_vetting::judge(doc, development)),
        kind => Err(not_vetted(kind)),
    }
}
