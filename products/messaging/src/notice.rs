//! Notices that other products send to one person by text or WhatsApp.
//!
//! They leave as messages do, paced by their sender and with receipts, but they are not messages:
//! no list shows them, and their text, which may be a code, is sealed until the carrier has it.

use std::sync::Arc;

use contracts::{
    BoxFuture, Notice, NoticeChannel, NoticeError, NoticeOutcome, NoticeSender, OutboundMessage,
    Receipt, ReceiptStatus, Submission, Unavailable,
};
use jobs::{Failure, Job, NewJob, Worker};
use kernel::Sid;
use serde::{Deserialize, Serialize};
use store::{AccountBatch, AccountStore, StoreError};

use crate::Messaging;
use crate::create::recipient;
use crate::service::Need;

/// Queue of accepted notices.
const NOTICE: &str = "message.notice";
/// The claim of a notice that was accepted: the same one again is not sent again.
const CLAIM: &str = "notice";

/// Who notices come from when their asker does not say.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct NoticeSenders {
    /// A number, short code or name.
    pub sms: String,
    /// A number with WhatsApp; without it WhatsApp notices need a sender of their own.
    pub whatsapp: Option<String>,
    /// The number that spoken ones come from; without it there are none beyond development.
    pub call: Option<String>,
}

impl Default for NoticeSenders {
    fn default() -> Self {
        Self { sms: "VERIFY".into(), whatsapp: None, call: None }
    }
}

/// An accepted notice.
#[derive(Serialize, Deserialize)]
struct Accepted {
    reference: Sid,
    from: String,
    to: String,
    /// The text, sealed; hexadecimal.
    sealed: String,
}

impl NoticeSender for Messaging {
    fn send<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<(), NoticeError>> {
        Box::pin(async move {
            let store = self.parts.store.account(notice.account);
            let mut batch = store.batch();
            let (from, to) = self.addresses(&store, notice, &mut batch).await?;
            let reference = notice.reference;
            batch.run(
                "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
                vec![reference.into(), CLAIM.into(), reference.into()],
            );
            let sealed = self.parts.sealer.seal(&notice.text);
            let sealed = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
            let segments = i64::try_from(sms::segments(&notice.text).count).unwrap_or(i64::MAX);
            let lane = self.parts.rates.lane(notice.account, &from, segments);
            let accepted = Accepted { reference, from, to, sealed };
            let job = NewJob::now(NOTICE, &self.parts.clock, &accepted);
            let job = match lane {
                Some(lane) => job.paced(lane),
                None => job,
            };
            jobs::add(&mut batch, &self.parts.clock, job);
            match store.commit(batch).await {
                Ok(_) | Err(StoreError::Duplicate(_)) => Ok(()),
                Err(error) => Err(unavailable(error.to_string())),
            }
        })
    }
}

fn unavailable(why: String) -> NoticeError {
    NoticeError::Unavailable(Unavailable(why))
}

fn refused(code: u32) -> NoticeError {
    NoticeError::Refused { code }
}

impl Messaging {
    /// Sender and recipient as the carrier is to see them.
    async fn addresses(
        &self,
        store: &AccountStore,
        notice: &Notice,
        batch: &mut AccountBatch,
    ) -> Result<(String, String), NoticeError> {
        let facts = self.parts.accounts.facts(notice.account).await;
        let facts = facts.map_err(|error| unavailable(error.0))?;
        if !facts.is_some_and(|facts| facts.is_active) {
            return Err(refused(30002));
        }
        let on = |number: &str| match notice.channel {
            NoticeChannel::WhatsApp if !number.contains(':') => format!("whatsapp:{number}"),
            _ => number.to_owned(),
        };
        let to = on(&notice.to);
        let address = recipient(&to).map_err(|error| refused(error.code))?;
        let senders = &self.parts.notice_senders;
        let from = match (notice.from.as_deref(), notice.channel) {
            (Some(service), _) if Sid::is_form("MG", service) => {
                let found = self.service(store, service).await;
                let found = found.map_err(|error| unavailable(error.to_string()))?;
                let service = found.ok_or_else(|| refused(21701))?;
                let need = Need {
                    to: &address,
                    mms: false,
                    sticky: None,
                    geomatch: service.geomatch,
                    spread: notice.reference.bits() as u64,
                };
                let chosen = self.choose_sender(store, &service, need, batch).await;
                let chosen = chosen.map_err(|error| unavailable(error.to_string()))?;
                chosen.ok_or_else(|| refused(21703))?
            }
            (Some(from), _) => on(from),
            (None, NoticeChannel::Sms) => senders.sms.clone(),
            (None, NoticeChannel::WhatsApp) => {
                on(senders.whatsapp.as_deref().ok_or_else(|| refused(63007))?)
            }
            (None, NoticeChannel::Call | NoticeChannel::Email) => return Err(refused(60223)),
        };
        Ok((from, to))
    }

    /// What a receipt says of a notice.
    pub(crate) async fn settle_notice(&self, receipt: &Receipt) -> Result<(), Unavailable> {
        let outcome = match receipt.status {
            ReceiptStatus::Delivered | ReceiptStatus::Read => NoticeOutcome::Delivered,
            ReceiptStatus::Undelivered { code } => NoticeOutcome::Failed { code },
        };
        self.tell(receipt.account, receipt.sid, outcome).await
    }

    async fn tell(
        &self,
        account: Sid,
        reference: Sid,
        outcome: NoticeOutcome,
    ) -> Result<(), Unavailable> {
        match self.notices.get() {
            Some(sink) => sink.outcome(account, reference, outcome).await,
            None => Ok(()),
        }
    }
}

/// Takes notices to the carrier.
pub struct Notifier(pub Arc<Messaging>);

impl Worker for Notifier {
    const QUEUE: &'static str = NOTICE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let accepted: Accepted = job.read()?;
        let text = opened(&self.0, &accepted.sealed)?;
        let message = OutboundMessage {
            account: store.account(),
            sid: accepted.reference,
            from: accepted.from,
            to: accepted.to,
            segments: u32::try_from(sms::segments(&text).count).unwrap_or(u32::MAX),
            body: text,
            media: Vec::new(),
            rich: None,
        };
        let outcome = match self.0.carrier().submit(&message).await {
            Submission::Accepted => NoticeOutcome::Sent,
            Submission::Refused { code } => NoticeOutcome::Failed { code },
            Submission::Busy(why) => return Err(Failure::Retry(why.0)),
            Submission::Elsewhere(lease) => return Err(Failure::Elsewhere(lease.to_owned())),
        };
        let told = self.0.tell(store.account(), accepted.reference, outcome).await;
        told.map_err(|error| Failure::Retry(error.0))?;
        Ok(store.batch())
    }
}

fn opened(messaging: &Messaging, hex: &str) -> Result<String, Failure> {
    let broken = || Failure::Hopeless("the notice is not hexadecimal".into());
    let bytes = (0..hex.len() / 2).map(|at| {
        let pair = hex.get(2 * at..2 * at + 2).ok_or_else(broken)?;
        u8::from_str_radix(pair, 16).map_err(|_| broken())
    });
    let bytes = bytes.collect::<Result<Vec<u8>, Failure>>()?;
    messaging.parts.sealer.open(&bytes).map_err(|error| Failure::Hopeless(error.to_string()))
}
