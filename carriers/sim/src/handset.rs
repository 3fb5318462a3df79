//! Handsets and what they show, as notes.

use contracts::{AnsweredBy, CarrierNotes, NotesError};
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};

/// How a handset answers the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// Receives and confirms.
    #[default]
    On,
    /// Switched off: undelivered, 30003.
    Off,
    /// A landline: undelivered, 30006.
    Landline,
    /// Not a subscriber: undelivered, 30005.
    Unknown,
    /// Its memory is full: undelivered, 30003.
    Full,
    /// Receives and confirms half a minute late.
    Slow,
    /// Its carrier filters: undelivered, 30007.
    Filtered,
    /// Its carrier drops without a word: stays `sent`.
    Silent,
}

impl Behaviour {
    /// The code of a receipt that says no; `None` when the handset takes messages
    /// or nobody says anything.
    pub fn refusal(self) -> Option<u32> {
        match self {
            Self::On | Self::Slow | Self::Silent => None,
            Self::Off | Self::Full => Some(30003),
            Self::Unknown => Some(30005),
            Self::Landline => Some(30006),
            Self::Filtered => Some(30007),
        }
    }

    /// Whether somebody answers a call.
    pub fn picks_up(self) -> bool {
        matches!(self, Self::On | Self::Slow | Self::Landline | Self::Full)
    }
}

/// What a handset that is on does when it is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenCalled {
    /// Somebody answers after a while.
    #[default]
    Answer,
    /// It rings until somebody is told to answer.
    #[serde(alias = "no-answer")]
    Ring,
    Busy,
    /// Somebody declines; the caller hears that it is busy.
    Reject,
}

/// A simulated phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handset {
    /// E.164.
    pub number: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub behaviour: Behaviour,
    #[serde(default)]
    pub when_called: WhenCalled,
    /// How long it rings before somebody answers.
    #[serde(default = "usual_ring")]
    pub answers_after_ms: u64,
    #[serde(default = "usual_answerer")]
    pub answered_by: AnsweredBy,
}

fn usual_ring() -> u64 {
    1000
}

fn usual_answerer() -> AnsweredBy {
    AnsweredBy::Human
}

/// A line of a handset's thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadEntry {
    pub sid: String,
    /// Typed on this handset.
    pub outgoing: bool,
    /// Who it came from or went to.
    pub peer: String,
    pub body: String,
    /// Content types, or URLs where the platform serves them.
    pub media: Vec<String>,
    pub at: Timestamp,
    /// Nobody answers to the number it was sent to.
    #[serde(default)]
    pub failed: bool,
    /// Buttons, lists and the like, as WhatsApp shows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rich: Option<serde_json::Value>,
    /// Whose message it is, for its read receipt and its media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Sid>,
    /// Its owner has seen it, and says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read: bool,
}

/// The telephone number of an address: a handset has one thread for all channels.
pub(crate) fn number_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(_, number)| number)
}

pub(crate) async fn load(notes: &dyn CarrierNotes, number: &str) -> Result<Handset, NotesError> {
    let known = notes.get(&key(number)).await?;
    let known = known.and_then(|text| serde_json::from_str(&text).ok());
    Ok(known.unwrap_or_else(|| usual(number)))
}

/// A handset of which nobody has said anything.
fn usual(number: &str) -> Handset {
    Handset {
        number: number.to_owned(),
        name: String::new(),
        behaviour: Behaviour::On,
        when_called: WhenCalled::Answer,
        answers_after_ms: usual_ring(),
        answered_by: usual_answerer(),
    }
}

fn key(number: &str) -> String {
    format!("handset/{number}")
}

fn text(of: &impl Serialize) -> String {
    serde_json::to_string(of).expect("what is noted is plain text")
}

pub(crate) async fn save(notes: &dyn CarrierNotes, handset: &Handset) -> Result<(), NotesError> {
    notes.put(&key(&handset.number), text(handset)).await
}

pub(crate) async fn list(notes: &dyn CarrierNotes, limit: u32) -> Result<Vec<Handset>, NotesError> {
    let found = notes.newest("handset/", limit).await?;
    Ok(found.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect())
}

pub(crate) async fn thread(
    notes: &dyn CarrierNotes,
    number: &str,
    limit: u32,
) -> Result<Vec<ThreadEntry>, NotesError> {
    let found = notes.newest(&format!("thread/{number}/"), limit).await?;
    Ok(found.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect())
}

/// Adds a line to the thread. The key is the message's: the same message twice is one line.
pub(crate) async fn remember(
    notes: &dyn CarrierNotes,
    number: &str,
    sid: Sid,
    entry: &ThreadEntry,
) -> Result<(), NotesError> {
    let mut all = vec![(format!("thread/{number}/{}", sid.hex()), text(entry))];
    if notes.get(&key(number)).await?.is_none() {
        all.push((key(number), text(&usual(number))));
    }
    notes.put_all(all).await
}
