//! Applications that speak a carrier's protocol instead of the API: what they submit, what
//! became of it, and what their numbers receive.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use contracts::{
    ApplicationLink, BoxFuture, InboundMessage, MessageSubmission, ReceiptStatus,
    SubmissionRefusal, SubmissionStatus, SubmittedMessage, Unavailable,
};
use jobs::{Failure, Job, NewJob, Worker};
use kernel::{ApiError, Sid, Timestamp};
use serde::{Deserialize, Serialize};
use store::{AccountBatch, AccountStore};

use crate::Messaging;
use crate::create::Wish;
use crate::lifecycle::Status;
use crate::message::{Extra, Message};

/// Queue of final statuses that an application is to hear of.
pub(crate) const REPORT: &str = "message.report";

/// The way back to applications, and which numbers are theirs.
pub(crate) struct Applications {
    pub link: Arc<dyn ApplicationLink>,
    /// Number to the name under which its application binds.
    pub numbers: HashMap<String, String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Report {
    sid: Sid,
    at: Timestamp,
}

/// The promise that the application hears what became of its message.
pub(crate) fn promise(message: &Message, at: Timestamp, clock: &clock::Clock) -> Option<NewJob> {
    let is_settled = message.status.is_final() && message.status != Status::Sent;
    (message.extra.from_application && is_settled)
        .then(|| NewJob::now(REPORT, clock, &Report { sid: message.sid, at }))
}

impl Messaging {
    async fn submitted(&self, message: &SubmittedMessage) -> Result<Sid, ApiError> {
        let store = self.parts.store.account(message.account);
        let validity = message.valid_until.map(|until| {
            let left = until.since(self.parts.clock.now());
            i64::try_from(left.max(Duration::from_secs(1)).as_secs()).unwrap_or(i64::MAX)
        });
        let wish = Wish {
            direction: "outbound-api",
            from: Some(&message.from),
            service: None,
            send_at: None,
            to: &message.to,
            body: &message.body,
            media_urls: Vec::new(),
            as_mms: false,
            smart_encoded: false,
            status_callback: None,
            extra: Extra { validity_seconds: validity, from_application: true, ..Extra::default() },
        };
        let accepted = self.accept(&store, &wish).await?;
        let mut batch = store.batch();
        self.queue(&accepted.message, accepted.lane, &mut batch);
        let committed = store.commit(batch).await;
        committed.map_err(|error| ApiError::new(20503, error.to_string()))?;
        Ok(accepted.message.sid)
    }

    /// Hands an inbound message to the application whose number it is for; whether there is
    /// one.
    pub(crate) async fn deliver_to_application(&self, message: &Message) -> Result<bool, Failure> {
        let Some(applications) = self.applications.get() else { return Ok(false) };
        let Some(system_id) = applications.numbers.get(&message.to) else { return Ok(false) };
        if let Some(lease) = applications.link.elsewhere() {
            return Err(Failure::Elsewhere(lease.to_owned()));
        }
        let inbound = InboundMessage {
            from: message.from.clone().unwrap_or_default(),
            to: message.to.clone(),
            body: message.body.clone(),
            ..InboundMessage::default()
        };
        let delivered = applications.link.deliver(system_id, &inbound).await;
        delivered.map(|()| true).map_err(|error| Failure::Retry(error.0))
    }
}

impl MessageSubmission for Messaging {
    fn send<'a>(
        &'a self,
        message: &'a SubmittedMessage,
    ) -> BoxFuture<'a, Result<Sid, SubmissionRefusal>> {
        Box::pin(async move {
            self.submitted(message).await.map_err(|error| match error.status {
                429 | 500..=599 => SubmissionRefusal::Busy(Unavailable(error.message)),
                _ => SubmissionRefusal::Refused { code: error.code },
            })
        })
    }
}

/// Tells applications.
pub struct Reporter(pub Arc<Messaging>);

impl Worker for Reporter {
    const QUEUE: &'static str = REPORT;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let Report { sid, at } = job.read()?;
        let found = Message::load(store, sid).await?;
        let applications = self.0.applications.get();
        if let (Some(message), Some(applications)) = (found, applications) {
            let code = message.error_code.and_then(|code| u32::try_from(code).ok());
            let status = match message.status {
                Status::Delivered => ReceiptStatus::Delivered,
                Status::Read => ReceiptStatus::Read,
                _ => ReceiptStatus::Undelivered { code: code.unwrap_or(30008) },
            };
            if let Some(lease) = applications.link.elsewhere() {
                return Err(Failure::Elsewhere(lease.to_owned()));
            }
            let told = applications.link.status(&SubmissionStatus { sid, status, at }).await;
            told.map_err(|error| Failure::Retry(error.0))?;
        }
        Ok(store.batch())
    }
}
