//! The last hop: a promised delivery meets its handset.

use contracts::{OutboundMessage, Receipt, ReceiptStatus};
use jobs::{Failure, Job, Worker};
use kernel::Sid;
use serde::{Deserialize, Serialize};

use crate::Sim;
use crate::handset::{self, Behaviour, ThreadEntry};

pub const DELIVER_QUEUE: &str = "sim.deliver";

/// A message under way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    sid: Sid,
    from: String,
    to: String,
    body: String,
    media: Vec<String>,
    #[serde(default)]
    rich: Option<String>,
    /// The network loses it.
    fault: bool,
}

impl Delivery {
    pub(crate) fn of(message: &OutboundMessage, fault: bool) -> Self {
        Self {
            sid: message.sid,
            from: message.from.clone(),
            to: message.to.clone(),
            body: message.body.clone(),
            media: message.media.iter().map(|item| item.url.clone()).collect(),
            rich: message.rich.clone(),
            fault,
        }
    }
}

impl Worker for Sim {
    const QUEUE: &'static str = DELIVER_QUEUE;

    async fn run(
        &self,
        job: &Job,
        store: &jobs::AccountStore,
    ) -> Result<jobs::AccountBatch, Failure> {
        let delivery: Delivery = job.read()?;
        let handset = self.handset(handset::number_of(&delivery.to)).await.map_err(retry)?;
        let now = self.queue.clock().now();
        let refusal = if delivery.fault { Some(30008) } else { handset.behaviour.refusal() };
        if refusal.is_none() && handset.behaviour != Behaviour::Silent {
            let entry = ThreadEntry {
                sid: delivery.sid.to_string(),
                outgoing: false,
                peer: delivery.from.clone(),
                body: delivery.body.clone(),
                media: delivery.media.clone(),
                at: now,
                failed: false,
                rich: delivery.rich.as_deref().and_then(|json| serde_json::from_str(json).ok()),
                account: Some(job.account),
                read: false,
            };
            handset::remember(&*self.notes, handset::number_of(&delivery.to), delivery.sid, &entry)
                .await
                .map_err(retry)?;
        }
        let status = match (refusal, handset.behaviour) {
            (Some(code), _) => Some(ReceiptStatus::Undelivered { code }),
            (None, Behaviour::Silent) => None,
            (None, _) => Some(ReceiptStatus::Delivered),
        };
        if let Some(status) = status {
            let receipt = Receipt { account: job.account, sid: delivery.sid, status, done_at: now };
            self.sink().receipt(&receipt).await.map_err(retry)?;
        }
        Ok(store.batch())
    }
}

fn retry(error: impl std::fmt::Display) -> Failure {
    Failure::Retry(error.to_string())
}
