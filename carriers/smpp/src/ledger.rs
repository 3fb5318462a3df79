//! What is remembered of messages between their submission and their receipts.
//!
//! | note | value |
//! |---|---|
//! | `msg/{inverted sid}` | the [`Record`]; inverted, so that the oldest come first |
//! | `id/{bind}/{message id}` | `{sid} {part} {to}` |
//! | `early/{bind}/{message id}` | a receipt whose message is not known (yet) |
//! | `due/{sid}` | the outcome is known, Messaging not yet told |
//!
//! Bounds: 10 000 early receipts, an hour each; a record lives for the retention.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use contracts::{CarrierNotes, MessageSink, NotesError, ReceiptStatus};
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};
use smpp::receipt::{Fate, IdForm, candidates, file_id};

const EARLY_MAX: usize = 10_000;
const EARLY_KEEP: Duration = Duration::from_secs(3_600);
const LOCKS: usize = 64;
/// Rows of one look, and looks of one sweep; the next sweep takes the rest.
const SWEEP_MAX: u32 = 500;
const SWEEP_LOOKS: u32 = 20;

/// A message, as far as its parts came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) account: Sid,
    pub(crate) bind: String,
    pub(crate) to: String,
    pub(crate) at: Timestamp,
    /// Of the concatenation; a part that is sent later must carry the same.
    pub(crate) reference: u16,
    pub(crate) parts: Vec<Part>,
    /// Messaging knows the outcome.
    #[serde(default)]
    pub(crate) is_reported: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// Not sent, or nobody knows.
    Waiting,
    /// The SMSC has it. The id is empty when it gave none.
    Accepted {
        id: String,
    },
    Refused {
        code: u32,
    },
    Delivered {
        id: String,
        at: Timestamp,
    },
    Undelivered {
        id: String,
        code: u32,
        at: Timestamp,
    },
}

impl Record {
    fn text(&self) -> String {
        serde_json::to_string(self).expect("a record is plain text")
    }

    /// The notes of its message ids, with the part of each.
    fn id_notes(&self) -> Vec<(usize, String)> {
        let ids = self.parts.iter().enumerate();
        let ids = ids.filter_map(|(number, part)| Some((number, part.id()?)));
        ids.map(|(number, id)| (number, format!("id/{}/{}", self.bind, note_id(id)))).collect()
    }

    /// What the receipts so far say of the whole: delivered when all parts are,
    /// undelivered when one is.
    fn outcome(&self) -> Option<(ReceiptStatus, Timestamp)> {
        let mut latest = None;
        for part in &self.parts {
            match part {
                Part::Undelivered { code, at, .. } => {
                    return Some((ReceiptStatus::Undelivered { code: *code }, *at));
                }
                Part::Delivered { at, .. } => latest = latest.max(Some(*at)),
                Part::Waiting | Part::Accepted { .. } | Part::Refused { .. } => latest = None,
            }
        }
        let is_delivered = self.parts.iter().all(|part| matches!(part, Part::Delivered { .. }));
        latest.filter(|_| is_delivered).map(|at| (ReceiptStatus::Delivered, at))
    }
}

impl Part {
    fn id(&self) -> Option<&str> {
        match self {
            Self::Accepted { id } | Self::Delivered { id, .. } | Self::Undelivered { id, .. } => {
                Some(id.as_str()).filter(|id| !id.is_empty())
            }
            Self::Waiting | Self::Refused { .. } => None,
        }
    }
}

/// A receipt, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) id: String,
    /// `None`: delivered.
    pub(crate) code: Option<u32>,
    pub(crate) done_at: Timestamp,
    /// Either end of the receipt; one of them is the handset.
    pub(crate) ends: [String; 2],
    pub(crate) came_at: Timestamp,
}

impl Verdict {
    /// `None` while the message is under way.
    pub(crate) fn code_of(fate: Fate) -> Option<Option<u32>> {
        match fate {
            Fate::Delivered => Some(None),
            Fate::Undelivered(code) => Some(Some(code)),
            Fate::UnderWay => None,
        }
    }
}

pub(crate) struct Ledger {
    notes: Arc<dyn CarrierNotes>,
    /// Early receipts by bind and filed id.
    early: Mutex<HashMap<(String, String), Verdict>>,
    /// One change of a record at a time; a lock holds for a share of the SIDs.
    locks: Vec<tokio::sync::Mutex<()>>,
}

impl Ledger {
    pub(crate) fn new(notes: Arc<dyn CarrierNotes>) -> Self {
        let locks = (0..LOCKS).map(|_| tokio::sync::Mutex::new(())).collect();
        Self { notes, early: Mutex::new(HashMap::new()), locks }
    }

    /// Reads the early receipts of the run before.
    pub(crate) async fn restore(&self) -> Result<(), NotesError> {
        for (key, value) in self.notes.newest("early/", EARLY_MAX as u32).await? {
            let mut names = key.split('/').skip(1).map(str::to_owned);
            if let (Some(bind), Some(id), Ok(verdict)) =
                (names.next(), names.next(), serde_json::from_str(&value))
            {
                self.early().insert((bind, id), verdict);
            }
        }
        Ok(())
    }

    pub(crate) async fn record(&self, sid: Sid) -> Result<Option<Record>, NotesError> {
        let value = self.notes.get(&record_key(sid)).await?;
        Ok(value.and_then(|value| serde_json::from_str(&value).ok()))
    }

    /// Keeps what a submission learned: parts that `news` knows more of than what is
    /// kept. Receipts that were early are applied.
    pub(crate) async fn learn(
        &self,
        sid: Sid,
        news: &Record,
        form: IdForm,
        sink: &dyn MessageSink,
    ) -> Result<(), NotesError> {
        {
            let _lock = self.lock(sid).await;
            let mut record = news.clone();
            if let Some(kept) = self.record(sid).await? {
                record.is_reported = kept.is_reported;
                for (part, kept) in record.parts.iter_mut().zip(kept.parts) {
                    if kept != Part::Waiting {
                        *part = kept;
                    }
                }
            }
            // The caller hears of a refusal at once; receipts of other parts add nothing.
            record.is_reported |= record.parts.iter().any(|p| matches!(p, Part::Refused { .. }));
            // Together with its ids: a record that says accepted is not submitted again, and
            // without its ids no receipt would find it.
            let ids = news.id_notes().into_iter();
            let ids = ids.map(|(number, key)| (key, format!("{sid} {number} {}", news.to)));
            let notes = ids.chain([(record_key(sid), record.text())]).collect();
            self.notes.put_all(notes).await?;
        }
        // A receipt that comes from now on finds its message; one that came before is
        // found here.
        for id in news.parts.iter().filter_map(Part::id) {
            for verdict in self.take_early(&news.bind, id) {
                let key = early_key(&news.bind, &verdict.id);
                self.settle(&news.bind, verdict, form, sink).await?;
                self.notes.delete(&key).await?;
            }
        }
        Ok(())
    }

    /// Applies a receipt; one whose message is unknown is kept for an hour. When this
    /// returns `Ok`, the receipt is durable in one form or another.
    pub(crate) async fn settle(
        &self,
        bind: &str,
        verdict: Verdict,
        form: IdForm,
        sink: &dyn MessageSink,
    ) -> Result<(), NotesError> {
        if self.try_settle(bind, &verdict, form, sink).await? {
            return Ok(());
        }
        let id = note_id(&verdict.id);
        let value = serde_json::to_string(&verdict).expect("a verdict is plain text");
        self.notes.put(&early_key(bind, &verdict.id), value).await?;
        let crowded_out = {
            let mut early = self.early();
            early.insert((bind.to_owned(), id), verdict.clone());
            oldest_beyond(&mut early)
        };
        if let Some((bind, id)) = crowded_out {
            tracing::warn!(bind, "too many receipts of unknown messages; the oldest is dropped");
            self.notes.delete(&format!("early/{bind}/{id}")).await?;
        }
        // The submission may have written its ids between the look and the note.
        if self.try_settle(bind, &verdict, form, sink).await? {
            self.early().remove(&(bind.to_owned(), note_id(&verdict.id)));
            self.notes.delete(&early_key(bind, &verdict.id)).await?;
        }
        Ok(())
    }

    /// False: no such message is known.
    async fn try_settle(
        &self,
        bind: &str,
        verdict: &Verdict,
        form: IdForm,
        sink: &dyn MessageSink,
    ) -> Result<bool, NotesError> {
        let Some((sid, number)) = self.find(bind, verdict, form).await? else { return Ok(false) };
        let _lock = self.lock(sid).await;
        let Some(mut record) = self.record(sid).await? else { return Ok(false) };
        let Some(part) = record.parts.get_mut(number) else { return Ok(true) };
        let Part::Accepted { id } = part else {
            // Waiting: the record is older than the id, and its writer is not done.
            return Ok(!matches!(part, Part::Waiting));
        };
        let (id, at) = (std::mem::take(id), verdict.done_at);
        *part = match verdict.code {
            None => Part::Delivered { id, at },
            Some(code) => Part::Undelivered { id, code, at },
        };
        self.report(sid, record, sink).await?;
        Ok(true)
    }

    /// Tells Messaging what is decided, and keeps the record. When Messaging does not
    /// take it now, it is due, and this is false.
    async fn report(
        &self,
        sid: Sid,
        mut record: Record,
        sink: &dyn MessageSink,
    ) -> Result<bool, NotesError> {
        if let Some((status, done_at)) = record.outcome()
            && !record.is_reported
        {
            let receipt = contracts::Receipt { account: record.account, sid, status, done_at };
            match sink.receipt(&receipt).await {
                Ok(()) => record.is_reported = true,
                Err(why) => {
                    tracing::warn!(message_sid = %sid, %why, "a receipt has to wait");
                    self.notes.put(&format!("due/{sid}"), String::new()).await?;
                }
            }
        }
        self.put_record(sid, &record).await?;
        Ok(record.is_reported || record.outcome().is_none())
    }

    /// The message and part that a receipt is of; of several, the one to its address.
    async fn find(
        &self,
        bind: &str,
        verdict: &Verdict,
        form: IdForm,
    ) -> Result<Option<(Sid, usize)>, NotesError> {
        let mut first = None;
        for id in candidates(&verdict.id, form) {
            let Some(value) = self.notes.get(&format!("id/{bind}/{}", note_id(&id))).await? else {
                continue;
            };
            let mut words = value.splitn(3, ' ');
            let (sid, number) = (words.next(), words.next());
            let (Some(Ok(sid)), Some(Ok(number))) =
                (sid.map(str::parse::<Sid>), number.map(str::parse::<usize>))
            else {
                continue;
            };
            let to = smpp::address::Address {
                digits: words.next().unwrap_or_default().to_owned(),
                ..Default::default()
            };
            if verdict.ends.iter().any(|end| to.is_alike(end)) {
                return Ok(Some((sid, number)));
            }
            first = first.or(Some((sid, number)));
        }
        Ok(first)
    }

    /// Retries what is due, and forgets what is old.
    pub(crate) async fn sweep(
        &self,
        now: Timestamp,
        retention: Duration,
        sink: &dyn MessageSink,
    ) -> Result<(), NotesError> {
        for (key, _) in self.notes.newest("due/", SWEEP_MAX).await? {
            let Some(Ok(sid)) = key.strip_prefix("due/").map(str::parse::<Sid>) else { continue };
            let _lock = self.lock(sid).await;
            let is_settled = match self.record(sid).await? {
                Some(record) => self.report(sid, record, sink).await?,
                None => true,
            };
            if is_settled {
                self.notes.delete(&key).await?;
            }
        }
        for (bind, id) in self.drop_late_early(now) {
            tracing::warn!(bind, "no message was known for a receipt within an hour");
            self.notes.delete(&format!("early/{bind}/{id}")).await?;
        }
        for _ in 0..SWEEP_LOOKS {
            if !self.forget_oldest(now, retention).await? {
                break;
            }
        }
        Ok(())
    }

    /// True when there may be more to forget.
    async fn forget_oldest(&self, now: Timestamp, retention: Duration) -> Result<bool, NotesError> {
        let oldest = self.notes.newest("msg/", SWEEP_MAX).await?;
        let is_full = oldest.len() == SWEEP_MAX as usize;
        let mut keys = Vec::new();
        let mut is_young = false;
        for (key, value) in oldest {
            let record: Option<Record> = serde_json::from_str(&value).ok();
            is_young = record.as_ref().is_some_and(|record| now.since(record.at) < retention);
            if is_young {
                break;
            }
            let ids = record.map(|record| record.id_notes()).unwrap_or_default();
            keys.extend(ids.into_iter().map(|(_, key)| key));
            keys.push(key);
        }
        let forgotten = keys.iter().map(|key| self.notes.delete(key));
        futures_util::future::try_join_all(forgotten).await?;
        Ok(is_full && !is_young)
    }

    async fn put_record(&self, sid: Sid, record: &Record) -> Result<(), NotesError> {
        self.notes.put(&record_key(sid), record.text()).await
    }

    async fn lock(&self, sid: Sid) -> tokio::sync::MutexGuard<'_, ()> {
        let hex = sid.hex();
        let share = hex.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31) + usize::from(byte));
        self.locks[share % LOCKS].lock().await
    }

    fn early(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Verdict>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_early(&self, bind: &str, id: &str) -> Vec<Verdict> {
        let mut early = self.early();
        if early.is_empty() {
            return Vec::new();
        }
        let ids = candidates(id, IdForm::Auto);
        ids.iter().filter_map(|id| early.remove(&(bind.to_owned(), note_id(id)))).collect()
    }

    fn drop_late_early(&self, now: Timestamp) -> Vec<(String, String)> {
        let mut early = self.early();
        let is_late = |verdict: &Verdict| now.since(verdict.came_at) >= EARLY_KEEP;
        let late = early.iter().filter(|(_, verdict)| is_late(verdict));
        let late: Vec<_> = late.map(|(key, _)| key.clone()).collect();
        early.retain(|_, verdict| !is_late(verdict));
        late
    }
}

fn oldest_beyond(early: &mut HashMap<(String, String), Verdict>) -> Option<(String, String)> {
    if early.len() <= EARLY_MAX {
        return None;
    }
    let oldest = early.iter().min_by_key(|(_, verdict)| verdict.came_at);
    let oldest = oldest.map(|(key, _)| key.clone())?;
    early.remove(&oldest);
    Some(oldest)
}

fn record_key(sid: Sid) -> String {
    format!("msg/{}", inverted(sid))
}

/// Greatest for the oldest message: `newest` then begins with what is to be forgotten.
pub(crate) fn inverted(sid: Sid) -> String {
    let bits = u128::from_str_radix(&sid.hex(), 16).unwrap_or_default();
    format!("{:032x}", !bits)
}

fn early_key(bind: &str, id: &str) -> String {
    format!("early/{bind}/{}", note_id(id))
}

/// A message id as part of a key.
fn note_id(id: &str) -> String {
    key_part(&file_id(id))
}

/// Text of a peer as part of a key: keys are short ASCII without separators, so what is
/// not, stands there by its digest.
pub(crate) fn key_part(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    if text.len() <= 64 && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().fold("sha256:".to_owned(), |mut hex, byte| {
        hex.push_str(&format!("{byte:02x}"));
        hex
    })
}

#[cfg(test)]
#[path = "tests/ledger.rs"]
mod tests;
