//! Notices that other products have spoken to one person: a code that is called out.
//!
//! They ring and are heard as calls are, but they are no calls of the account: no list shows them.
//! The text, which may be a code, is sealed until the carrier has it and forgotten with the call. A
//! notice's leg has the SID of the notice, so that the same one again rings once.

use std::sync::Arc;
use std::time::Duration;

use contracts::{
    BoxFuture, Ending, Item, LegEvent, LegReport, Notice, NoticeError, NoticeOutcome, NoticeSender,
    Order, OutboundCall, Speech, Unavailable,
};
use jobs::{Failure, Job, NewJob, Worker};
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{AccountBatch, AccountStore, StoreError};

use crate::Voice;
use crate::act::retry;

const QUEUE: &str = "voice.notice";
const KIND: &str = "VoiceNotice";
/// The claim of a notice that was accepted: the same one again is not spoken again.
const CLAIM: &str = "notice-call";
const RINGS_FOR: Duration = Duration::from_secs(60);
/// How long a key is waited for after each time it was asked for.
const KEY_TIME: Duration = Duration::from_secs(5);
const ASKED_MAX: u32 = 3;

/// Where a notice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Ringing,
    /// The extension is dialled.
    Dialling,
    /// A key was asked for so often.
    Asking(u32),
    Saying,
    Over,
}

/// What happens to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Event {
    Leg(LegEvent),
    RingTimeout,
    /// No key came after it was asked for so often.
    KeyTimeout(u32),
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Dial,
    Ask(u32),
    AwaitKey(u32),
    Say,
    HangUp,
    Tell(NoticeOutcome),
}

/// What a notice is said with.
#[derive(Clone, Copy, Debug)]
struct Manner {
    has_extension: bool,
    asks_for_key: bool,
}

/// Nobody there: the code that messages have for it.
const UNREACHED: NoticeOutcome = NoticeOutcome::Failed { code: 30003 };
const UNKNOWN: NoticeOutcome = NoticeOutcome::Failed { code: 30005 };

/// The number of the item that is heard in a stage.
fn item_of(stage: Stage) -> u32 {
    match stage {
        Stage::Ringing | Stage::Over => 0,
        Stage::Dialling => 1,
        Stage::Asking(times) => 1 + times,
        Stage::Saying => 2 + ASKED_MAX,
    }
}

/// The whole state machine. An item that has ended counts only where it is the one that is heard:
/// the end of a prompt may come after the key that cut it off. Who hangs up while it is said has heard it.
fn apply(stage: Stage, event: &Event, manner: Manner) -> (Stage, Vec<Deed>) {
    use Stage::{Asking, Dialling, Over, Ringing, Saying};
    let next = match manner.asks_for_key {
        true => (Asking(1), Deed::Ask(1)),
        false => (Saying, Deed::Say),
    };
    let over = |outcome| (Over, vec![Deed::HangUp, Deed::Tell(outcome)]);
    match (stage, event) {
        (_, Event::Leg(LegEvent::Played { id })) if *id != item_of(stage) => (stage, Vec::new()),
        (Ringing, Event::Leg(LegEvent::Answered { .. })) if manner.has_extension => {
            (Dialling, vec![Deed::Tell(NoticeOutcome::Sent), Deed::Dial])
        }
        (Ringing, Event::Leg(LegEvent::Answered { .. })) => {
            (next.0, vec![Deed::Tell(NoticeOutcome::Sent), next.1])
        }
        (Ringing, Event::RingTimeout) => over(UNREACHED),
        (Dialling, Event::Leg(LegEvent::Played { .. })) => (next.0, vec![next.1]),
        (Asking(times), Event::Leg(LegEvent::Played { .. })) => {
            (stage, vec![Deed::AwaitKey(times)])
        }
        (Asking(_), Event::Leg(LegEvent::Digits(_))) => (Saying, vec![Deed::Say]),
        (Asking(times), Event::KeyTimeout(known)) if times == *known => match times < ASKED_MAX {
            true => (Asking(times + 1), vec![Deed::Ask(times + 1)]),
            false => over(UNREACHED),
        },
        (Saying, Event::Leg(LegEvent::Played { .. })) => over(NoticeOutcome::Delivered),
        (Saying, Event::Leg(LegEvent::Ended(_))) => {
            (Over, vec![Deed::Tell(NoticeOutcome::Delivered)])
        }
        (Ringing, Event::Leg(LegEvent::Ended(Ending::Failed))) => (Over, vec![Deed::Tell(UNKNOWN)]),
        (Ringing | Dialling | Asking(_), Event::Leg(LegEvent::Ended(_))) => {
            (Over, vec![Deed::Tell(UNREACHED)])
        }
        _ => (stage, Vec::new()),
    }
}

/// An event with its notice and time; without one, the call is to be placed.
#[derive(Serialize, Deserialize)]
struct Letter {
    notice: Sid,
    at: Timestamp,
    event: Option<Event>,
}

/// What is kept of a notice while it is under way.
#[derive(Serialize, Deserialize)]
struct Kept {
    stage: Stage,
    at: Timestamp,
    from: String,
    to: String,
    /// The text, sealed; hexadecimal.
    sealed: String,
    speech: Speech,
}

impl Kept {
    fn fields(&self) -> Map<String, Value> {
        match json!(self) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    fn manner(&self) -> Manner {
        Manner {
            has_extension: self.speech.digits.is_some(),
            asks_for_key: self.speech.prompt.is_some(),
        }
    }

    fn say(&self, text: String) -> Item {
        let Speech { voice, language, .. } = self.speech.clone();
        Item::Say { text, voice, language, loops: 1 }
    }
}

fn unavailable(why: String) -> NoticeError {
    NoticeError::Unavailable(Unavailable(why))
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or_default(), 16);
    pairs.filter_map(|pair| byte(pair).ok()).collect()
}

impl NoticeSender for Voice {
    fn send<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<(), NoticeError>> {
        Box::pin(async move {
            let facts = self.parts.accounts.facts(notice.account).await;
            let facts = facts.map_err(|error| unavailable(error.0))?;
            if !facts.is_some_and(|facts| facts.is_active) {
                return Err(NoticeError::Refused { code: 30002 });
            }
            let from = notice.from.as_ref().or(self.parts.notice_caller.as_ref());
            let from = from.ok_or(NoticeError::Refused { code: 60223 })?;
            let now = self.parts.clock.now();
            let sealed = self.parts.sealer.seal(&notice.text);
            let kept = Kept {
                stage: Stage::Ringing,
                at: now,
                from: from.clone(),
                to: notice.to.clone(),
                sealed: sealed.iter().map(|byte| format!("{byte:02x}")).collect(),
                speech: notice.speech.clone().unwrap_or_default(),
            };
            let reference = notice.reference;
            let store = self.parts.store.account(notice.account);
            let mut batch = store.batch();
            batch.run(
                "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
                vec![reference.into(), CLAIM.into(), reference.into()],
            );
            rest::insert(&mut batch, KIND, "", &reference.to_string(), &kept.fields(), now);
            self.happen(&mut batch, Letter { notice: reference, at: now, event: None });
            match store.commit(batch).await {
                Ok(_) | Err(StoreError::Duplicate(_)) => Ok(()),
                Err(error) => Err(unavailable(error.to_string())),
            }
        })
    }
}

impl Voice {
    /// Promises that something happens to a notice, in its order.
    fn happen(&self, batch: &mut AccountBatch, letter: Letter) {
        let job = NewJob::now(QUEUE, &self.parts.clock, &letter);
        let lane = format!("notice/{}", letter.notice);
        jobs::add(batch, &self.parts.clock, job.in_lane(lane));
    }

    fn happen_in(&self, batch: &mut AccountBatch, after: Duration, letter: Letter) {
        let job = NewJob::now(QUEUE, &self.parts.clock, &letter).at(letter.at + after);
        jobs::add(batch, &self.parts.clock, job);
    }

    /// What a carrier reports of a leg that is no call's.
    pub(crate) async fn report_notice(&self, report: &LegReport) -> Result<(), Unavailable> {
        let store = self.parts.store.account(report.account);
        let mut batch = store.batch();
        let event = Some(Event::Leg(report.event.clone()));
        self.happen(&mut batch, Letter { notice: report.leg, at: report.at, event });
        let done = store.commit(batch).await;
        done.map(drop).map_err(|error| Unavailable(error.to_string()))
    }

    async fn notice(&self, store: &AccountStore, letter: Letter) -> Result<AccountBatch, Failure> {
        let mut batch = store.batch();
        let sid = letter.notice.to_string();
        let Some(doc) = rest::load(store, KIND, "", &sid).await? else { return Ok(batch) };
        let kept = serde_json::from_value(Value::Object(doc.fields.clone()));
        let mut kept: Kept = kept.map_err(|error| Failure::Hopeless(error.to_string()))?;
        let now = self.parts.clock.now();
        // A call goes forward in time, and not beyond the present.
        kept.at = letter.at.max(kept.at).min(now.max(kept.at));
        let account = store.account();
        let Some(event) = letter.event else {
            let (from, to) = (kept.from.clone(), kept.to.clone());
            let extras = contracts::CallExtras::default();
            let call = OutboundCall { account, leg: letter.notice, from, to, at: kept.at, extras };
            self.carrier().place(&call).await.map_err(retry)?;
            let timeout =
                Letter { notice: letter.notice, at: kept.at, event: Some(Event::RingTimeout) };
            self.happen_in(&mut batch, RINGS_FOR, timeout);
            return Ok(batch);
        };
        let (stage, deeds) = apply(kept.stage, &event, kept.manner());
        kept.stage = stage;
        for deed in deeds {
            self.do_to_notice(&kept, letter.notice, account, deed, &mut batch).await?;
        }
        rest::revise(&mut batch, KIND, "", &doc, &kept.fields(), now);
        if stage == Stage::Over {
            batch.run(
                "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3
                 AND sid = $4",
                vec![KIND.into(), "".into(), sid.as_str().into()],
            );
        }
        Ok(batch)
    }

    async fn do_to_notice(
        &self,
        kept: &Kept,
        notice: Sid,
        account: Sid,
        deed: Deed,
        batch: &mut AccountBatch,
    ) -> Result<(), Failure> {
        let order = match deed {
            Deed::Tell(outcome) => {
                let Some(sink) = self.notices.get() else { return Ok(()) };
                return sink.outcome(account, notice, outcome).await.map_err(retry);
            }
            Deed::AwaitKey(times) => {
                let event = Some(Event::KeyTimeout(times));
                self.happen_in(batch, KEY_TIME, Letter { notice, at: kept.at, event });
                return Ok(());
            }
            Deed::HangUp => Order::HangUp,
            Deed::Dial => {
                let digits = kept.speech.digits.clone().unwrap_or_default();
                Order::Play { id: item_of(Stage::Dialling), item: Item::Tones { digits } }
            }
            Deed::Ask(times) => {
                let prompt = kept.speech.prompt.clone().unwrap_or_default();
                Order::Play { id: item_of(Stage::Asking(times)), item: kept.say(prompt) }
            }
            Deed::Say => {
                let text = self.parts.sealer.open(&unhex(&kept.sealed));
                let text = text.map_err(|error| Failure::Hopeless(error.to_string()))?;
                Order::Play { id: item_of(Stage::Saying), item: kept.say(text) }
            }
        };
        self.carrier().order(account, notice, kept.at, &order).await.map_err(retry)
    }
}

/// Lets happen to notices what happens.
pub(crate) struct Crier(pub Arc<Voice>);

impl Worker for Crier {
    const QUEUE: &'static str = QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        self.0.notice(store, job.read()?).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::AnsweredBy;

    #[test]
    fn the_whole_table() {
        use Stage::{Asking, Dialling, Over, Ringing, Saying};
        let plain = Manner { has_extension: false, asks_for_key: false };
        let asks = Manner { asks_for_key: true, ..plain };
        let dials = Manner { has_extension: true, ..asks };
        let answered = Event::Leg(LegEvent::Answered { by: AnsweredBy::Human });
        let played = |stage| Event::Leg(LegEvent::Played { id: item_of(stage) });
        let key = Event::Leg(LegEvent::Digits("5".into()));
        let ended = |why| Event::Leg(LegEvent::Ended(why));
        let (sent, heard) = (Deed::Tell(NoticeOutcome::Sent), Deed::Tell(NoticeOutcome::Delivered));
        let unreached = Deed::Tell(UNREACHED);
        for (stage, event, manner, next, deeds) in [
            (Ringing, answered.clone(), plain, Saying, vec![sent, Deed::Say]),
            (Ringing, answered.clone(), asks, Asking(1), vec![sent, Deed::Ask(1)]),
            (Ringing, answered.clone(), dials, Dialling, vec![sent, Deed::Dial]),
            (Ringing, ended(Ending::Busy), plain, Over, vec![unreached]),
            (Ringing, ended(Ending::Failed), plain, Over, vec![Deed::Tell(UNKNOWN)]),
            (Ringing, Event::RingTimeout, plain, Over, vec![Deed::HangUp, unreached]),
            (Saying, Event::RingTimeout, plain, Saying, vec![]),
            (Dialling, played(Dialling), dials, Asking(1), vec![Deed::Ask(1)]),
            (Asking(2), played(Asking(2)), asks, Asking(2), vec![Deed::AwaitKey(2)]),
            (Asking(2), played(Asking(1)), asks, Asking(2), vec![]),
            (Saying, played(Asking(2)), asks, Saying, vec![]),
            (Asking(1), key.clone(), asks, Saying, vec![Deed::Say]),
            (Asking(1), Event::KeyTimeout(1), asks, Asking(2), vec![Deed::Ask(2)]),
            (Asking(2), Event::KeyTimeout(1), asks, Asking(2), vec![]),
            (Asking(3), Event::KeyTimeout(3), asks, Over, vec![Deed::HangUp, unreached]),
            (Asking(1), ended(Ending::HungUp), asks, Over, vec![unreached]),
            (Saying, Event::KeyTimeout(1), asks, Saying, vec![]),
            (Saying, key, asks, Saying, vec![]),
            (Saying, played(Saying), plain, Over, vec![Deed::HangUp, heard]),
            (Saying, ended(Ending::HungUp), plain, Over, vec![heard]),
            (Over, answered, plain, Over, vec![]),
        ] {
            assert_eq!(apply(stage, &event, manner), (next, deeds), "{stage:?} {event:?}");
        }
    }

    #[test]
    fn sealed_bytes_survive_their_text() {
        assert_eq!(unhex("00ff1e"), [0, 255, 30]);
    }
}
