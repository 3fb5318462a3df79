//! From a verification to its recipient: attempts, and what became of them.

use std::sync::Arc;
use std::time::Duration;

use contracts::{
    BoxFuture, Notice, NoticeChannel, NoticeError, NoticeOutcome, NoticeSender, NoticeSink,
    Unavailable,
};
use jobs::{Failure, Job, NewJob, Worker};
use kernel::{ApiError, Sid, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{AccountBatch, AccountStore, StoreError};

use crate::lifecycle::{self, Event, Status};
use crate::plan::Plan;
use crate::service::Service;
use crate::verification::{Send, Verification};
use crate::{Verify, guard, messaging_configuration};

const SEND: &str = "verify.send";
const FALLBACK: &str = "verify.fallback";
const END: &str = "verify.end";
/// Until a silent authentication that was the platform's choice gives way to a text.
const SILENCE: u64 = 30;

/// The job of one send: what is said is known, but for the code.
#[derive(Serialize, Deserialize)]
struct Sending {
    verification: Sid,
    attempt: Sid,
    channel: String,
    plan: Plan,
}

/// The job that tries the next channel unless something has happened meanwhile.
#[derive(Serialize, Deserialize)]
struct Next {
    verification: Sid,
    /// The attempt that was the last one when this was promised.
    attempt: Sid,
    channel: String,
}

#[derive(Serialize, Deserialize)]
struct End {
    verification: Sid,
}

fn end_name(verification: Sid) -> String {
    format!("verify-end-{verification}")
}

impl Verify {
    /// Who sends over a channel.
    pub(crate) fn sender(&self, channel: &str) -> Option<&Arc<dyn NoticeSender>> {
        let channel = match channel {
            "sms" => NoticeChannel::Sms,
            "whatsapp" => NoticeChannel::WhatsApp,
            "call" => NoticeChannel::Call,
            "email" => NoticeChannel::Email,
            _ => return None,
        };
        self.parts.senders.get(&channel)
    }

    /// Adds a send to a verification: its attempt, its job, and that of what comes if it fails.
    pub(crate) fn attempt(
        &self,
        service: &Service,
        found: &mut Verification,
        channel: &str,
        now: Timestamp,
        batch: &mut AccountBatch,
    ) -> Result<Sid, ApiError> {
        let clock = &self.parts.clock;
        let attempt = clock.sid("VL");
        let ttl = self.parts.lifetime.as_secs() / 60;
        let plan = match channel {
            "sna" => None,
            _ => Some(Plan::new(service, &found.extra.choices, channel, &found.country, ttl)?),
        };
        let locale = plan.as_ref().map_or("en".to_owned(), |plan| plan.locale.clone());
        found.channel = channel.to_owned();
        let sent = (channel.to_owned(), locale.clone());
        found.extra.sends.push(Send { time: now, channel: sent.0, attempt, locale });
        self.put_attempt(found, attempt, channel, &sent.1, now, batch);
        if let Some(plan) = plan {
            let sending =
                Sending { verification: found.sid, attempt, channel: channel.to_owned(), plan };
            jobs::add(batch, clock, NewJob::now(SEND, clock, &sending));
        }
        if let Some((next, delay)) = next_channel(service, found) {
            let next = Next { verification: found.sid, attempt, channel: next };
            let job = NewJob::now(FALLBACK, clock, &next).after(Duration::from_secs(delay));
            jobs::add(batch, clock, job);
        }
        Ok(attempt)
    }

    fn put_attempt(
        &self,
        found: &Verification,
        attempt: Sid,
        channel: &str,
        locale: &str,
        now: Timestamp,
        batch: &mut AccountBatch,
    ) {
        let carrier = &found.extra.lookup["carrier"];
        let data = json!({
            "locale": locale,
            "code_length": found.extra.code_length,
            "mcc": carrier["mobile_country_code"],
            "mnc": carrier["mobile_network_code"],
            "carrier": carrier["name"],
        });
        batch.run(
            "INSERT INTO verification_attempt (account_sid, sid, service_sid, verification_sid,
             to_addr, prefix, country, channel, converted, message_status, data, date_created,
             date_updated) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $11, $11)",
            vec![
                attempt.into(),
                found.service.as_str().into(),
                found.sid.into(),
                found.to.as_str().into(),
                guard::prefix(&found.to).into(),
                found.country.as_str().into(),
                channel.into(),
                "queued".into(),
                data.to_string().into(),
                now.into(),
            ],
        );
    }

    /// Promises that the verification ends with its time.
    pub(crate) fn promise_end(&self, found: &Verification, batch: &mut AccountBatch) {
        let clock = &self.parts.clock;
        let job = NewJob::now(END, clock, &End { verification: found.sid })
            .named(end_name(found.sid))
            .at(found.state.expires_at);
        jobs::add(batch, clock, job);
    }

    /// Writes a verification that has got another status, with all that follows from it.
    pub(crate) async fn ended(
        &self,
        service: &Service,
        found: &mut Verification,
        now: Timestamp,
        batch: &mut AccountBatch,
    ) -> Result<(), StoreError> {
        found.update(batch, now);
        let status = found.state.status;
        if !status.is_live() {
            let name = end_name(found.sid);
            batch.run("DELETE FROM job WHERE account_sid = $1 AND id = $2", vec![name.into()]);
        }
        if status == Status::Approved
            && let Some(attempt) = found.last_attempt()
        {
            batch.run(
                "UPDATE verification_attempt SET converted = 1, date_updated = $3
                 WHERE account_sid = $1 AND sid = $2",
                vec![attempt.into(), now.into()],
            );
        }
        self.tell(service, found, status.as_str(), now, batch);
        self.hook_verification(service, found, batch).await
    }

    /// Sends what a job says; a refusal is the attempt's end.
    async fn send(&self, store: &AccountStore, job: &Job) -> Result<AccountBatch, Failure> {
        let sending: Sending = job.read()?;
        let found = Verification::load(store, &sending.verification.to_string()).await?;
        let now = self.parts.clock.now();
        // Nobody needs a code that is not asked for any more.
        let live =
            found.filter(|found| found.state.status == Status::Pending && !found.is_over(now));
        let Some(found) = live else { return Ok(store.batch()) };
        let Some(code) = &found.code else { return Ok(store.batch()) };
        let code = self.parts.sealer.open(&code.sealed);
        let code = code.map_err(|error| Failure::Hopeless(error.to_string()))?;
        let from = match (&sending.plan.from, sending.channel.as_str()) {
            (None, "sms") => {
                messaging_configuration::sender(store, &found.service, &found.country).await?
            }
            (from, _) => from.clone(),
        };
        let (sender, channel) = match self.sender(&sending.channel) {
            Some(sender) => (sender, channel_of(&sending.channel)),
            None => return self.settled(store, sending.attempt, failure(60223)).await,
        };
        let notice = Notice {
            account: store.account(),
            reference: sending.attempt,
            channel,
            to: found.to.clone(),
            from,
            subject: sending.plan.subject(&code),
            text: sending.plan.text(&code),
            html: None,
            speech: sending.plan.speech.clone(),
            template: sending.plan.template(&code),
        };
        match sender.send(&notice).await {
            Ok(()) => Ok(store.batch()),
            Err(NoticeError::Refused { code }) => {
                self.settled(store, sending.attempt, failure(code)).await
            }
            Err(NoticeError::Unavailable(why)) => Err(Failure::Retry(why.0)),
        }
    }

    /// What became of an attempt, and the next channel if it failed.
    async fn settled(
        &self,
        store: &AccountStore,
        attempt: Sid,
        outcome: NoticeOutcome,
    ) -> Result<AccountBatch, Failure> {
        let clock = &self.parts.clock;
        let now = clock.now();
        let mut batch = store.batch();
        let (status, code) = match outcome {
            NoticeOutcome::Sent => ("sent", None),
            NoticeOutcome::Delivered => ("delivered", None),
            NoticeOutcome::Failed { code } => ("undelivered", Some(i64::from(code))),
        };
        // An outcome that comes late does not undo a better one.
        batch.run(
            "UPDATE verification_attempt SET message_status = $3, error_code = $4, date_updated = $5
             WHERE account_sid = $1 AND sid = $2 AND message_status IN ('queued', 'sent')",
            vec![attempt.into(), status.into(), code.into(), now.into()],
        );
        let sql = "SELECT verification_sid FROM verification_attempt
                   WHERE account_sid = $1 AND sid = $2";
        let Some(row) = store.point(sql, vec![attempt.into()]).await? else { return Ok(batch) };
        let Some(found) = Verification::load(store, row.text(0)).await? else { return Ok(batch) };
        let Some(service) = Service::load(store, &found.service).await? else { return Ok(batch) };
        self.tell_message(&service, &found, attempt, (status, code), now, &mut batch);
        let failed = matches!(outcome, NoticeOutcome::Failed { .. });
        if failed && let Some((next, _)) = next_channel(&service, &found) {
            let next = Next { verification: found.sid, attempt, channel: next };
            let job = NewJob::now(FALLBACK, clock, &next).named(format!("verify-next-{attempt}"));
            jobs::add(&mut batch, clock, job);
        }
        Ok(batch)
    }

    /// The next channel, if the verification still waits and nothing was sent meanwhile.
    async fn fall_back(&self, store: &AccountStore, job: &Job) -> Result<AccountBatch, Failure> {
        let next: Next = job.read()?;
        let mut batch = store.batch();
        let now = self.parts.clock.now();
        let found = Verification::load(store, &next.verification.to_string()).await?;
        let Some(mut found) = found else { return Ok(batch) };
        let silent = found.extra.silent.as_ref().filter(|_| found.channel == "sna");
        let is_known = silent.is_some_and(|silent| silent.result == Some(0));
        if found.last_attempt() != Some(next.attempt) || is_known {
            return Ok(batch);
        }
        let Ok(state) = lifecycle::apply(found.state, Event::Sent, now) else { return Ok(batch) };
        let Some(service) = Service::load(store, &found.service).await? else { return Ok(batch) };
        found.state = state;
        match self.attempt(&service, &mut found, &next.channel, now, &mut batch) {
            Ok(_) => {}
            Err(error) => {
                let sid = found.sid.to_string();
                self.parts.webhooks.alert(&mut batch, &sid, error.code, &error.message, "");
                return Ok(batch);
            }
        }
        found.update(&mut batch, now);
        self.tell(&service, &found, "pending", now, &mut batch);
        Ok(batch)
    }

    /// A silent authentication that was the platform's choice has failed: a text, at once.
    pub(crate) fn promise_text(
        &self,
        found: &Verification,
        attempt: Sid,
        batch: &mut AccountBatch,
    ) {
        if found.extra.auto {
            let clock = &self.parts.clock;
            let next = Next { verification: found.sid, attempt, channel: "sms".to_owned() };
            jobs::add(batch, clock, NewJob::now(FALLBACK, clock, &next));
        }
    }

    /// The time of a verification is over.
    async fn end(&self, store: &AccountStore, job: &Job) -> Result<AccountBatch, Failure> {
        let end: End = job.read()?;
        let mut batch = store.batch();
        let now = self.parts.clock.now();
        let found = Verification::load(store, &end.verification.to_string()).await?;
        let due = found.filter(|found| found.state.status.is_live() && found.is_over(now));
        let Some(mut found) = due else { return Ok(batch) };
        found.state.status = Status::Expired;
        match Service::load(store, &found.service).await? {
            Some(service) => {
                found.update(&mut batch, now);
                self.tell(&service, &found, "expired", now, &mut batch);
                self.hook_verification(&service, &found, &mut batch).await?;
            }
            None => found.update(&mut batch, now),
        }
        Ok(batch)
    }
}

fn failure(code: u32) -> NoticeOutcome {
    NoticeOutcome::Failed { code }
}

fn channel_of(channel: &str) -> NoticeChannel {
    match channel {
        "whatsapp" => NoticeChannel::WhatsApp,
        "call" => NoticeChannel::Call,
        "email" => NoticeChannel::Email,
        _ => NoticeChannel::Sms,
    }
}

/// What is tried after the channel of the last send, and how many seconds later.
fn next_channel(service: &Service, found: &Verification) -> Option<(String, u64)> {
    if found.extra.auto && found.channel == "sna" {
        return Some(("sms".to_owned(), SILENCE));
    }
    service.fallback(&found.channel)
}

impl NoticeSink for Verify {
    fn outcome(
        &self,
        account: Sid,
        reference: Sid,
        outcome: NoticeOutcome,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            if reference.prefix() != "VL" {
                return Ok(());
            }
            let store = self.parts.store.account(account);
            let batch = match self.settled(&store, reference, outcome).await {
                Ok(batch) => batch,
                Err(Failure::Retry(why) | Failure::Hopeless(why)) => return Err(Unavailable(why)),
                Err(Failure::Later(_) | Failure::Elsewhere(_)) => {
                    return Err(Unavailable("not yet".into()));
                }
            };
            store.commit(batch).await.map(drop).map_err(|error| Unavailable(error.to_string()))
        })
    }
}

/// Sends codes.
pub(crate) struct Sender(pub Arc<Verify>);

impl Worker for Sender {
    const QUEUE: &'static str = SEND;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        self.0.send(store, job).await
    }
}

/// Tries the next channel of a fallback policy.
pub(crate) struct Second(pub Arc<Verify>);

impl Worker for Second {
    const QUEUE: &'static str = FALLBACK;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        self.0.fall_back(store, job).await
    }
}

/// Ends verifications whose time is over.
pub(crate) struct Ender(pub Arc<Verify>);

impl Worker for Ender {
    const QUEUE: &'static str = END;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        self.0.end(store, job).await
    }
}
