//! A lane: lets its legs hear and say 20 ms at a time.
//!
//! A thread has eight lanes, whose ticks begin 2.5 ms after one another: a leg waits for the others of its
//! lane alone, and packets leave spread over the time instead of all at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use audio::dtmf::Key;
use audio::mix::{Heard, Limits, Mixer};
use audio::{Frame, SILENCE};
use contracts::{Order, Tracks};
use kernel::Sid;

use crate::Fork;
use crate::engine::Shared;
use crate::fetch::Sound;
use crate::leg::Leg;
use crate::link::RoomLink;
use crate::recorder::{self, Tape};

const TICK: Duration = Duration::from_millis(20);
/// Lanes of a thread.
const PHASES: usize = 8;
/// How much more of the processor than others a thread of sound gets when there is too little, as
/// `nice` counts; where that is allowed.
const NICE: i32 = -10;
/// Notes that wait for the next tick.
const INBOX_MAX: usize = 65_536;
/// Notes for a leg that is on its way from another lane.
const EARLY_MAX: usize = 256;
/// How late a tick may be before what was missed is left out.
const LATE_MAX: Duration = Duration::from_millis(200);

/// What a lane is told.
pub(crate) enum Note {
    Open(Box<Leg>),
    /// To the lane of the room it joins.
    Move {
        leg: Sid,
        to: Home,
    },
    Close(Sid),
    Play {
        leg: Sid,
        id: u32,
        sound: Sound,
        /// Of its beginning, what is over already.
        skipped_millis: u64,
    },
    /// [`Order::Record`] of a recording that began before the leg had sound.
    Record {
        leg: Sid,
        recording: Sid,
        tracks: Tracks,
        missed_millis: u64,
    },
    SaidIn {
        leg: Sid,
        recording: Sid,
        words: String,
    },
    Order {
        leg: Sid,
        order: Box<Order>,
    },
    Key {
        leg: Sid,
        key: Key,
    },
    Fork {
        leg: Sid,
        id: Sid,
        fork: Box<dyn Fork>,
    },
    Unfork {
        leg: Sid,
        id: Sid,
    },
}

impl Note {
    fn leg(&self) -> Sid {
        match self {
            Self::Open(leg) => leg.sid,
            Self::Close(leg)
            | Self::Move { leg, .. }
            | Self::Play { leg, .. }
            | Self::Record { leg, .. }
            | Self::SaidIn { leg, .. }
            | Self::Order { leg, .. }
            | Self::Key { leg, .. }
            | Self::Fork { leg, .. }
            | Self::Unfork { leg, .. } => *leg,
        }
    }
}

/// Where a lane is told something.
#[derive(Clone)]
pub(crate) struct Home {
    inbox: SyncSender<(usize, Note)>,
    phase: usize,
}

impl Home {
    /// Waits when the thread is behind by its whole inbox, which it empties all the time.
    pub fn send(&self, note: Note) {
        // A thread that is gone has nobody to tell.
        let _ = self.inbox.send((self.phase, note));
    }
}

/// Starts the threads; their lanes. They end when nobody can tell them anything any more.
pub(crate) fn start(threads: usize, shared: &Arc<Shared>) -> Vec<Home> {
    let start = |at| {
        let (sender, inbox) = sync_channel(INBOX_MAX);
        let lane = || Lane {
            legs: HashMap::new(),
            rooms: HashMap::new(),
            links: HashMap::new(),
            beeps: HashMap::new(),
            tapes: HashMap::new(),
            early: HashMap::new(),
            shared: shared.clone(),
        };
        let mut thread = Thread { inbox, lanes: std::array::from_fn(|_| lane()) };
        let builder = std::thread::Builder::new().name(format!("sound-{at}"));
        if let Err(error) = builder.spawn(move || thread.run()) {
            tracing::error!(%error, "no thread for sound");
        }
        (0..PHASES).map(move |phase| Home { inbox: sender.clone(), phase })
    };
    (0..threads).flat_map(start).collect()
}

struct Thread {
    /// With the lane that each note is for.
    inbox: Receiver<(usize, Note)>,
    lanes: [Lane; PHASES],
}

impl Thread {
    fn run(&mut self) {
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "threads of sound are as important as others");
        }
        let step = TICK / PHASES as u32;
        let mut next = Instant::now();
        for phase in (0..PHASES).cycle() {
            if !self.read_inbox() {
                return;
            }
            let lane = &mut self.lanes[phase];
            if !lane.is_idle() {
                lane.tick(Instant::now());
                lane.shared.clockwork.done(Instant::now().saturating_duration_since(next));
            }
            next += step;
            let late = Instant::now().saturating_duration_since(next);
            if late > LATE_MAX {
                next += late;
                lane.shared.clockwork.skip((late.as_millis() / TICK.as_millis()) as u64);
            }
            // Nobody to hear: the next note is waited for.
            if self.is_idle() {
                let Ok(note) = self.inbox.recv() else { return };
                self.take(note);
                next = Instant::now();
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn is_idle(&self) -> bool {
        self.lanes.iter().all(Lane::is_idle)
    }

    fn take(&mut self, (phase, note): (usize, Note)) {
        self.lanes[phase].take(note);
    }

    /// False when nobody can tell these lanes anything any more.
    fn read_inbox(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(note) => self.take(note),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return !self.is_idle(),
            }
        }
    }
}

struct Lane {
    legs: HashMap<Sid, Box<Leg>>,
    rooms: HashMap<String, Mixer<Sid>>,
    /// Their ways to other nodes, where there are some.
    links: HashMap<String, RoomLink>,
    /// What is left of beeps in rooms.
    beeps: HashMap<String, VecDeque<Frame>>,
    /// Recordings of rooms.
    tapes: HashMap<String, Vec<Tape>>,
    /// What was said of legs before they came from their old lane.
    early: HashMap<Sid, Vec<Note>>,
    shared: Arc<Shared>,
}

impl Lane {
    /// No leg is here, and no room that others hear on other nodes.
    fn is_idle(&self) -> bool {
        self.legs.is_empty() && self.rooms.is_empty()
    }

    fn take(&mut self, note: Note) {
        let sid = note.leg();
        match note {
            Note::Open(mut leg) => {
                if let Some(old) = self.legs.remove(&sid) {
                    leg.succeed(*old);
                }
                self.legs.insert(sid, leg);
                for note in self.early.remove(&sid).unwrap_or_default() {
                    self.take(note);
                }
            }
            note if !self.legs.contains_key(&sid) => {
                let early = self.early.entry(sid).or_default();
                if early.len() < EARLY_MAX {
                    early.push(note);
                }
            }
            Note::Move { to, .. } => {
                self.leave(sid);
                // Not waited for: the lane may be one of this thread.
                if let Some(leg) = self.legs.remove(&sid)
                    && to.inbox.try_send((to.phase, Note::Open(leg))).is_err()
                {
                    tracing::error!(leg = %sid, "the lane of its room takes no more: it is silent");
                }
            }
            Note::Close(_) => {
                self.leave(sid);
                if let Some(leg) = self.legs.remove(&sid) {
                    leg.end(&self.shared);
                }
            }
            Note::Play { id, sound, skipped_millis, .. } => {
                if let Some(leg) = self.legs.get_mut(&sid) {
                    leg.play(id, sound, skipped_millis);
                }
            }
            Note::Record { recording, tracks, missed_millis, .. } => {
                if let Some(leg) = self.legs.get_mut(&sid) {
                    leg.record(recording, tracks, missed_millis, &self.shared);
                }
            }
            Note::SaidIn { recording, words, .. } => {
                if let Some(leg) = self.legs.get_mut(&sid) {
                    leg.said_in(recording, words);
                }
            }
            Note::Order { order, .. } => self.follow(sid, *order),
            Note::Fork { id, fork, .. } => {
                if let Some(leg) = self.legs.get_mut(&sid) {
                    leg.forks.push((id, fork));
                }
            }
            Note::Unfork { id, .. } => {
                if let Some(leg) = self.legs.get_mut(&sid) {
                    leg.forks.retain(|(known, _)| *known != id);
                }
            }
            Note::Key { key, .. } => {
                if let Some(leg) = self.legs.get_mut(&sid) {
                    leg.pressed(key, &self.shared);
                }
            }
        }
    }

    fn follow(&mut self, sid: Sid, order: Order) {
        match order {
            Order::Join { room, part } => {
                let is_there =
                    self.legs.get(&sid).is_some_and(|leg| leg.room.as_deref() == Some(&*room));
                if !is_there {
                    self.leave(sid);
                }
                if !self.rooms.contains_key(&room) {
                    self.open_room(sid, &room);
                }
                let Some(mixer) = self.rooms.get_mut(&room) else { return };
                let place = audio::mix::Part {
                    muted: !part.speaks,
                    coaches: part.only_to,
                    ..audio::mix::Part::default()
                };
                if mixer.set(sid, place).is_err() {
                    tracing::warn!(leg = %sid, "the room is full");
                    return;
                }
                if let Some(leg) = self.legs.get_mut(&sid) {
                    leg.room = Some(room);
                    leg.hears = part.hears;
                }
            }
            Order::Leave => self.leave(sid),
            Order::Beep => {
                let room = self.legs.get(&sid).and_then(|leg| leg.room.clone());
                self.beeps.extend(room.map(|room| (room, beep())));
            }
            Order::RecordRoom { recording } => {
                let Some(leg) = self.legs.get(&sid) else { return };
                let Some(room) = leg.room.clone() else { return };
                let tapes = self.tapes.entry(room).or_default();
                if tapes.iter().all(|tape| tape.recording != recording) {
                    let tracks = Tracks::Inbound;
                    tapes.push(self.shared.recorder.tape(leg.account, sid, recording, tracks));
                }
            }
            order => {
                let room = self.legs.get(&sid).and_then(|leg| leg.room.as_ref());
                if let Some(room) = room {
                    let tapes = self.tapes.get_mut(room);
                    let is_here = tapes.is_some_and(|tapes| {
                        recorder::follow(tapes, &order, &self.shared.recorder)
                    });
                    if let Some(link) = self.links.get_mut(room).filter(|_| !is_here) {
                        link.pass_on(&order);
                    }
                }
                if let Some(leg) = self.legs.get_mut(&sid) {
                    leg.follow(order, &self.shared);
                }
            }
        }
    }

    fn leave(&mut self, sid: Sid) {
        let room = self.legs.get_mut(&sid).and_then(|leg| leg.room.take());
        let Some(room) = room else { return };
        if let Some(mixer) = self.rooms.get_mut(&room) {
            mixer.remove(sid);
            if mixer.is_empty() && !self.is_listened_to(&room) {
                self.close_room(&room);
            }
        }
    }

    fn open_room(&mut self, leg: Sid, room: &str) {
        self.rooms.insert(room.to_owned(), Mixer::new(Limits::default()));
        let account = self.legs.get(&leg).map(|leg| leg.account);
        if let (Some(links), Some(account)) = (&self.shared.links, account) {
            let link = RoomLink::open(links, account, room);
            self.links.extend(link.map(|link| (room.to_owned(), link)));
        }
    }

    fn close_room(&mut self, room: &str) {
        self.rooms.remove(room);
        self.links.remove(room);
        self.beeps.remove(room);
        for mut tape in self.tapes.remove(room).unwrap_or_default() {
            tape.end(&self.shared.recorder);
        }
    }

    /// A room without members here is recorded on while others have some.
    fn is_listened_to(&self, room: &str) -> bool {
        self.tapes.get(room).is_some_and(|tapes| !tapes.is_empty())
            && self.links.get(room).is_some_and(RoomLink::has_others)
    }

    /// Lets linked rooms hear what is said on other nodes, and ends those that nobody is in any more.
    fn hear_others(&mut self, now: Instant) {
        let mut left = Vec::new();
        for (room, link) in &mut self.links {
            let Some(mixer) = self.rooms.get_mut(room) else { continue };
            for order in link.bring(now, mixer) {
                if let Some(tapes) = self.tapes.get_mut(room) {
                    recorder::follow(tapes, &order, &self.shared.recorder);
                }
            }
            if mixer.is_empty() {
                left.push(room.clone());
            }
        }
        for room in left {
            if !self.is_listened_to(&room) {
                self.close_room(&room);
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        for leg in self.legs.values_mut() {
            let frame = leg.hear(now, &self.shared);
            if let Some(mixer) = leg.room.as_ref().and_then(|room| self.rooms.get_mut(room)) {
                mixer.put(leg.sid, frame);
            }
        }
        if !self.links.is_empty() {
            self.hear_others(now);
        }
        for (room, mixer) in &mut self.rooms {
            let beep = self.beeps.get_mut(room).and_then(VecDeque::pop_front);
            mixer.mix(beep.as_ref());
            if let Some(link) = self.links.get_mut(room) {
                link.say(mixer);
            }
            for tape in self.tapes.get_mut(room).into_iter().flatten() {
                tape.put(mixer.everyone(), &SILENCE, &self.shared.recorder);
            }
        }
        self.beeps.retain(|_, rest| !rest.is_empty());
        for leg in self.legs.values_mut() {
            let room = leg.room.as_ref().filter(|_| leg.hears);
            let others = match room.and_then(|room| self.rooms.get(room)).map(|it| it.hear(leg.sid))
            {
                Some(Heard::Common(frame)) => Some(*frame),
                Some(Heard::Own(frame)) => Some(frame),
                Some(Heard::Nothing) | None => None,
            };
            leg.say(others, now, &self.shared);
        }
        self.shared.reporter.flush();
    }
}

/// Half a second of a tone.
fn beep() -> VecDeque<Frame> {
    let tone = audio::tone::Tone::parse(audio::tone::BEEP);
    tone.map(|mut tone| (0..25).map(|_| tone.frame()).collect()).unwrap_or_default()
}
