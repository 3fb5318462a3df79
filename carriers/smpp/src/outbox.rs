//! What waits for an application: receipts and messages, kept until it has them.
//!
//! Notes: `out/{system_id}/{inverted time and number}`, so that the oldest comes first.
//! Bound: 10 000 an application; more is not taken now. What waits longer than the
//! retention is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use contracts::{NotesError, Unavailable};
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use smpp::address::{Address, ShortCodeForm};
use smpp::coding::Alphabet;
use smpp::long::{self, LongForm};
use smpp::pace::Backoff;
use smpp::pdu::{Body, Sm};
use smpp::receipt::{self, Report, State};
use smpp::status::{Status, Verdict};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::Shared;
use crate::link::{Answer, Orders};

const WAITING_MAX: usize = 10_000;
const BATCH: u32 = 64;
/// How long one parcel waits for a window.
const PATIENCE: Duration = Duration::from_secs(30);
/// Looks without being woken, for what a failure left behind.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// One thing for an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Parcel {
    Receipt {
        from: End,
        to: End,
        id: String,
        code: Option<u32>,
        submitted_at: Timestamp,
        done_at: Timestamp,
    },
    Message {
        from: String,
        to: String,
        body: String,
    },
}

/// An address, as the application wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    ton: u8,
    npi: u8,
    digits: String,
}

impl From<&Address> for End {
    fn from(address: &Address) -> Self {
        Self { ton: address.ton, npi: address.npi, digits: address.digits.clone() }
    }
}

impl From<&End> for Address {
    fn from(end: &End) -> Self {
        Self { ton: end.ton, npi: end.npi, digits: end.digits.clone() }
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    at: Timestamp,
    parcel: Parcel,
}

pub(crate) struct Outbox {
    shared: Arc<Shared>,
    prefix: String,
    pub(crate) orders: Arc<Orders>,
    /// Sessions that can be delivered to.
    pub(crate) receivers: AtomicU32,
    waiting: AtomicUsize,
    number: AtomicU32,
    wake: Notify,
    form: LongForm,
    alphabet: Alphabet,
    retention: Duration,
}

impl Outbox {
    pub(crate) async fn open(
        shared: Arc<Shared>,
        system_id: &str,
        form: LongForm,
        alphabet: Alphabet,
        retention: Duration,
    ) -> Result<Self, NotesError> {
        let prefix = format!("out/{system_id}/");
        let waiting = shared.notes.newest(&prefix, WAITING_MAX as u32).await?.len();
        Ok(Self {
            shared,
            prefix,
            orders: Arc::new(Orders::new()),
            receivers: AtomicU32::new(0),
            waiting: AtomicUsize::new(waiting),
            number: AtomicU32::new(0),
            wake: Notify::new(),
            form,
            alphabet,
            retention,
        })
    }

    /// Keeps `parcel` durably. Error: too much waits, or the notes cannot be written.
    pub(crate) async fn push(&self, parcel: Parcel) -> Result<(), Unavailable> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Unavailable("too much waits for this application".to_owned()));
        }
        let at = self.shared.now();
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let order = (at.as_micros().max(0) as u128) << 32 | u128::from(number);
        let key = format!("{}{:032x}", self.prefix, !order);
        let value = serde_json::to_string(&Kept { at, parcel }).expect("a parcel is plain text");
        let put = self.shared.notes.put(&key, value).await;
        if put.is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.wake.notify_one();
        put.map_err(|error| Unavailable(error.to_string()))
    }

    /// A session can be delivered to now.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Delivers while somebody is bound, until `stop`.
    pub(crate) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        while !*stop.borrow() {
            let pause = match self.deliver_batch().await {
                Ok(Progress::All) => {
                    backoff.succeed();
                    continue;
                }
                Ok(Progress::Idle) => {
                    tokio::select! {
                        () = self.wake.notified() => Duration::ZERO,
                        () = tokio::time::sleep(LOOK_EVERY) => Duration::ZERO,
                        _ = async { stop.wait_for(|stopped| *stopped).await.is_ok() } => return,
                    }
                }
                Ok(Progress::Some) => backoff.fail(),
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be read");
                    backoff.fail()
                }
            };
            let _ = tokio::time::timeout(pause, stop.wait_for(|stopped| *stopped)).await;
        }
    }

    async fn deliver_batch(&self) -> Result<Progress, NotesError> {
        if self.receivers.load(Ordering::Relaxed) == 0 {
            return Ok(Progress::Idle);
        }
        let batch = self.shared.notes.newest(&self.prefix, BATCH).await?;
        if batch.is_empty() {
            return Ok(Progress::Idle);
        }
        let delivered = batch.iter().map(async |(key, value)| {
            let is_done = match serde_json::from_str::<Kept>(value) {
                Ok(kept) => self.deliver(&kept).await,
                Err(_) => true,
            };
            if is_done {
                self.shared.notes.delete(key).await?;
                self.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            Ok::<bool, NotesError>(is_done)
        });
        let done = futures_util::future::try_join_all(delivered).await?;
        Ok(if done.iter().all(|done| *done) { Progress::All } else { Progress::Some })
    }

    /// True when nothing is left to do for it.
    async fn deliver(&self, kept: &Kept) -> bool {
        if self.shared.now().since(kept.at) >= self.retention {
            tracing::warn!("what waited too long for an application is dropped");
            return true;
        }
        let deadline = Instant::now() + PATIENCE;
        let Ok(parts) = self.compose(&kept.parcel) else { return true };
        for sm in parts {
            match self.orders.place(Body::DeliverSm(sm), deadline).await {
                Answer::Answered { status, .. } => match status.verdict() {
                    Verdict::Accepted => {}
                    Verdict::Busy => return false,
                    Verdict::Refused(_) => {
                        tracing::warn!(%status, "an application refused a deliver_sm for good");
                        return true;
                    }
                },
                Answer::Unknown | Answer::NotSent => return false,
            }
        }
        true
    }

    fn compose(&self, parcel: &Parcel) -> Result<Vec<Sm>, long::TooLong> {
        match parcel {
            Parcel::Receipt { from, to, id, code, submitted_at, done_at } => {
                let template = Sm { source: from.into(), destination: to.into(), ..Sm::default() };
                let report = Report {
                    id: id.clone(),
                    state: state_of(*code),
                    code: code.unwrap_or(0),
                    submitted_at: *submitted_at,
                    done_at: *done_at,
                };
                Ok(vec![receipt::compose(&template, &report)])
            }
            Parcel::Message { from, to, body } => {
                let short_code = ShortCodeForm::default();
                let template = Sm {
                    source: Address::of(from, short_code),
                    destination: Address::of(to, short_code),
                    ..Sm::default()
                };
                let reference = self.number.fetch_add(1, Ordering::Relaxed) as u16;
                long::compose(&template, body, self.form, self.alphabet, reference)
            }
        }
    }
}

enum Progress {
    Idle,
    Some,
    All,
}

/// How a 30xxx reads in a receipt.
fn state_of(code: Option<u32>) -> State {
    match code {
        None => State::Delivered,
        Some(30036) => State::Expired,
        Some(30004 | 30007) => State::Rejected,
        Some(_) => State::Undeliverable,
    }
}

/// The status of a submission that was refused with a code of the error table.
pub(crate) fn refusal(code: u32) -> Status {
    match code {
        21211 | 21614 | 30005 | 30006 => Status::INVALID_DESTINATION,
        21212 | 21606 | 30024 => Status::INVALID_SOURCE,
        21610 | 30004 | 30007 => Status::RECEIVER_REJECTS,
        _ => Status::SUBMIT_FAILED,
    }
}
