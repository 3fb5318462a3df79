//! Conferences: who is in them, what they are told, and how they end (voice-api §7).
//!
//! A conference and its participants are documents. Whoever changes one writes the conference too,
//! so that of two changes at once one decides again.

use contracts::{Order, Part};
use jobs::Failure;
use kernel::{ApiError, Sid, Timestamp};
use rest::{Ctx, Doc};
use serde_json::{Map, Value as Json, json};
use store::{AccountBatch, AccountStore, StoreError};
use twiml::Method;
use twiml::voice::{Element, Input, Params, Source};
use webhooks::Callback;

use crate::act::Act;
use crate::letter::{Letter, What};
use crate::{Voice, conference_recording, insights};

pub(crate) const KIND: &str = "Conference";
pub(crate) const PARTICIPANT: &str = "Participant";
/// The claim of a running conference's name.
const NAME: &str = "conference-name";
const PARTICIPANTS_MAX: u64 = 250;

/// A conference with everybody in it.
pub(crate) struct Room {
    pub sid: Sid,
    doc: Option<Doc>,
    pub fields: Map<String, Json>,
    /// By call.
    pub participants: Vec<Doc>,
}

/// The running conference of this name.
pub(crate) async fn by_name(store: &AccountStore, name: &str) -> Result<Option<Sid>, StoreError> {
    let sql = "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
    let value = format!("{}/{name}", store.account());
    let row = store.point(sql, vec![NAME.into(), value.into()]).await?;
    Ok(row.map(|row| row.sid(0)))
}

/// Everybody in a conference, in the order they came.
async fn participants(store: &AccountStore, conference: Sid) -> Result<Vec<Doc>, StoreError> {
    let sql = "SELECT sid FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3
               ORDER BY date_created, sid LIMIT 500";
    let rows = store.query(sql, vec![PARTICIPANT.into(), conference.into()]).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        found.extend(rest::load(store, PARTICIPANT, &conference.to_string(), row.text(0)).await?);
    }
    Ok(found)
}

pub(crate) fn flag(doc: &Doc, name: &str) -> bool {
    doc.fields.get(name).and_then(Json::as_bool).unwrap_or(false)
}

impl Room {
    pub async fn load(store: &AccountStore, sid: Sid) -> Result<Option<Self>, StoreError> {
        let Some(doc) = rest::load(store, KIND, "", &sid.to_string()).await? else {
            return Ok(None);
        };
        let participants = participants(store, sid).await?;
        Ok(Some(Self { sid, fields: doc.fields.clone(), doc: Some(doc), participants }))
    }

    /// The running conference of this name, or a new one as `noun` wants it.
    pub async fn open(
        voice: &Voice,
        store: &AccountStore,
        noun: &Element,
        batch: &mut AccountBatch,
    ) -> Result<Self, StoreError> {
        let name = noun.text.as_str();
        if let Some(sid) = by_name(store, name).await?
            && let Some(room) = Self::load(store, sid).await?
        {
            return Ok(room);
        }
        let sid = voice.parts.clock.sid("CF");
        batch.run(
            "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
            vec![sid.into(), NAME.into(), format!("{}/{name}", store.account()).into()],
        );
        // What the first participant says of the conference counts.
        let fields = json!({
            "friendly_name": name,
            "status": "in-progress",
            "region": noun.get("region").unwrap_or("us1"),
            "started": false,
            "sequence": 0,
            "callback": noun.get("statusCallback"),
            "callback_method": noun.method("statusCallbackMethod").as_str(),
            "callback_events": noun.words("statusCallbackEvent"),
            "most": noun.integer("maxParticipants").unwrap_or(PARTICIPANTS_MAX),
            "record": conference_recording::setup(noun, sid),
        });
        let Json::Object(fields) = fields else { unreachable!("it is written as an object") };
        Ok(Self { sid, doc: None, fields, participants: Vec::new() })
    }

    pub fn is_over(&self) -> bool {
        self.fields.get("status") == Some(&"completed".into())
    }

    pub fn has_started(&self) -> bool {
        self.fields.get("started") == Some(&true.into())
    }

    /// Writes the conference, new or changed.
    pub fn save(&self, batch: &mut AccountBatch, now: Timestamp) {
        match &self.doc {
            Some(doc) => rest::revise(batch, KIND, "", doc, &self.fields, now),
            None => rest::insert(batch, KIND, "", &self.sid.to_string(), &self.fields, now),
        }
    }

    pub fn participant(&self, call: &str) -> Option<&Doc> {
        self.participants.iter().find(|doc| doc.sid == call || doc.text("label") == Some(call))
    }

    /// Tells the conference's callback, if it wants this kind of event.
    pub fn tell(
        &mut self,
        voice: &Voice,
        batch: &mut AccountBatch,
        at: Timestamp,
        (kind, event): (&str, &str),
        more: Params,
    ) {
        let sequence = self.fields.get("sequence").and_then(Json::as_i64).unwrap_or(0) + 1;
        self.fields.insert("sequence".into(), sequence.into());
        let body = json!({"friendly_name": self.fields.get("friendly_name")});
        batch.event(&format!("conference.{event}"), &self.sid.to_string(), at, body.to_string());
        let text = |name: &str| self.fields.get(name).and_then(Json::as_str);
        let Some(url) = text("callback") else { return };
        let events = self.fields.get("callback_events").and_then(Json::as_array);
        if !events.is_some_and(|events| events.iter().any(|wanted| wanted == kind)) {
            return;
        }
        let mut params: Params = vec![
            ("ConferenceSid".to_owned(), self.sid.to_string()),
            ("FriendlyName".to_owned(), text("friendly_name").unwrap_or_default().to_owned()),
            ("AccountSid".to_owned(), batch.account().to_string()),
            ("SequenceNumber".to_owned(), sequence.to_string()),
            ("Timestamp".to_owned(), at.rfc2822()),
            ("StatusCallbackEvent".to_owned(), event.to_owned()),
        ];
        params.extend(more);
        let callback = Callback {
            url: url.to_owned(),
            method: text("callback_method").unwrap_or("POST").to_owned(),
            params,
            resource: self.sid.to_string(),
        };
        webhooks::promise(batch, &voice.parts.clock, callback);
    }

    /// What callbacks say of a participant.
    pub fn about(doc: &Doc) -> Params {
        let yes = |name: &str| flag(doc, name).to_string();
        let mut params = vec![
            ("CallSid".to_owned(), doc.sid.clone()),
            ("Muted".to_owned(), yes("muted")),
            ("Hold".to_owned(), yes("hold")),
            ("Coaching".to_owned(), yes("coaching")),
            ("EndConferenceOnExit".to_owned(), yes("end_conference_on_exit")),
            ("StartConferenceOnEnter".to_owned(), yes("start_conference_on_enter")),
        ];
        for (name, field) in
            [("ParticipantLabel", "label"), ("CallSidToCoach", "call_sid_to_coach")]
        {
            params.extend(doc.text(field).map(|text| (name.to_owned(), text.to_owned())));
        }
        params
    }

    /// A participant's leg takes the part it has now.
    pub fn seat(&self, voice: &Voice, batch: &mut AccountBatch, doc: &Doc, at: Timestamp) {
        let Ok(leg) = doc.sid.parse::<Sid>() else { return };
        let held = flag(doc, "hold") || !self.has_started();
        let order = match held {
            true => Order::Leave,
            false => Order::Join {
                room: self.sid.to_string(),
                part: Part {
                    speaks: !flag(doc, "muted"),
                    hears: true,
                    only_to: match flag(doc, "coaching") {
                        true => doc.text("call_sid_to_coach").and_then(|sid| sid.parse().ok()),
                        false => None,
                    },
                },
            },
        };
        voice.order(batch, leg, at, order);
    }

    /// The conference is over for everybody.
    pub fn end(
        &mut self,
        voice: &Voice,
        batch: &mut AccountBatch,
        at: Timestamp,
        why: &str,
        by: Option<&Doc>,
    ) {
        self.fields.insert("status".into(), "completed".into());
        self.fields.insert("ended_at".into(), at.as_micros().into());
        self.fields.insert("reason_conference_ended".into(), why.into());
        let mut params = vec![("ReasonConferenceEnded".to_owned(), why.to_owned())];
        if let Some(by) = by {
            self.fields.insert("call_sid_ending_conference".into(), by.sid.clone().into());
            params.push(("CallSidEndingConference".to_owned(), by.sid.clone()));
            let label = by.text("label").unwrap_or_default().to_owned();
            params.push(("ParticipantLabelEndingConference".to_owned(), label));
        }
        let reason = match why {
            "conference-ended-via-api" => "conference_ended_via_api",
            _ => "moderator_ended_conference",
        };
        for doc in std::mem::take(&mut self.participants) {
            self.dismiss(voice, batch, &doc, at, reason);
        }
        self.tell(voice, batch, at, ("end", "conference-end"), params);
        batch.run("DELETE FROM claim WHERE account_sid = $1 AND sid = $2", vec![self.sid.into()]);
    }

    /// Takes a participant out who did not leave by itself.
    pub fn dismiss(
        &mut self,
        voice: &Voice,
        batch: &mut AccountBatch,
        doc: &Doc,
        at: Timestamp,
        reason: &str,
    ) {
        self.remove(voice, batch, doc, at, reason);
        if let Ok(call) = doc.sid.parse::<Sid>() {
            let ends_call = flag(doc, "api");
            let what = What::LeftConference { ends_call };
            voice.send(batch, Letter { call, at, what });
        }
    }

    fn remove(
        &mut self,
        voice: &Voice,
        batch: &mut AccountBatch,
        doc: &Doc,
        at: Timestamp,
        reason: &str,
    ) {
        self.participants.retain(|known| known.sid != doc.sid);
        insights::left(batch, self.sid, doc, at);
        batch.run(
            "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3
             AND sid = $4",
            vec![PARTICIPANT.into(), self.sid.into(), doc.sid.as_str().into()],
        );
        let mut params = Self::about(doc);
        params.push(("ReasonParticipantLeft".to_owned(), reason.to_owned()));
        self.tell(voice, batch, at, ("leave", "participant-leave"), params);
    }

    /// A participant has gone: the conference may be over with it.
    pub fn left(
        &mut self,
        voice: &Voice,
        batch: &mut AccountBatch,
        doc: &Doc,
        at: Timestamp,
        reason: &str,
    ) {
        let mut others = self.participants.iter().filter(|other| other.sid != doc.sid);
        let other = others.find_map(|other| other.sid.parse::<Sid>().ok());
        if let Some(other) = other.filter(|_| self.has_started() && beeps(doc, "onExit")) {
            voice.order(batch, other, at, Order::Beep);
        }
        let kicked = reason == "participant_updated_via_api";
        self.remove(voice, batch, doc, at, reason);
        let why = match (flag(doc, "end_conference_on_exit"), self.participants.is_empty()) {
            (true, _) if kicked => "participant-with-end-conference-on-exit-kicked",
            (true, _) => "participant-with-end-conference-on-exit-left",
            (false, true) if kicked => "last-participant-kicked",
            (false, true) => "last-participant-left",
            (false, false) => return,
        };
        self.end(voice, batch, at, why, Some(doc));
    }
}

impl Act<'_> {
    pub async fn join_conference(&mut self, noun: Element) -> Result<(), Failure> {
        let mut room = Room::open(self.voice, self.store, &noun, &mut self.batch).await?;
        let refusal = self.refuse(&room, &noun);
        if let Some((code, why)) = refusal {
            self.alert(code, &why);
            return self.not_conferred();
        }
        let start = noun.flag("startConferenceOnEnter", true);
        let fields = json!({
            "call_sid": self.call.sid,
            "conference_sid": room.sid,
            "label": noun.get("participantLabel"),
            "muted": noun.flag("muted", false),
            "hold": false,
            "coaching": noun.get("coach").is_some(),
            "call_sid_to_coach": noun.get("coach"),
            "start_conference_on_enter": start,
            "end_conference_on_exit": noun.flag("endConferenceOnExit", false),
            "status": "connected",
            "queue_time": "0",
            "api": self.call.setup.conference.is_some(),
            "beep": noun.get("beep").unwrap_or("true"),
            "wait_url": noun.get("waitUrl"),
            "wait_method": noun.method("waitMethod").as_str(),
        });
        let Json::Object(fields) = fields else { return Ok(()) };
        let (parent, sid) = (room.sid.to_string(), self.call.sid.to_string());
        rest::insert(&mut self.batch, PARTICIPANT, &parent, &sid, &fields, self.at);
        let doc = Doc { sid, fields, date_created: self.at, date_updated: self.at, version: 1 };
        let about = Room::about(&doc);
        let begins = start && !room.has_started();
        room.tell(self.voice, &mut self.batch, self.at, ("join", "participant-join"), about);
        if begins {
            room.fields.insert("started".into(), true.into());
            room.fields.insert("started_at".into(), self.at.as_micros().into());
            let event = ("start", "conference-start");
            room.tell(self.voice, &mut self.batch, self.at, event, Params::new());
            for other in &room.participants {
                room.seat(self.voice, &mut self.batch, other, self.at);
                if let Ok(call) = other.sid.parse::<Sid>() {
                    self.send(call, What::Machine(Input::Joined));
                }
            }
        }
        room.seat(self.voice, &mut self.batch, &doc, self.at);
        if room.has_started() && beeps(&doc, "onEnter") {
            self.order(Order::Beep);
        }
        self.record_conference(&mut room);
        self.listen_for_speaker(&room);
        self.live.conference = Some(room.sid);
        self.tell(match room.has_started() {
            true => Input::Joined,
            false => match noun.get("waitUrl") {
                // An empty URL is silence.
                Some("") => Input::Joined,
                Some(url) => Input::Waiting(Some(Source::Url {
                    url: url.to_owned(),
                    method: noun.method("waitMethod"),
                })),
                None => Input::Waiting(None),
            },
        });
        room.save(&mut self.batch, self.at);
        Ok(())
    }

    fn refuse(&self, room: &Room, noun: &Element) -> Option<(u32, String)> {
        let most = room.fields.get("most").and_then(Json::as_u64).unwrap_or(PARTICIPANTS_MAX);
        if room.participants.len() as u64 >= most {
            return Some((16020, format!("the conference has {most} participants, its most")));
        }
        let label = noun.get("participantLabel");
        if label.is_some_and(|label| label.contains('/') || Sid::is_form("CA", label)) {
            return Some((16023, "participantLabel has a slash, or is a CallSid".to_owned()));
        }
        if label.is_some_and(|label| room.participant(label).is_some()) {
            return Some((16025, "participantLabel is another participant's".to_owned()));
        }
        let target = noun.get("coach")?;
        match room.participant(target) {
            None => Some((16028, format!("{target}, who is to be coached, is not here"))),
            Some(doc) if flag(doc, "hold") => Some((16027, format!("{target} is on hold"))),
            Some(_) => None,
        }
    }

    fn not_conferred(&mut self) -> Result<(), Failure> {
        self.tell(Input::LeftConference(vec![("DialCallStatus".into(), "failed".into())]));
        Ok(())
    }

    /// This call leaves its conference.
    pub async fn leave_conference(&mut self, reason: &str) -> Result<(), Failure> {
        let Some(sid) = self.live.conference.take() else { return Ok(()) };
        if let Some(mut room) = Room::load(self.store, sid).await? {
            let call = self.call.sid.to_string();
            if let Some(doc) = room.participant(&call).cloned() {
                room.left(self.voice, &mut self.batch, &doc, self.at, reason);
                room.save(&mut self.batch, self.at);
            }
        }
        self.left_room();
        Ok(())
    }

    fn left_room(&mut self) {
        self.listen_no_more();
        if !self.is_over() {
            self.order(Order::Leave);
        }
        let answered = ("DialCallStatus".to_owned(), "answered".to_owned());
        self.tell(Input::LeftConference(vec![answered]));
    }

    /// The conference has sent this call away.
    pub fn left_conference(&mut self, ends_call: bool) {
        if self.live.conference.take().is_none() {
            return;
        }
        self.left_room();
        if ends_call {
            self.hang_up(crate::lifecycle::Status::Completed);
        }
    }
}

/// Whether the others hear that somebody comes or goes.
fn beeps(doc: &Doc, when: &str) -> bool {
    matches!(doc.text("beep"), Some(wanted) if wanted == "true" || wanted == when)
}

/// Changes a conference from the API, again if somebody else did meanwhile.
pub(crate) async fn change<T>(
    ctx: &Ctx,
    sid: Sid,
    mut decide: impl FnMut(&mut Room, &mut AccountBatch) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let failed = |error| rest::store_error(ctx, error);
    for _ in 0..8 {
        let room = Room::load(&ctx.store, sid).await.map_err(failed)?;
        let mut room = room.ok_or_else(|| ctx.not_found())?;
        let mut batch = ctx.store.batch();
        let made = decide(&mut room, &mut batch)?;
        room.save(&mut batch, ctx.now);
        match ctx.store.commit(batch).await {
            Ok(_) => return Ok(made),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(ApiError::new(20409, format!("Conference {sid} is being changed by others; try again")))
}

/// A method by its name; POST without one.
pub(crate) fn method(text: Option<&str>) -> Method {
    match text {
        Some(text) if text.eq_ignore_ascii_case("GET") => Method::Get,
        _ => Method::Post,
    }
}
