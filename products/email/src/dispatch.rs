//! Who gets a mail, and the attempts to hand it over.

use std::sync::Arc;
use std::time::Duration;

use contracts::{MailAttempt, MailRefusal, NoticeOutcome, OutboundMail};
use jobs::{Failure, Job, NewJob, Worker};
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{AccountBatch, AccountStore};

use crate::letter::Letter;
use crate::lifecycle::{self, Event, Status};
use crate::reader::{Reader, Recorder};
use crate::schedule::{self, Hold};
use crate::send::letter_of_row;
use crate::{Email, compose, stats, suppression, template};

pub const PROCESS_QUEUE: &str = "email.process";
const DELIVER_QUEUE: &str = "email.deliver";
/// How long a mail is tried, and a paused one kept.
const TRIED_FOR: Duration = Duration::from_secs(72 * 3600);
/// How often a paused mail is looked at.
const HOLD: Duration = Duration::from_secs(10);
/// How long a carrier that is at its bound is left alone.
const BUSY: Duration = Duration::from_secs(5);

/// The readers of a mail that are due at one time.
#[derive(Serialize, Deserialize)]
pub struct Process {
    pub mail: String,
    pub send_at: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct Deliver {
    reader: String,
}

/// Decides who gets a mail.
pub struct Processor(pub Arc<Email>);

/// Hands mails over.
pub struct Deliverer(pub Arc<Email>);

impl Worker for Processor {
    const QUEUE: &'static str = PROCESS_QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let process: Process = job.read()?;
        let mut batch = store.batch();
        self.0.process(&process, store, &mut batch).await?;
        Ok(batch)
    }
}

impl Worker for Deliverer {
    const QUEUE: &'static str = DELIVER_QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let deliver: Deliver = job.read()?;
        let mut batch = store.batch();
        self.0.deliver(&deliver.reader, store, &mut batch).await?;
        Ok(batch)
    }
}

/// How long until the next attempt: greylisting lets nobody in before five minutes.
fn delay(attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt.clamp(1, 7) - 1).unwrap_or(0);
    Duration::from_secs((300 << doublings).min(4 * 3600))
}

impl Email {
    async fn mail(
        &self,
        store: &AccountStore,
        id: &str,
    ) -> Result<Option<(Letter, Option<String>)>, Failure> {
        let sql = "SELECT blob, batch_id, letter FROM mail WHERE account_sid = $1 AND id = $2";
        let Some(row) = store.point(sql, vec![id.into()]).await? else { return Ok(None) };
        let letter = letter_of_row(self, row.text(0), row.opt_blob(2)).await?;
        Ok(letter.map(|letter| (letter, row.opt_text(1).map(str::to_owned))))
    }

    async fn process(
        &self,
        process: &Process,
        store: &AccountStore,
        batch: &mut AccountBatch,
    ) -> Result<(), Failure> {
        let Some((letter, batch_id)) = self.mail(store, &process.mail).await? else {
            return Ok(());
        };
        let now = self.parts.clock.now();
        let due = process.send_at.map_or(now, Timestamp::from_seconds);
        let hold = match &batch_id {
            Some(id) => schedule::hold(store, id).await?,
            None => None,
        };
        let is_old = now.since(due) > TRIED_FOR;
        if hold == Some(Hold::Pause) && !is_old {
            return Err(Failure::Later(now + HOLD));
        }
        // Differs: what is told of a mail that was cancelled is unconfirmed; here it is dropped.
        let drop_all = match (hold, is_old) {
            (Some(Hold::Cancel), _) => Some("Cancelled"),
            (Some(Hold::Pause), true) => Some("Expired while paused"),
            _ => None,
        };
        let facts = self
            .parts
            .accounts
            .facts(store.account())
            .await
            .map_err(|error| Failure::Retry(error.0))?;
        let drop_all = drop_all.or_else(|| {
            (!facts.is_some_and(|facts| facts.is_active)).then_some("Account is not active")
        });
        let version = match letter.template_id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => template::active(store, id).await?,
            None => None,
        };
        let recorder = self.recorder(store).await?;
        let readers = Reader::of_mail(store, &process.mail).await?;
        for mut reader in readers {
            if reader.status != Status::Queued || reader.meta.send_at != process.send_at {
                continue;
            }
            reader.meta.template_name =
                version.as_ref().map(|version| version.template_name.clone());
            let found = match drop_all.or_else(|| compose::unrenderable(&letter, reader.part)) {
                Some(reason) => Some((reason, "")),
                None => suppression::reason(store, &reader.email, &letter).await?,
            };
            match found {
                Some((reason, metric)) => {
                    if self.take(
                        &recorder,
                        batch,
                        &mut reader,
                        Event::Drop,
                        "dropped",
                        json!({"reason": reason, "status": "5.0.0"}),
                    ) && !metric.is_empty()
                    {
                        stats::count(batch, &reader.meta.categories, metric, now);
                    }
                    self.tell_notice(store, &reader, NoticeOutcome::Failed { code: 30007 }).await?;
                }
                None => {
                    if self.take(
                        &recorder,
                        batch,
                        &mut reader,
                        Event::Process,
                        "processed",
                        Value::Null,
                    ) {
                        let deliver = Deliver { reader: reader.id.clone() };
                        jobs::add(
                            batch,
                            &self.parts.clock,
                            NewJob::now(DELIVER_QUEUE, &self.parts.clock, &deliver),
                        );
                    }
                }
            }
        }
        Ok(())
    }

    /// A step of the life of a mail with its event; false when it changes nothing.
    pub(crate) fn take(
        &self,
        recorder: &Recorder<'_>,
        batch: &mut AccountBatch,
        reader: &mut Reader,
        event: Event,
        kind: &str,
        extra: Value,
    ) -> bool {
        let Some(next) = lifecycle::apply(reader.status, event) else { return false };
        reader.step(batch, next, self.parts.clock.now());
        recorder.record(batch, reader, kind, extra);
        reader.status = next;
        true
    }

    async fn deliver(
        &self,
        id: &str,
        store: &AccountStore,
        batch: &mut AccountBatch,
    ) -> Result<(), Failure> {
        let Some(mut reader) = Reader::load(store, id).await? else { return Ok(()) };
        if !matches!(reader.status, Status::Processed | Status::Deferred) {
            return Ok(());
        }
        let Some((letter, _)) = self.mail(store, &reader.mail).await? else { return Ok(()) };
        let composed = self.compose(store, &letter, &mut reader).await?;
        reader.attempt += 1;
        let mail = OutboundMail {
            account: store.account(),
            id: reader.id.clone(),
            envelope_from: composed.envelope_from,
            to: reader.email.clone(),
            attempt: u32::try_from(reader.attempt).unwrap_or(u32::MAX),
            message: composed.bytes,
        };
        let recorder = self.recorder(store).await?;
        match self.carrier().deliver(&mail).await {
            MailAttempt::Busy(_) => return Err(Failure::Later(self.parts.clock.now() + BUSY)),
            MailAttempt::Delivered { response, ip, tls } => {
                let extra = with_ip(json!({"response": response, "tls": i32::from(tls)}), ip);
                self.take(&recorder, batch, &mut reader, Event::Deliver, "delivered", extra);
                self.tell_notice(store, &reader, NoticeOutcome::Delivered).await?;
            }
            MailAttempt::Deferred { response, ip } => {
                let age = self.parts.clock.now().since(reader.created);
                if age > TRIED_FOR {
                    let reason = format!("unable to deliver within 72 hours: {response}");
                    let refusal =
                        MailRefusal { status: "4.4.7".into(), reason, ip, is_block: true };
                    self.refused(&recorder, batch, &mut reader, &refusal);
                    self.tell_notice(store, &reader, NoticeOutcome::Failed { code: 30008 }).await?;
                    return Ok(());
                }
                let extra = with_ip(
                    json!({"response": response, "attempt": reader.attempt.to_string()}),
                    ip,
                );
                self.take(&recorder, batch, &mut reader, Event::Defer, "deferred", extra);
                let deliver = Deliver { reader: reader.id.clone() };
                let job = NewJob::now(DELIVER_QUEUE, &self.parts.clock, &deliver)
                    .after(delay(reader.attempt));
                jobs::add(batch, &self.parts.clock, job);
            }
            MailAttempt::Refused(refusal) => {
                self.refused(&recorder, batch, &mut reader, &refusal);
                self.tell_notice(store, &reader, NoticeOutcome::Failed { code: 30005 }).await?;
            }
        }
        Ok(())
    }

    /// A refusal, at once or later: the event, and the list that the address goes to.
    pub(crate) fn refused(
        &self,
        recorder: &Recorder<'_>,
        batch: &mut AccountBatch,
        reader: &mut Reader,
        refusal: &MailRefusal,
    ) {
        let (event, kind, list) = match refusal.is_block {
            true => (Event::Block, "blocked", "blocks"),
            false => (Event::Bounce, "bounce", "bounces"),
        };
        let class = classification(refusal);
        let extra = json!({
            "type": kind, "reason": refusal.reason, "status": refusal.status, "bounce_classification": class,
        });
        let extra = with_ip(extra, refusal.ip.clone());
        if self.take(recorder, batch, reader, event, "bounce", extra) {
            let now = self.parts.clock.now();
            suppression::add(batch, list, &reader.email, now, &refusal.reason, &refusal.status);
        }
    }

    /// Tells whoever asked for a notice what became of it.
    pub(crate) async fn tell_notice(
        &self,
        store: &AccountStore,
        reader: &Reader,
        outcome: NoticeOutcome,
    ) -> Result<(), Failure> {
        let (Some(reference), Some(sink)) = (&reader.meta.notice, self.notices.get()) else {
            return Ok(());
        };
        let Ok(reference) = reference.parse() else { return Ok(()) };
        sink.outcome(store.account(), reference, outcome)
            .await
            .map_err(|error| Failure::Retry(error.0))
    }
}

fn with_ip(mut extra: Value, ip: Option<String>) -> Value {
    if let Some(ip) = ip {
        extra["ip"] = ip.into();
    }
    extra
}

/// The classes of sendgrid §6, by enhanced status.
pub(crate) fn classification(refusal: &MailRefusal) -> &'static str {
    let text = refusal.reason.to_ascii_lowercase();
    match refusal.status.get(1..).unwrap_or_default() {
        s if s.starts_with(".1.") => "Invalid Address",
        s if s.starts_with(".2.") => "Mailbox Unavailable",
        s if s.starts_with(".3.") || s.starts_with(".4.") => "Technical Failure",
        s if s.starts_with(".6.") => "Content",
        s if s.starts_with(".7.") && (text.contains("rate") || text.contains("too many")) => {
            "Frequency or Volume Too High"
        }
        s if s.starts_with(".7.") && (text.contains("content") || text.contains("spam")) => {
            "Content"
        }
        s if s.starts_with(".7.") => "Reputation",
        _ => "Unclassified",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_classified() {
        for (status, reason, class) in [
            ("5.1.1", "no such user", "Invalid Address"),
            ("5.2.2", "full", "Mailbox Unavailable"),
            ("4.4.7", "timeout", "Technical Failure"),
            ("5.6.0", "bad", "Content"),
            ("5.7.1", "looks like spam", "Content"),
            ("4.7.0", "rate limited", "Frequency or Volume Too High"),
            ("5.7.1", "listed", "Reputation"),
            ("", "?", "Unclassified"),
        ] {
            let refusal = MailRefusal {
                status: status.into(),
                reason: reason.into(),
                ip: None,
                is_block: false,
            };
            assert_eq!(classification(&refusal), class, "{status}");
        }
    }

    #[test]
    fn attempts_are_ever_rarer() {
        let minutes: Vec<_> = (1..9).map(|attempt| delay(attempt).as_secs() / 60).collect();
        assert_eq!(minutes, [5, 10, 20, 40, 80, 160, 240, 240]);
    }
}
