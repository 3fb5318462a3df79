//! What a call waits for outside: documents, sound files, texts, recordings being made.

use std::sync::Arc;

use clock::Clock;
use contracts::{SubmissionRefusal, SubmittedMessage};
use jobs::{Failure, Job, NewJob, Worker};
use kernel::{Sid, Timestamp};
use outbound::FetchFailure;
use serde::{Deserialize, Serialize};
use store::{AccountBatch, AccountStore};
use twiml::Method;
use twiml::voice::payment::Plan;
use twiml::voice::{Input, Params};
use webhooks::Question;

use crate::Voice;
use crate::letter::{Letter, What};

/// Queue of questions.
pub(crate) const ASKS: &str = "voice.ask";
/// Largest sound file, in bytes.
const SOUND_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Content types of sound (twiml §6.3).
const SOUNDS: [&str; 11] = [
    "audio/mpeg",
    "audio/mp3",
    "audio/wav",
    "audio/wave",
    "audio/x-wav",
    "audio/aiff",
    "audio/x-aifc",
    "audio/x-aiff",
    "audio/x-gsm",
    "audio/gsm",
    "audio/ulaw",
];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    Document {
        id: u32,
        url: String,
        method: Method,
        params: Params,
        at: Timestamp,
    },
    Media {
        id: u32,
        url: String,
        at: Timestamp,
    },
    Text {
        from: String,
        to: String,
        body: String,
        status_callback: Option<String>,
    },
    /// Connects a ConversationRelay to its application; `setup` is what it is told first.
    Relay {
        session: Sid,
        url: String,
        setup: String,
    },
    /// Makes the sound of a recording, and says that it is there.
    Recording {
        sid: Sid,
    },
    /// Asks a connector for a payment.
    Payment(Box<PaymentAsked>),
}

/// A payment that was keyed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PaymentAsked {
    pub payment: Sid,
    pub plan: Plan,
    /// A [`twiml::voice::payment::Captured`] in JSON.
    pub sealed: String,
    /// The document's, not the API's.
    pub is_of_document: bool,
}

#[derive(Serialize, Deserialize)]
struct Asked {
    call: Sid,
    ask: Ask,
}

/// Promises to ask.
pub(crate) fn ask(batch: &mut AccountBatch, clock: &Clock, call: Sid, ask: &Ask) {
    let question = Asked { call, ask: ask.clone() };
    jobs::add(batch, clock, NewJob::now(ASKS, clock, &question));
}

/// Asks.
pub struct Asker(pub Arc<Voice>);

impl Worker for Asker {
    const QUEUE: &'static str = ASKS;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let Asked { call, ask } = job.read()?;
        let voice = &self.0;
        let mut batch = store.batch();
        let begun = voice.parts.clock.wall();
        let (input, at) = match ask {
            Ask::Document { id, url, method, params, at } => {
                (voice.document(store, call, id, url, method, params, &mut batch).await, at)
            }
            Ask::Media { id, url, at } => (voice.media(call, id, &url, &mut batch).await, at),
            Ask::Text { from, to, body, status_callback } => {
                if status_callback.is_some() {
                    let why = "statusCallback of <Sms> is not told; ask the Message instead";
                    voice.parts.webhooks.alert(&mut batch, &call.to_string(), 14105, why, "");
                }
                let at = voice.parts.clock.now();
                (voice.text(store, call, from, to, body, &mut batch).await?, at)
            }
            Ask::Relay { session, url, setup } => {
                voice.begin_relay(store, call, session, url, setup).await?;
                return Ok(batch);
            }
            Ask::Payment(asked) => {
                voice.pay(store, call, *asked, &mut batch).await?;
                return Ok(batch);
            }
            Ask::Recording { sid } => {
                voice.make_recording(store, sid, &mut batch).await?;
                return Ok(batch);
            }
        };
        // The call has waited as long as the answer took, whatever the clock has done since.
        let took = voice.parts.clock.wall().since(begun);
        let letter = Letter { call, at: at + took, what: What::Machine(input) };
        voice.send(&mut batch, letter);
        Ok(batch)
    }

    fn give_up(&self, job: &Job, store: &AccountStore) -> AccountBatch {
        match job.read::<Asked>() {
            // The call goes on without its recording.
            Ok(Asked { ask: Ask::Recording { .. }, .. }) | Err(_) => store.batch(),
            Ok(Asked { call, .. }) => self.0.given_up(store, call),
        }
    }
}

impl Voice {
    #[allow(clippy::too_many_arguments, reason = "the parts of one question")]
    async fn document(
        &self,
        store: &AccountStore,
        call: Sid,
        id: u32,
        url: String,
        method: Method,
        params: Params,
        batch: &mut AccountBatch,
    ) -> Input {
        let sid = call.to_string();
        let question = Question {
            url: &url,
            method: method.as_str(),
            params,
            resource: &sid,
            cookie_scope: Some(sid.clone()),
        };
        match self.parts.webhooks.ask(store.account(), question, batch).await {
            Ok(answer) => Input::Fetched {
                id,
                body: answer.body,
                content_type: answer.content_type,
                url: answer.final_url,
            },
            Err(FetchFailure { code, .. }) => Input::FetchFailed { id, code, url },
        }
    }

    /// Whether there is sound at `url`, and how long it is.
    ///
    /// Differs: the length of what is not WAV is taken from its size, as MP3 of 128 kbit/s.
    async fn media(&self, call: Sid, id: u32, url: &str, batch: &mut AccountBatch) -> Input {
        let sid = call.to_string();
        match self.parts.client.get_media(url, SOUND_BYTES_MAX).await {
            Err(failure) => {
                let why = format!("<Play> of {url}: {}", failure.message);
                self.parts.webhooks.alert(batch, &sid, failure.code, &why, url);
                Input::MediaFailed { id }
            }
            Ok(answer) => {
                let kind = answer.content_type.unwrap_or_default();
                let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                if !SOUNDS.contains(&kind.as_str()) {
                    let why = format!("<Play> of {url}: {kind} is no sound");
                    self.parts.webhooks.alert(batch, &sid, 13420, &why, url);
                    return Input::MediaFailed { id };
                }
                let millis =
                    millis_of(&answer.body).unwrap_or_else(|| answer.body.len() as u64 * 8 / 128);
                Input::Media { id, millis }
            }
        }
    }

    async fn text(
        &self,
        store: &AccountStore,
        call: Sid,
        from: String,
        to: String,
        body: String,
        batch: &mut AccountBatch,
    ) -> Result<Input, Failure> {
        let message =
            SubmittedMessage { account: store.account(), from, to, body, valid_until: None };
        let status = |status: &str| ("SmsStatus".to_owned(), status.to_owned());
        Ok(Input::Texted(match self.parts.texts.send(&message).await {
            Ok(sid) => vec![("SmsSid".to_owned(), sid.to_string()), status("sent")],
            Err(SubmissionRefusal::Busy(why)) => return Err(Failure::Retry(why.0)),
            Err(SubmissionRefusal::Refused { code }) => {
                let why = "the text of <Sms> is not sent";
                self.parts.webhooks.alert(batch, &call.to_string(), code, why, "");
                vec![status("failed")]
            }
        }))
    }
}

/// How long a WAV file is; `None` when it is none.
pub(crate) fn millis_of(file: &[u8]) -> Option<u64> {
    let sound = audio::wav::read(file).ok()?;
    let samples = (sound.samples.len() / usize::from(sound.channels.max(1))) as u64;
    Some(samples * 1000 / u64::from(sound.rate.max(1)))
}
