//! Spoken notices: a call that says something, as the handset's thread shows it.

use std::sync::Arc;

use contracts::{BoxFuture, Notice, NoticeError, NoticeOutcome, NoticeSender, Unavailable};
use jobs::{Failure, Job, NewJob, Worker};
use kernel::Sid;
use serde::{Deserialize, Serialize};

use crate::handset::{self, ThreadEntry};
use crate::{Sim, chance};

const CALL_QUEUE: &str = "sim.call";

#[derive(Serialize, Deserialize)]
struct Call {
    reference: Sid,
    from: Option<String>,
    to: String,
    text: String,
}

impl NoticeSender for Sim {
    fn send<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<(), NoticeError>> {
        Box::pin(async move {
            let call = Call {
                reference: notice.reference,
                from: notice.from.clone(),
                to: notice.to.clone(),
                text: notice.text.clone(),
            };
            // Named by the notice: the same one again is the same promise.
            let job = NewJob::now(CALL_QUEUE, self.queue.clock(), &call)
                .named(format!("sim-call-{}", notice.reference))
                .after(chance::delay(&self.network, notice.reference.bits() as u64));
            let added = self.queue.add(notice.account, job).await;
            added.map_err(|error| NoticeError::Unavailable(Unavailable(error.0)))
        })
    }
}

/// Places the calls.
pub struct Calls(pub Arc<Sim>);

impl Worker for Calls {
    const QUEUE: &'static str = CALL_QUEUE;

    async fn run(
        &self,
        job: &Job,
        store: &jobs::AccountStore,
    ) -> Result<jobs::AccountBatch, Failure> {
        let call: Call = job.read()?;
        let sim = &self.0;
        let retry = |why: String| Failure::Retry(why);
        let handset = sim.handset(&call.to).await.map_err(|error| retry(error.to_string()))?;
        let picks_up = handset.behaviour.picks_up();
        if picks_up {
            let entry = ThreadEntry {
                sid: call.reference.to_string(),
                outgoing: false,
                peer: call.from.clone().unwrap_or_else(|| "call".to_owned()),
                body: format!("Call: \u{201c}{}\u{201d}", call.text),
                media: Vec::new(),
                at: sim.queue.clock().now(),
                failed: false,
                rich: None,
                account: Some(job.account),
                read: false,
            };
            let kept = handset::remember(&*sim.notes, &call.to, call.reference, &entry).await;
            kept.map_err(|error| retry(error.to_string()))?;
        }
        if let Some(sink) = sim.notices.get() {
            let outcome = match picks_up {
                true => NoticeOutcome::Delivered,
                false => {
                    NoticeOutcome::Failed { code: handset.behaviour.refusal().unwrap_or(30003) }
                }
            };
            let told = sink.outcome(job.account, call.reference, outcome).await;
            told.map_err(|error| retry(error.0))?;
        }
        Ok(store.batch())
    }
}
