//! Looking after counters: a job for each trigger, once a minute.

use std::time::Duration;

use clock::Clock;
use jobs::{AccountBatch, AccountStore, Failure, Job, NewJob, Worker};
use kernel::Timestamp;
use rest::{Doc, Draft};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use webhooks::Callback;

use crate::counter;
use crate::trigger::{KIND, Watched};

const QUEUE: &str = "usage.trigger";
/// Differs: that Twilio looks about once a minute is unconfirmed.
const EVERY: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct Look {
    trigger: String,
}

/// Promises the first look at the trigger's counter.
pub(crate) fn begin(draft: &mut Draft, clock: &Clock) {
    let look = look(clock, &draft.sid);
    jobs::add(&mut draft.batch, clock, look);
}

/// No further look.
pub(crate) fn forget(draft: &mut Draft) {
    let id = job_id(&draft.sid);
    draft.batch.run("DELETE FROM job WHERE account_sid = $1 AND id = $2", vec![id.into()]);
}

fn job_id(trigger: &str) -> String {
    format!("{QUEUE}/{trigger}")
}

fn look(clock: &Clock, trigger: &str) -> NewJob {
    NewJob::now(QUEUE, clock, &Look { trigger: trigger.to_owned() }).named(job_id(trigger))
}

/// Fires triggers.
pub struct Watch {
    clock: Clock,
}

impl Watch {
    pub fn new(clock: Clock) -> Self {
        Self { clock }
    }

    async fn look(
        &self,
        store: &AccountStore,
        trigger: &str,
        batch: &mut AccountBatch,
    ) -> Result<(), Failure> {
        let Some(doc) = rest::load(store, KIND, "", trigger).await? else { return Ok(()) };
        let watched = Watched::of(|field| doc.text(field).map(str::to_owned));
        let now = self.clock.now();
        let limit = doc.text("trigger_value").and_then(counter::parse).unwrap_or(i64::MAX);
        let period = watched.period(now).first.to_string();
        let has_fired = doc.text("fired_for") == Some(&period);
        let value = if has_fired { 0 } else { watched.value(store, now).await? };
        let fires = !has_fired && value >= limit;
        if fires {
            let callback = callback(store, &doc, &watched, value, now);
            fire(batch, &doc, &period, now);
            webhooks::promise(batch, &self.clock, callback);
        }
        // One that does not recur has nothing more to look for.
        if watched.recurring.is_some() || !(fires || has_fired) {
            jobs::add(batch, &self.clock, look(&self.clock, trigger).after(EVERY));
        }
        Ok(())
    }
}

/// Marks the trigger as fired; the commit conflicts when it changed meanwhile.
fn fire(batch: &mut AccountBatch, doc: &Doc, period: &str, now: Timestamp) {
    let mut fields = doc.fields.clone();
    fields.insert("date_fired".to_owned(), now.rfc2822().into());
    fields.insert("fired_for".to_owned(), period.into());
    batch.must(
        "UPDATE resource SET body = $4, date_updated = $5, version = version + 1
         WHERE account_sid = $1 AND kind = $2 AND parent = '' AND sid = $3 AND version = $6",
        vec![
            KIND.into(),
            doc.sid.as_str().into(),
            Json::Object(fields).to_string().into(),
            now.into(),
            doc.version.into(),
        ],
    );
    batch.event("usage-trigger.fired", &doc.sid, now, "{}".to_owned());
}

fn callback(
    store: &AccountStore,
    doc: &Doc,
    watched: &Watched,
    value: counter::Millionths,
    now: Timestamp,
) -> Callback {
    let account = store.account();
    let text = |field: &str| doc.text(field).unwrap_or_default().to_owned();
    // The same for every delivery of one firing.
    let token = format!("{account}-FIRES-{}-{}", doc.sid, now.date());
    let params = [
        ("AccountSid", account.to_string()),
        ("UsageTriggerSid", doc.sid.clone()),
        ("Recurring", watched.recurring.clone().unwrap_or_default()),
        ("UsageCategory", watched.category.clone()),
        ("TriggerBy", watched.by.clone()),
        ("TriggerValue", text("trigger_value")),
        ("CurrentValue", counter::decimal(value)),
        ("UsageRecordUri", text("usage_record_uri")),
        ("DateFired", now.rfc2822()),
        ("IdempotencyToken", token),
    ];
    Callback {
        url: text("callback_url"),
        method: doc.text("callback_method").unwrap_or("POST").to_owned(),
        params: params.map(|(name, value)| (name.to_owned(), value)).into(),
        resource: doc.sid.clone(),
    }
}

impl Worker for Watch {
    const QUEUE: &'static str = QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let Look { trigger } = job.read()?;
        let mut batch = store.batch();
        self.look(store, &trigger, &mut batch).await?;
        Ok(batch)
    }
}
