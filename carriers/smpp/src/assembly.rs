//! Long messages under way, kept until they are whole: a part that was acknowledged
//! survives a restart.
//!
//! Notes: `{prefix}/{from}/{to}/{reference}/{total}/{number}`. Bounds: 1000 messages
//! under way for ten minutes; beyond that the oldest leave as they are.

use std::sync::Arc;
use std::time::Duration;

use contracts::{CarrierNotes, NotesError};
use kernel::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use smpp::coding::Content;
use smpp::long::{GroupKey, Leaving, Place, Reassembly};
use tokio::sync::Mutex;

use crate::ledger::key_part;
use crate::link::Uptime;

const GROUPS_MAX: usize = 1_000;
const KEEP: Duration = Duration::from_secs(600);
/// Parts read at the start: every message under way with ten parts.
const RESTORE_MAX: u32 = 10_000;

/// What a part says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    Text(String),
    Binary(Vec<u8>),
}

impl From<Content> for Said {
    fn from(content: Content) -> Self {
        match content {
            Content::Text(text) => Self::Text(text),
            Content::Binary(octets) => Self::Binary(octets),
        }
    }
}

/// The text of parts in order, and their octets where they are binary.
pub(crate) fn join<'a>(parts: impl IntoIterator<Item = &'a Said>) -> (String, Vec<u8>) {
    let (mut text, mut octets) = (String::new(), Vec::new());
    for part in parts {
        match part {
            // Peers fill up with NUL, which no database takes as text.
            Said::Text(more) => text.extend(more.chars().filter(|c| *c != '\0')),
            Said::Binary(more) => octets.extend(more),
        }
    }
    (text, octets)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept<T> {
    from: String,
    to: String,
    reference: u16,
    total: u8,
    number: u8,
    part: T,
}

pub(crate) struct Assembly<T> {
    notes: Arc<dyn CarrierNotes>,
    prefix: String,
    uptime: Uptime,
    groups: Mutex<Reassembly<T>>,
}

impl<T: Clone + Serialize + DeserializeOwned> Assembly<T> {
    pub(crate) fn new(notes: Arc<dyn CarrierNotes>, prefix: String, uptime: Uptime) -> Self {
        Self { notes, prefix, uptime, groups: Mutex::new(Reassembly::new(GROUPS_MAX, KEEP)) }
    }

    /// Takes up what the run before left. A message that is whole was being accepted
    /// when the run ended; it leaves again.
    pub(crate) async fn restore(&self) -> Result<Vec<Leaving<T>>, NotesError> {
        let kept = self.notes.newest(&format!("{}/", self.prefix), RESTORE_MAX).await?;
        let mut groups = self.groups.lock().await;
        let mut leaving = Vec::new();
        for (_, value) in kept {
            if let Ok(kept) = serde_json::from_str::<Kept<T>>(&value) {
                let Kept { from, to, reference, total, number, part } = kept;
                let key = GroupKey { from, to, reference, total };
                leaving.extend(groups.add(self.now(), key, number, part));
            }
        }
        Ok(leaving)
    }

    /// Keeps a part durably. What leaves is the caller's until it says
    /// [`done`](Self::done) or [`not_done`](Self::not_done).
    pub(crate) async fn add(
        &self,
        from: &str,
        to: &str,
        place: Place,
        part: T,
    ) -> Result<Vec<Leaving<T>>, NotesError> {
        let Place { reference, total, number } = place;
        let key = GroupKey { from: from.into(), to: to.into(), reference, total };
        let kept = Kept {
            from: key.from.clone(),
            to: key.to.clone(),
            reference,
            total,
            number,
            part: part.clone(),
        };
        let value = serde_json::to_string(&kept).expect("a part is plain text");
        self.notes.put(&self.note(&key, number), value).await?;
        Ok(self.groups.lock().await.add(self.now(), key, number, part))
    }

    /// The messages that waited too long.
    pub(crate) async fn expire(&self) -> Vec<Leaving<T>> {
        self.groups.lock().await.expire(self.now())
    }

    /// The message is accepted elsewhere.
    pub(crate) async fn done(&self, message: &Leaving<T>) -> Result<(), NotesError> {
        for number in message.parts.keys() {
            self.notes.delete(&self.note(&message.key, *number)).await?;
        }
        Ok(())
    }

    /// The message could not be accepted: it waits again, without the part `number`,
    /// whose sender is told to send it again.
    pub(crate) async fn not_done(
        &self,
        message: Leaving<T>,
        number: Option<u8>,
    ) -> Result<(), NotesError> {
        let mut message = message;
        if let Some(number) = number {
            message.parts.remove(&number);
            self.notes.delete(&self.note(&message.key, number)).await?;
        }
        self.groups.lock().await.put_back(self.now(), message);
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.uptime.now()
    }

    fn note(&self, key: &GroupKey, number: u8) -> String {
        let GroupKey { from, to, reference, total } = key;
        let (from, to) = (key_part(from), key_part(to));
        format!("{}/{from}/{to}/{reference}/{total}/{number}", self.prefix)
    }
}
