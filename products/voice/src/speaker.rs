//! Who speaks in a conference, and when what was announced is over, for applications that want to
//! know (voice-api §4.11, `speaker` and `announcement`).

use std::time::Duration;

use jobs::Failure;
use serde_json::Value as Json;
use twiml::voice::{Params, Told};

use crate::act::Act;
use crate::conference::{Room, flag};
use crate::letter::What;

/// The kind of event.
const SPEAKER: &str = "speaker";

impl Room {
    /// The conference's callback wants to know who speaks.
    fn wants_speakers(&self) -> bool {
        let events = self.fields.get("callback_events").and_then(Json::as_array);
        events.is_some_and(|events| events.iter().any(|event| event == SPEAKER))
    }
}

impl Act<'_> {
    /// The leg of a participant is listened to, where who speaks is to be told.
    pub fn listen_for_speaker(&mut self, room: &Room) {
        self.live.ears.speaker = room.wants_speakers();
        if self.live.ears.speaker {
            self.listen();
        }
    }

    /// The participant has left.
    pub fn listen_no_more(&mut self) {
        self.live.is_speaking = false;
        if std::mem::take(&mut self.live.ears.speaker) && !self.is_over() {
            self.listen();
        }
    }

    /// The caller begins to speak.
    pub async fn speech_began(&mut self) -> Result<(), Failure> {
        if self.live.is_speaking || !self.tell_speaker("participant-speech-start").await? {
            return Ok(());
        }
        self.live.is_speaking = true;
        Ok(())
    }

    /// The caller speaks, and will for so long.
    pub async fn speaks(&mut self, millis: u64) -> Result<(), Failure> {
        self.speech_began().await?;
        if self.live.is_speaking {
            self.send_in(Duration::from_millis(millis), What::SpeechEnded);
        }
        Ok(())
    }

    pub async fn speech_ended(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.live.is_speaking) {
            self.tell_speaker("participant-speech-stop").await?;
        }
        Ok(())
    }

    /// False when nobody wants to know, or nobody hears this one.
    async fn tell_speaker(&mut self, event: &str) -> Result<bool, Failure> {
        let Some(conference) = self.live.conference.filter(|_| self.live.ears.speaker) else {
            return Ok(false);
        };
        let Some(mut room) = Room::load(self.store, conference).await? else { return Ok(false) };
        let call = self.call.sid.to_string();
        let Some(doc) = room.participant(&call).cloned() else { return Ok(false) };
        if flag(&doc, "muted") || flag(&doc, "hold") || !room.has_started() {
            return Ok(false);
        }
        let about = Room::about(&doc);
        room.tell(self.voice, &mut self.batch, self.at, (SPEAKER, event), about);
        room.save(&mut self.batch, self.at);
        Ok(true)
    }

    /// What was announced has been heard, or could not be.
    pub async fn announced(
        &mut self,
        url: String,
        told: Told,
        failure: Option<String>,
    ) -> Result<(), Failure> {
        let Some(conference) = self.live.conference.filter(|_| told != Told::Nothing) else {
            return Ok(());
        };
        let Some(mut room) = Room::load(self.store, conference).await? else { return Ok(()) };
        let call = self.call.sid.to_string();
        let mut params = Params::new();
        if let (Told::One, Some(doc)) = (told, room.participant(&call)) {
            params.extend(Room::about(doc));
        }
        params.push(("AnnounceUrl".to_owned(), url));
        let event = match failure {
            Some(why) => {
                params.push(("ReasonAnnouncementFailed".to_owned(), why));
                "announcement-fail"
            }
            None => "announcement-end",
        };
        room.tell(self.voice, &mut self.batch, self.at, ("announcement", event), params);
        room.save(&mut self.batch, self.at);
        Ok(())
    }
}
