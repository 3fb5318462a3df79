//! Handing messages to their carrier, and what carriers report back.

use std::sync::Arc;
use std::time::Duration;

use contracts::{
    BoxFuture, OutboundMedia, OutboundMessage, Receipt, ReceiptStatus, Submission, Unavailable,
};
use jobs::{Failure, Job, Worker};
use kernel::{Sid, Timestamp};
use store::{AccountBatch, AccountStore, StoreError};
use telemetry::trace::{self, Kind};

use crate::Messaging;
use crate::create::{DISPATCH, Dispatch, recipient};
use crate::lifecycle::{self, Event, Status};
use crate::message::Message;
use crate::opt_out;
use crate::service::Need;

/// Seconds a message may wait for its carrier unless it says otherwise.
const VALIDITY_SECONDS: i64 = 36_000;
/// Largest media of a message, in bytes (messaging §8).
const MEDIA_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Takes queued messages to the carrier.
pub struct Dispatcher(pub Arc<Messaging>);

impl Worker for Dispatcher {
    const QUEUE: &'static str = DISPATCH;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let Dispatch { sid } = job.read()?;
        let mut batch = store.batch();
        // A message that was deleted, or has gone on without this job, needs nothing.
        let Some(mut message) = Message::load(store, sid).await? else { return Ok(batch) };
        let is_waiting =
            matches!(message.status, Status::Accepted | Status::Scheduled | Status::Queued);
        if is_waiting && self.0.keep_quiet(store, &mut message, &mut batch).await? {
            return Ok(batch);
        }
        if matches!(message.status, Status::Accepted | Status::Scheduled) {
            self.0.assign(store, &mut message).await?;
            // A paced sender's messages leave by its lane.
            if message.status == Status::Queued
                && let Some(lane) = self.0.lane(store, &message).await?
            {
                let job = self.0.dispatch_job(&message, Some(lane));
                jobs::add(&mut batch, &self.0.parts.clock, job);
                return Ok(batch);
            }
        }
        if matches!(message.status, Status::Queued | Status::Sending) {
            self.0.dispatch(store, &mut message, &mut batch).await?;
        }
        Ok(batch)
    }
}

impl Messaging {
    /// Chooses the sender of a service's message, or lets it fail; committed before the
    /// carrier hears of it, so that it can no longer be canceled and keeps its sender.
    async fn assign(&self, store: &AccountStore, message: &mut Message) -> Result<(), Failure> {
        let mut batch = store.batch();
        let event = match self.sender_for(store, message, &mut batch).await? {
            Ok(()) => Event::Assigned,
            Err(code) => Event::Failed { code },
        };
        message.rewrite(&mut batch);
        let steps = lifecycle::apply(message.status, event);
        message.step(&steps, self.parts.clock.now(), &self.parts.clock, &mut batch);
        self.note_outcome(message, &mut batch);
        match store.commit(batch).await {
            // Canceled meanwhile, or assigned by another run of the job: look again.
            Err(StoreError::Conflict) => Err(Failure::Later(self.parts.clock.now())),
            outcome => outcome.map(|_| ()).map_err(Into::into),
        }
    }

    /// The code with which a message whose sender was named, and which had to wait, is refused.
    async fn still_welcome(
        &self,
        store: &AccountStore,
        message: &Message,
    ) -> Result<Result<(), u32>, Failure> {
        let from = message.from.as_deref().unwrap_or_default();
        let owner = self.parts.numbers.owner(from).await.map_err(|e| Failure::Retry(e.0))?;
        let service = match owner {
            Some(owner) if owner.account == store.account() => {
                self.service_of(store, owner.sid).await?
            }
            _ => None,
        };
        let scope = service.as_ref().map_or(from, |service| &service.sid);
        let is_out = opt_out::is_opted_out(store, scope, &message.to).await?;
        Ok(if is_out { Err(21610) } else { Ok(()) })
    }

    /// Gives the message its sender, and the form in which that sender can send it; the code
    /// of why it cannot be sent.
    async fn sender_for(
        &self,
        store: &AccountStore,
        message: &mut Message,
        batch: &mut AccountBatch,
    ) -> Result<Result<(), u32>, Failure> {
        let Some(sid) = message.service.clone() else {
            return self.still_welcome(store, message).await;
        };
        let Some(service) = self.service(store, &sid).await? else { return Ok(Err(21701)) };
        // What was true when it was scheduled may no longer be.
        if opt_out::is_opted_out(store, &service.sid, &message.to).await? {
            return Ok(Err(21610));
        }
        let Ok(to) = recipient(&message.to) else { return Ok(Err(21211)) };
        if let Err(code) = self.render_again(store.account(), message).await? {
            return Ok(Err(code));
        }
        if let Err(code) = self.shorten(store, &service, message, batch).await? {
            return Ok(Err(code));
        }
        let has_media = !message.extra.media_urls.is_empty();
        if message.from.is_none() {
            let need = Need {
                to: &to,
                mms: has_media && !service.mms_converter,
                sticky: None,
                geomatch: service.geomatch,
                spread: u64::from_str_radix(&message.sid.hex()[24..], 16).unwrap_or(0),
            };
            message.from = self.choose_sender(store, &service, need, batch).await?;
        }
        let sender = service.pool.iter().find(|sender| {
            message.from.as_ref().is_some_and(|from| *from == sender.address.to_string())
        });
        let Some(sender) = sender else { return Ok(Err(21703)) };
        if has_media && !sender.mms && service.mms_converter {
            as_links(message);
        }
        match self.lane(store, message).await? {
            Some(lane) if !self.has_room(store, message, &lane).await? => Ok(Err(30001)),
            _ => Ok(Ok(())),
        }
    }

    async fn dispatch(
        &self,
        store: &AccountStore,
        message: &mut Message,
        batch: &mut AccountBatch,
    ) -> Result<(), Failure> {
        let parts = &self.parts;
        let event = match self.outgoing(store, message, batch).await? {
            Err(code) => Event::Failed { code },
            Ok(outgoing) => {
                let span = trace::span("carrier", Kind::Client);
                span.say("offhook.resource", outgoing.sid);
                match span.run(self.carrier().submit(&outgoing)).await {
                    Submission::Accepted => Event::Taken,
                    Submission::Refused { code } => {
                        span.fail(code);
                        Event::Failed { code }
                    }
                    Submission::Busy(why) => {
                        span.fail("busy");
                        return Err(Failure::Retry(why.0));
                    }
                    Submission::Elsewhere(lease) => {
                        return Err(Failure::Elsewhere(lease.to_owned()));
                    }
                }
            }
        };
        let steps = lifecycle::apply(message.status, event);
        message.step(&steps, parts.clock.now(), &parts.clock, batch);
        self.note_outcome(message, batch);
        Ok(())
    }

    /// The message as its carrier wants it, or the code with which it fails here.
    async fn outgoing(
        &self,
        store: &AccountStore,
        message: &mut Message,
        batch: &mut AccountBatch,
    ) -> Result<Result<OutboundMessage, u32>, Failure> {
        let account = store.account();
        if let Some(code) = self.refusal(account, message).await? {
            return Ok(Err(code));
        }
        if let Some(code) = self.over_limit(store, message, batch).await? {
            return Ok(Err(code));
        }
        let rich = match self.for_whatsapp(store, message, batch).await? {
            Ok(rich) => rich,
            Err(code) => return Ok(Err(code)),
        };
        let media = match self.media(store, message, batch).await? {
            Ok(media) => media,
            Err(code) => return Ok(Err(code)),
        };
        // Fetching takes its time, in which a message expires or an account is suspended.
        if !media.is_empty()
            && let Some(code) = self.refusal(account, message).await?
        {
            return Ok(Err(code));
        }
        Ok(Ok(OutboundMessage {
            account,
            sid: message.sid,
            from: message.from.clone().unwrap_or_default(),
            to: message.to.clone(),
            body: message.body.clone(),
            segments: u32::try_from(message.segments).unwrap_or(1),
            media,
            rich,
        }))
    }

    /// The code with which a message may not leave any more.
    async fn refusal(&self, account: Sid, message: &Message) -> Result<Option<u32>, Failure> {
        let facts = self.parts.accounts.facts(account).await.map_err(|e| Failure::Retry(e.0))?;
        if !facts.is_some_and(|facts| facts.is_active) {
            return Ok(Some(30002));
        }
        let validity = message.extra.validity_seconds.unwrap_or(VALIDITY_SECONDS);
        let validity = Duration::from_secs(u64::try_from(validity).unwrap_or(0));
        let since = message.extra.send_at.unwrap_or(message.date_created);
        let expired = self.parts.clock.now().since(since) > validity;
        Ok(expired.then_some(30036))
    }

    /// What `MediaUrl` names, fetched and kept once; the code of the first that cannot be had.
    async fn media(
        &self,
        store: &AccountStore,
        message: &Message,
        batch: &mut AccountBatch,
    ) -> Result<Result<Vec<OutboundMedia>, u32>, Failure> {
        if message.extra.media_urls.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let mut all = self.kept_media(store, message).await?;
        if !all.is_empty() {
            return Ok(Ok(all));
        }
        let mut kept = store.batch();
        for url in &message.extra.media_urls {
            let media = match self.parts.client.get_media(url, MEDIA_BYTES_MAX).await {
                Ok(media) => media,
                Err(failure) => {
                    let sid = message.sid.to_string();
                    let why = format!("media {url}: {}", failure.message);
                    self.parts.webhooks.alert(batch, &sid, failure.code, &why, url);
                    return Ok(Err(failure.code));
                }
            };
            let kind = media.content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
            let blob = self.parts.blobs.put(&media.body).await?;
            let size = i64::try_from(media.body.len()).unwrap_or(i64::MAX);
            let now = self.parts.clock.now();
            let sid = self.keep_media(message.sid, &kind, &blob, size, now, &mut kept);
            let url = self.media_url(store.account(), message.sid, sid);
            all.push(OutboundMedia { content_type: kind, url });
        }
        // Kept before the carrier has them: a receipt that overtakes this job makes its batch
        // conflict, and the handset has been told where they are.
        store.commit(kept).await?;
        Ok(Ok(all))
    }

    /// Media that an earlier run of the job has kept.
    async fn kept_media(
        &self,
        store: &AccountStore,
        message: &Message,
    ) -> Result<Vec<OutboundMedia>, Failure> {
        let sql = "SELECT id, content_type FROM media WHERE account_sid = $1 AND message_id = $2
                   ORDER BY id";
        let rows = store.query(sql, vec![message.sid.hex().into()]).await?;
        let media = rows.iter().filter_map(|row| {
            let sid = format!("ME{}", row.text(0)).parse().ok()?;
            let url = self.media_url(store.account(), message.sid, sid);
            Some(OutboundMedia { content_type: row.text(1).to_owned(), url })
        });
        Ok(media.collect())
    }

    /// Where applications and handsets fetch a media.
    pub(crate) fn media_url(&self, account: Sid, message: Sid, media: Sid) -> String {
        let base = &self.parts.public_url;
        format!("{base}/2010-04-01/Accounts/{account}/Messages/{message}/Media/{media}")
    }

    /// Adds the row of a media.
    pub(crate) fn keep_media(
        &self,
        message: Sid,
        content_type: &str,
        blob: &str,
        size: i64,
        now: Timestamp,
        batch: &mut AccountBatch,
    ) -> Sid {
        let sid = self.parts.clock.sid("ME");
        batch.run(
            "INSERT INTO media (account_sid, message_id, id, content_type, blob, size, date_created)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            vec![
                message.hex().into(),
                sid.hex().into(),
                content_type.into(),
                blob.into(),
                size.into(),
                now.into(),
            ],
        );
        sid
    }

    /// What a delivery receipt does to its message.
    pub(crate) async fn settle(&self, receipt: &Receipt) -> Result<(), Unavailable> {
        if !matches!(receipt.sid.prefix(), "SM" | "MM") {
            return self.settle_notice(receipt).await;
        }
        let store = self.parts.store.account(receipt.account);
        let unavailable = |error: store::StoreError| Unavailable(error.to_string());
        let event = match receipt.status {
            ReceiptStatus::Delivered => Event::Delivered,
            ReceiptStatus::Undelivered { code } => Event::Undelivered { code },
            ReceiptStatus::Read => Event::Read,
        };
        // Another step may be taken between load and commit; then decide again.
        for _ in 0..8 {
            let Some(mut message) =
                Message::load(&store, receipt.sid).await.map_err(unavailable)?
            else {
                return Ok(());
            };
            let steps = lifecycle::apply(message.status, event);
            if steps.through.is_empty() {
                return Ok(());
            }
            let mut batch = store.batch();
            let kept = message.extra.traceparent.clone();
            let span = trace::resume("receipt", Kind::Consumer, kept.as_deref());
            span.say("offhook.resource", message.sid);
            span.within(|| {
                message.step(&steps, receipt.done_at, &self.parts.clock, &mut batch);
            });
            self.note_outcome(&message, &mut batch);
            match store.commit(batch).await {
                Err(store::StoreError::Conflict) => {}
                outcome => return outcome.map(|_| ()).map_err(unavailable),
            }
        }
        Err(Unavailable("the message keeps changing".into()))
    }
}

/// Media for those who cannot receive them: their addresses in the text.
fn as_links(message: &mut Message) {
    let links = std::mem::take(&mut message.extra.media_urls).join("\n");
    message.body = match message.body.as_str() {
        "" => links,
        body => format!("{body}\n{links}"),
    };
    message.media = 0;
    message.segments = i64::try_from(sms::segments(&message.body).count).unwrap_or(i64::MAX);
}

impl contracts::MessageSink for Messaging {
    fn receipt<'a>(&'a self, receipt: &'a Receipt) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(self.settle(receipt))
    }

    fn inbound<'a>(
        &'a self,
        message: &'a contracts::InboundMessage,
    ) -> BoxFuture<'a, Result<contracts::InboundOutcome, Unavailable>> {
        Box::pin(self.receive(message))
    }
}
