//! Calls on the simulated network: ringing, what is heard, and what people do.

use std::sync::Arc;
use std::time::Duration;

use contracts::{
    AnsweredBy, BoxFuture, CallDoor, Ending, InboundCall, Item, LegEvent, LegReport, NotesError,
    Order, OutboundCall, Turn, Unavailable, VoiceCarrier, VoiceSink,
};
use jobs::{Failure, Job, NewJob, Worker};
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};

use crate::away::Deed;
use crate::leg::{self, Heard, Leg, LegStatus, Sound};
use crate::line_in::NoPage;
use crate::sound::Sounds;
use crate::{Sim, handset};

/// Queue of what happens on legs by itself.
pub const LEG_QUEUE: &str = "sim.leg";
/// Legs that hear one speaker.
const ROOM_MAX: u32 = 300;

/// A call as the network brings it: to a number, with nothing beside it.
fn incoming(from: &str, to: &str, caller_name: Option<String>, at: Timestamp) -> InboundCall {
    let (from, to) = (from.to_owned(), to.to_owned());
    InboundCall { from, to, caller_name, at, door: CallDoor::Number, params: Vec::new() }
}

/// What happens on a leg when its time has come.
#[derive(Serialize, Deserialize)]
struct Due {
    leg: Sid,
    what: What,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum What {
    Ring,
    PickUp {
        by: AnsweredBy,
    },
    Played {
        id: u32,
    },
    /// What was done on another node is heard on the one that has the leg's sound.
    Sound(Deed),
}

/// Why a handset cannot do what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandsetCallError {
    /// It is not in a call that allows it.
    NoSuchCall,
    NobodyOwns,
    /// A page cannot listen.
    NoPage(NoPage),
    /// The sound of the call is on another node.
    Elsewhere,
    Unavailable(Unavailable),
}

impl From<NotesError> for HandsetCallError {
    fn from(error: NotesError) -> Self {
        Self::Unavailable(Unavailable(error.to_string()))
    }
}

impl From<Unavailable> for HandsetCallError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

pub(crate) fn unavailable(error: NotesError) -> Unavailable {
    Unavailable(error.to_string())
}

impl Sim {
    pub(crate) fn voice(&self) -> &Arc<dyn VoiceSink> {
        self.voice.get().expect("the binary connects Voice before it starts")
    }

    /// Legs are read and written by one at a time, on whichever node.
    pub(crate) async fn turn(
        &self,
    ) -> Result<(tokio::sync::MutexGuard<'_, ()>, Turn), Unavailable> {
        let here = self.legs.lock().await;
        Ok((here, self.notes.turn("legs").await.map_err(unavailable)?))
    }

    pub(crate) async fn leg(&self, sid: Sid) -> Result<Option<Leg>, NotesError> {
        let text = self.notes.get(&format!("leg/{sid}")).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    async fn keep(&self, leg: &Leg) -> Result<(), NotesError> {
        let text = serde_json::to_string(leg).expect("a leg is plain data");
        self.notes.put(&format!("leg/{}", leg.sid), text).await
    }

    /// Writes a new leg, and that its handset has it.
    async fn keep_new(&self, leg: &Leg) -> Result<(), NotesError> {
        self.keep(leg).await?;
        let key = format!("calls/{}/{}", leg.handset, leg.sid.hex());
        self.notes.put(&key, leg.sid.to_string()).await?;
        if self.notes.get(&format!("handset/{}", leg.handset)).await?.is_none()
            && leg.handset.starts_with('+')
        {
            handset::save(&*self.notes, &self.handset(&leg.handset).await?).await?;
        }
        Ok(())
    }

    async fn report(&self, leg: &Leg, at: Timestamp, event: LegEvent) -> Result<(), Unavailable> {
        let report = LegReport { account: leg.account, leg: leg.sid, at, event };
        self.voice().report(&report).await
    }

    pub(crate) async fn promise(
        &self,
        leg: &Leg,
        what: What,
        at: Timestamp,
    ) -> Result<(), Unavailable> {
        // What is said follows what was said.
        let is_sound = matches!(what, What::Sound(_));
        let job = NewJob::now(LEG_QUEUE, self.queue.clock(), &Due { leg: leg.sid, what }).at(at);
        let job = if is_sound { job.in_lane(format!("sound/{}", leg.sid)) } else { job };
        self.queue.add(leg.account, job).await.map_err(|error| Unavailable(error.0))
    }

    /// The calls of a handset, newest first.
    pub async fn calls(&self, number: &str, limit: u32) -> Result<Vec<Leg>, NotesError> {
        let keys = self.notes.newest(&format!("calls/{number}/"), limit).await?;
        let mut legs = Vec::with_capacity(keys.len());
        for (_, sid) in keys {
            if let Ok(sid) = sid.parse() {
                legs.extend(self.leg(sid).await?);
            }
        }
        Ok(legs)
    }

    /// The call that a handset is in, or that rings on it.
    async fn current(&self, number: &str, ringing: bool) -> Result<Leg, HandsetCallError> {
        let calls = self.calls(number, 20).await?;
        let fits = |leg: &Leg| match leg.status {
            LegStatus::Ringing => ringing,
            LegStatus::InProgress => true,
            LegStatus::Placed | LegStatus::Ended => false,
        };
        calls.into_iter().find(fits).ok_or(HandsetCallError::NoSuchCall)
    }

    /// Somebody dials on a handset.
    pub async fn call(&self, number: &str, to: &str) -> Result<Leg, HandsetCallError> {
        let _turn = self.turn().await?;
        let at = self.queue.clock().now();
        let name = self.handset(number).await?.name;
        let caller_name = Some(name).filter(|name| !name.is_empty());
        let call = incoming(number, to, caller_name, at);
        let Some((account, sid)) = self.voice().inbound(&call).await? else {
            return Err(HandsetCallError::NobodyOwns);
        };
        let leg = new_leg(account, sid, number, to, true, LegStatus::Ringing, at);
        self.keep_new(&leg).await?;
        self.voice().ring(account, sid, at).await?;
        Ok(leg)
    }

    /// Somebody answers the call that rings.
    pub async fn answer(&self, number: &str) -> Result<Leg, HandsetCallError> {
        let _turn = self.turn().await?;
        let mut leg = self.current(number, true).await?;
        if leg.status != LegStatus::Ringing || leg.outgoing {
            return Err(HandsetCallError::NoSuchCall);
        }
        let by = self.handset(number).await?.answered_by;
        self.pick_up(&mut leg, by, self.queue.clock().now()).await?;
        Ok(leg)
    }

    async fn pick_up(
        &self,
        leg: &mut Leg,
        by: AnsweredBy,
        at: Timestamp,
    ) -> Result<(), Unavailable> {
        leg.answer(at);
        self.keep(leg).await.map_err(unavailable)?;
        self.report(leg, at, LegEvent::Answered { by }).await
    }

    /// Somebody declines the call that rings.
    pub async fn decline(&self, number: &str) -> Result<Leg, HandsetCallError> {
        let _turn = self.turn().await?;
        let mut leg = self.current(number, true).await?;
        if leg.status != LegStatus::Ringing || leg.outgoing {
            return Err(HandsetCallError::NoSuchCall);
        }
        self.finish(&mut leg, Ending::Busy, self.queue.clock().now()).await?;
        Ok(leg)
    }

    /// Somebody hangs up.
    pub async fn hang_up(&self, number: &str) -> Result<Leg, HandsetCallError> {
        let _turn = self.turn().await?;
        let mut leg = self.current(number, true).await?;
        self.finish(&mut leg, Ending::HungUp, self.queue.clock().now()).await?;
        Ok(leg)
    }

    /// The end of a leg comes first, then what was recorded of it.
    async fn finish(
        &self,
        leg: &mut Leg,
        ending: Ending,
        at: Timestamp,
    ) -> Result<(), Unavailable> {
        let room = leg.room.as_ref().map(|(room, _)| room.clone());
        let mut after = leg.end(at);
        self.keep(leg).await.map_err(unavailable)?;
        self.has_left(leg, room, at).await?;
        self.end_sound(leg, &mut after, at).await?;
        self.report(leg, at, LegEvent::Ended(ending)).await?;
        for event in after {
            self.report(leg, at, event).await?;
        }
        Ok(())
    }

    /// Somebody presses keys.
    pub async fn press(&self, number: &str, keys: &str) -> Result<Leg, HandsetCallError> {
        let _turn = self.turn().await?;
        let mut leg = self.current(number, false).await?;
        let at = self.queue.clock().now();
        let shown = if leg.keys_are_secret { leg::hidden(keys) } else { keys.to_owned() };
        let line = |sound| Heard { at, sound, text: shown.clone(), millis: None, cut: false };
        leg.hear(line(Sound::Pressed));
        self.keep(&leg).await?;
        self.report(&leg, at, LegEvent::Digits(keys.to_owned())).await?;
        if leg.keys_are_secret {
            return Ok(leg);
        }
        self.sound_out(&leg, Deed::Press { keys: keys.to_owned() }, at).await?;
        for mut other in self.listeners(&leg).await? {
            other.hear(line(Sound::Tones));
            self.keep(&other).await?;
        }
        Ok(leg)
    }

    /// Somebody says something.
    pub async fn speak(&self, number: &str, text: &str) -> Result<Leg, HandsetCallError> {
        let _turn = self.turn().await?;
        let mut leg = self.current(number, false).await?;
        let at = self.queue.clock().now();
        let millis = leg::spoken_millis(text);
        let line =
            |sound| Heard { at, sound, text: text.to_owned(), millis: Some(millis), cut: false };
        leg.hear(line(Sound::Spoke));
        leg.record(text);
        self.keep(&leg).await?;
        self.record_words(&leg, text).await?;
        self.report(&leg, at, LegEvent::Speech { text: text.to_owned(), millis }).await?;
        self.sound_out(&leg, Deed::Say { text: text.to_owned() }, at).await?;
        for mut other in self.listeners(&leg).await? {
            other.hear(line(Sound::Voice));
            other.record(text);
            self.keep(&other).await?;
        }
        Ok(leg)
    }

    /// The program on a handset sends JSON text.
    pub async fn message(&self, number: &str, content: &str) -> Result<Leg, HandsetCallError> {
        let _guard = self.legs.lock().await;
        let mut leg = self.current(number, false).await?;
        let at = self.queue.clock().now();
        let text = content.to_owned();
        leg.hear(Heard { at, sound: Sound::Sent, text, millis: None, cut: false });
        self.keep(&leg).await?;
        self.report(&leg, at, LegEvent::Message { content: content.to_owned() }).await?;
        Ok(leg)
    }

    /// Somebody with sound is in a room: the handsets in it hear, and are heard.
    async fn begin_sound_in(&self, room: &str) -> Result<(), Unavailable> {
        if self.sounds.get().is_none_or(|sounds| sounds.is_in(room)) {
            return Ok(());
        }
        let _turn = self.turn().await?;
        self.fill(room).await
    }

    /// The handsets in a room get sound.
    async fn fill(&self, room: &str) -> Result<(), Unavailable> {
        let Some(sounds) = self.sounds.get() else { return Ok(()) };
        sounds.begin_here(room);
        let at = self.queue.clock().now();
        let found = self.notes.newest(&format!("room/{room}/"), ROOM_MAX).await;
        for (_, sid) in found.map_err(unavailable)? {
            let Ok(sid) = sid.parse::<Sid>() else { continue };
            if let Some(leg) = self.leg(sid).await.map_err(unavailable)? {
                sounds.begin(&leg, at).await?;
            }
        }
        Ok(())
    }

    /// Connects a page to a call: it hears what the handset hears, and what it sends is said on the
    /// handset. The answer to its offer (SDP). `page` is a number of its own, to leave with.
    pub async fn listen(&self, leg: Sid, page: u64, sdp: &str) -> Result<String, HandsetCallError> {
        let _turn = self.turn().await?;
        let found = self.leg(leg).await?;
        let found = found.filter(|leg| leg.status == LegStatus::InProgress);
        let leg = found.ok_or(HandsetCallError::NoSuchCall)?;
        let none = || Unavailable("there is no sound left for this call".to_owned());
        let sounds = self.sounds.get().ok_or_else(none)?;
        if !sounds.begin(&leg, self.queue.clock().now()).await? {
            return Err(HandsetCallError::Elsewhere);
        }
        if let Some((room, _)) = &leg.room
            && !sounds.is_in(room)
        {
            self.fill(room).await?;
        }
        let line = sounds.of(leg.sid).ok_or_else(none)?;
        sounds.pages.connect(&line, page, sdp).await.map_err(HandsetCallError::NoPage)
    }

    /// A page leaves a call.
    pub fn leave(&self, leg: Sid, page: u64) {
        if let Some(line) = self.sounds.get().and_then(|sounds| sounds.of(leg)) {
            line.leave(page);
        }
    }

    /// The legs that hear what is said on this one.
    async fn listeners(&self, speaker: &Leg) -> Result<Vec<Leg>, NotesError> {
        let Some((room, part)) = speaker.room.as_ref().filter(|(_, part)| part.speaks) else {
            return Ok(Vec::new());
        };
        let mut found = self.ears_in(room).await?;
        found.retain(|leg| {
            leg.sid != speaker.sid && part.only_to.is_none_or(|only| only == leg.sid)
        });
        Ok(found)
    }

    /// The legs that hear what there is to hear in a room.
    async fn ears_in(&self, room: &str) -> Result<Vec<Leg>, NotesError> {
        let mut found = Vec::new();
        for (_, sid) in self.notes.newest(&format!("room/{room}/"), ROOM_MAX).await? {
            let Ok(sid) = sid.parse::<Sid>() else { continue };
            let Some(leg) = self.leg(sid).await? else { continue };
            if leg.room.as_ref().is_some_and(|(known, part)| known == room && part.hears) {
                found.push(leg);
            }
        }
        Ok(found)
    }

    /// Everybody in a room hears a beep.
    async fn beep_in(&self, room: &str, at: Timestamp) -> Result<(), Unavailable> {
        for mut leg in self.ears_in(room).await.map_err(unavailable)? {
            let (text, millis) = (String::new(), leg::length_millis(&Item::Beep));
            leg.hear(Heard { at, sound: Sound::Beep, text, millis, cut: false });
            self.keep(&leg).await.map_err(unavailable)?;
        }
        Ok(())
    }

    async fn carry_out(&self, sid: Sid, at: Timestamp, order: &Order) -> Result<(), Unavailable> {
        let _turn = self.turn().await?;
        let Some(mut leg) = self.leg(sid).await.map_err(unavailable)? else { return Ok(()) };
        if let Some(sounds) = self.sounds.get().filter(|sounds| sounds.of(sid).is_none())
            && sounds.is_elsewhere(leg.account, sid).await?
        {
            return Err(Unavailable("the leg has just got its sound on another node".to_owned()));
        }
        let before = leg.room.as_ref().map(|(room, _)| room.clone());
        if let (Order::Beep, Some(room)) = (order, &before) {
            self.beep_in(room, at).await?;
            leg = self.leg(sid).await.map_err(unavailable)?.unwrap_or(leg);
        }
        let was_over = leg.status == LegStatus::Ended;
        let mut events = leg.follow(order, at);
        self.keep(&leg).await.map_err(unavailable)?;
        if let Some(sounds) = self.sounds.get().filter(|_| !was_over) {
            sounds.take_over(leg.sid, &mut events);
            sounds.follow(&leg, at, order).await?;
            if leg.status == LegStatus::Ended {
                sounds.end(leg.account, leg.sid).await?;
            }
        }
        let now = leg.room.as_ref().map(|(room, _)| room.clone());
        if before != now {
            self.has_left(&leg, before.clone(), at).await?;
            if let Some(room) = &now {
                let key = format!("room/{room}/{}", leg.sid.hex());
                self.notes.put(&key, leg.sid.to_string()).await.map_err(unavailable)?;
                let has_sound = |sounds: &&Sounds| sounds.of(sid).is_some() && !sounds.is_in(room);
                if self.sounds.get().as_ref().is_some_and(has_sound) {
                    self.fill(room).await?;
                }
            }
        }
        if let Some(room) = &now {
            self.record_as_told(&leg, room, at, order).await?;
        }
        if let Order::Play { id, item } = order
            && !was_over
            && let Some(millis) = leg::length_millis(item)
        {
            let end = at + Duration::from_millis(millis);
            self.promise(&leg, What::Played { id: *id }, end).await?;
        }
        for event in events {
            self.report(&leg, at, event).await?;
        }
        match leg.other_end {
            Some(other) if !was_over => self.reach(other, at, order).await,
            _ => Ok(()),
        }
    }

    /// A leg is in this room no more; who was last ends what is recorded of it.
    async fn has_left(
        &self,
        leg: &Leg,
        room: Option<String>,
        at: Timestamp,
    ) -> Result<(), Unavailable> {
        let Some(room) = room else { return Ok(()) };
        let key = format!("room/{room}/{}", leg.sid.hex());
        self.notes.delete(&key).await.map_err(unavailable)?;
        let others = self.notes.newest(&format!("room/{room}/"), 1).await.map_err(unavailable)?;
        match others.is_empty() {
            true => self.end_tapes(&room, None, at).await,
            false => Ok(()),
        }
    }

    /// What an order says of recordings of a room; where the room has sound, the engine makes them.
    async fn record_as_told(
        &self,
        leg: &Leg,
        room: &str,
        at: Timestamp,
        order: &Order,
    ) -> Result<(), Unavailable> {
        match order {
            Order::RecordRoom { recording } => match self.sounds.get() {
                Some(sounds) if sounds.is_in(room) => Ok(()),
                _ => self.record_room(leg, *recording, at).await.map_err(unavailable),
            },
            Order::StopRecording { recording } => self.end_tapes(room, Some(*recording), at).await,
            Order::PauseRecording { recording, skip } => {
                let done = self.pause_tape(room, *recording, at, Some(*skip)).await;
                done.map_err(unavailable)
            }
            Order::ResumeRecording { recording } => {
                self.pause_tape(room, *recording, at, None).await.map_err(unavailable)
            }
            _ => Ok(()),
        }
    }

    /// What an order to one end means to the other end, where both are this platform's.
    async fn reach(
        &self,
        (_, sid): (Sid, Sid),
        at: Timestamp,
        order: &Order,
    ) -> Result<(), Unavailable> {
        let Some(mut other) = self.leg(sid).await.map_err(unavailable)? else { return Ok(()) };
        if other.status == LegStatus::Ended {
            return Ok(());
        }
        match order {
            Order::Answer if other.status == LegStatus::Ringing => {
                self.pick_up(&mut other, AnsweredBy::Human, at).await
            }
            Order::HangUp => self.finish(&mut other, Ending::HungUp, at).await,
            Order::Reject { busy } => {
                let ending = if *busy { Ending::Busy } else { Ending::NoAnswer };
                self.finish(&mut other, ending, at).await
            }
            Order::Play { item: Item::Say { text, .. }, .. } => {
                let millis = leg::spoken_millis(text);
                other.record(text);
                self.keep(&other).await.map_err(unavailable)?;
                self.report(&other, at, LegEvent::Speech { text: text.clone(), millis }).await
            }
            Order::Play { item: Item::Tones { digits }, .. } => {
                let keys: String = digits.chars().filter(|key| !"wW".contains(*key)).collect();
                self.report(&other, at, LegEvent::Digits(keys)).await
            }
            _ => Ok(()),
        }
    }

    async fn due(&self, due: Due, at: Timestamp) -> Result<(), Unavailable> {
        let _turn = self.turn().await?;
        let Some(mut leg) = self.leg(due.leg).await.map_err(unavailable)? else { return Ok(()) };
        match due.what {
            What::Ring if leg.status == LegStatus::Placed => self.ring(leg, at).await,
            What::PickUp { by } if leg.status == LegStatus::Ringing => {
                self.pick_up(&mut leg, by, at).await
            }
            What::Played { id } if leg.played(id) => {
                self.keep(&leg).await.map_err(unavailable)?;
                self.report(&leg, at, LegEvent::Played { id }).await
            }
            _ => Ok(()),
        }
    }

    async fn ring(&self, mut leg: Leg, at: Timestamp) -> Result<(), Unavailable> {
        // A number of this platform is no handset: it is called like any other caller would.
        let call = incoming(&leg.peer, &leg.handset, None, at);
        if let Some((account, sid)) = self.voice().inbound(&call).await? {
            let (from, to) = (call.from.as_str(), call.to.as_str());
            let mut other = new_leg(account, sid, from, to, true, LegStatus::Ringing, at);
            other.other_end = Some((leg.account, leg.sid));
            leg.other_end = Some((account, sid));
            leg.status = LegStatus::Ringing;
            self.keep_new(&other).await.map_err(unavailable)?;
            self.keep(&leg).await.map_err(unavailable)?;
            self.report(&leg, at, LegEvent::Ringing).await?;
            return self.voice().ring(account, sid, at).await;
        }
        let handset = self.handset(&leg.handset).await.map_err(unavailable)?;
        if let Some(ending) = leg::refusal(&handset) {
            return self.finish(&mut leg, ending, at).await;
        }
        leg.status = LegStatus::Ringing;
        self.keep(&leg).await.map_err(unavailable)?;
        self.report(&leg, at, LegEvent::Ringing).await?;
        match leg::picks_up(&handset) {
            Some(by) => {
                let after = Duration::from_millis(handset.answers_after_ms);
                self.promise(&leg, What::PickUp { by }, at + after).await
            }
            None => Ok(()),
        }
    }
}

fn new_leg(
    account: Sid,
    sid: Sid,
    handset: &str,
    peer: &str,
    outgoing: bool,
    status: LegStatus,
    began: Timestamp,
) -> Leg {
    Leg {
        account,
        sid,
        handset: handset.to_owned(),
        peer: peer.to_owned(),
        outgoing,
        status,
        began,
        answered: None,
        ended: None,
        heard: Vec::new(),
        playing: None,
        room: None,
        recordings: Vec::new(),
        listening: None,
        other_end: None,
        keys_are_secret: false,
    }
}

impl VoiceCarrier for Sim {
    fn place<'a>(&'a self, call: &'a OutboundCall) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            let _turn = self.turn().await?;
            if self.leg(call.leg).await.map_err(unavailable)?.is_some() {
                return Ok(());
            }
            let status = LegStatus::Placed;
            let leg = new_leg(call.account, call.leg, &call.to, &call.from, false, status, call.at);
            self.keep_new(&leg).await.map_err(unavailable)?;
            let delay = crate::chance::delay(&self.network, call.leg.bits() as u64);
            self.promise(&leg, What::Ring, call.at + delay).await
        })
    }

    fn order<'a>(
        &'a self,
        _account: Sid,
        leg: Sid,
        at: Timestamp,
        order: &'a Order,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(self.carry_out(leg, at, order))
    }

    fn sound_in<'a>(&'a self, room: &'a str) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(self.begin_sound_in(room))
    }
}

/// Lets happen on legs what is due.
pub struct Legs(pub Arc<Sim>);

impl Worker for Legs {
    const QUEUE: &'static str = LEG_QUEUE;

    async fn run(
        &self,
        job: &Job,
        store: &jobs::AccountStore,
    ) -> Result<jobs::AccountBatch, Failure> {
        let due: Due = job.read()?;
        if let What::Sound(deed) = due.what {
            self.0.sound_due(job.account, due.leg, deed).await?;
            return Ok(store.batch());
        }
        self.0.due(due, job.ready_at).await.map_err(|error| Failure::Retry(error.0))?;
        Ok(store.batch())
    }
}
