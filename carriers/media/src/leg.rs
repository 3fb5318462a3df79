//! One leg: what comes in, what goes out, and who listens to either.

use std::time::Instant;

use audio::dtmf::{self, Event, Key};
use audio::{FRAME, Frame, SILENCE};
use contracts::{LegEvent, Order, Tracks};
use kernel::Sid;

use crate::engine::Shared;
use crate::fetch::Sound;
use crate::listen::{Ear, Judge};
use crate::player::Player;
use crate::recorder::{self, Tape};
use crate::stream::Tap;
use crate::{Fork, Port};

pub(crate) struct Leg {
    pub account: Sid,
    pub sid: Sid,
    pub room: Option<String>,
    pub hears: bool,
    port: Box<dyn Port>,
    /// Voice hears of it from here, not from the network.
    reports: bool,
    player: Option<Player>,
    keys: Option<dtmf::Detector>,
    ear: Option<Ear>,
    judge: Option<Judge>,
    tapes: Vec<Tape>,
    taps: Vec<Tap>,
    pub forks: Vec<(Sid, Box<dyn Fork>)>,
    /// What came in this tick, as it is recorded and streamed.
    inbound: Frame,
    keys_are_secret: bool,
}

impl Leg {
    pub fn new(account: Sid, sid: Sid, port: Box<dyn Port>, reports: bool) -> Self {
        let keys = (reports && !port.has_key_events()).then(dtmf::Detector::default);
        Self {
            account,
            sid,
            room: None,
            hears: false,
            port,
            reports,
            player: None,
            keys,
            ear: None,
            judge: None,
            tapes: Vec::new(),
            taps: Vec::new(),
            forks: Vec::new(),
            inbound: SILENCE,
            keys_are_secret: false,
        }
    }

    /// Goes on with what the leg did with another port.
    pub fn succeed(&mut self, old: Self) {
        let (port, keys, reports) = (&mut self.port, self.keys.take(), self.reports);
        let port = std::mem::replace(port, Box::new(crate::port::Nowhere));
        *self = Self { port, keys, reports, ..old };
    }

    pub fn play(&mut self, id: u32, sound: Sound, skipped_millis: u64) {
        self.player = Some(Player::new(id, sound, skipped_millis));
    }

    pub fn follow(&mut self, order: Order, shared: &Shared) {
        match order {
            Order::Stop => self.player = None,
            Order::Record { recording, tracks } => self.record(recording, tracks, 0, shared),
            order @ (Order::StopRecording { .. }
            | Order::PauseRecording { .. }
            | Order::ResumeRecording { .. }) => {
                recorder::follow(&mut self.tapes, &order, &shared.recorder);
            }
            Order::Listen(how) => self.ear = how.map(Ear::new),
            Order::Detect(how) => self.judge = Some(Judge::new(how)),
            Order::Stream(setup) => {
                if self.taps.iter().all(|tap| tap.stream != setup.stream) {
                    self.taps.push(shared.streams.open(
                        self.account,
                        self.sid,
                        *setup,
                        &shared.runtime,
                    ));
                }
            }
            Order::StopStream { stream } => self.taps.retain(|tap| tap.stream != stream),
            Order::KeepKeys { are_secret } => self.keys_are_secret = are_secret,
            // The carrier's, or the lane's.
            Order::Answer
            | Order::Progress
            | Order::Reject { .. }
            | Order::HangUp
            | Order::Play { .. }
            | Order::Join { .. }
            | Order::Leave
            | Order::Beep
            | Order::RecordRoom { .. }
            | Order::Message { .. }
            | Order::Siprec(_)
            | Order::StopSiprec { .. }
            | Order::Refer { .. }
            | Order::Transfer(_) => {}
        }
    }

    /// A recording begins; with silence for the time before the leg had sound.
    pub fn record(&mut self, recording: Sid, tracks: Tracks, missed_millis: u64, shared: &Shared) {
        if self.tapes.iter().all(|tape| tape.recording != recording) {
            let mut tape = shared.recorder.tape(self.account, self.sid, recording, tracks);
            tape.skip(missed_millis, &shared.recorder);
            self.tapes.push(tape);
        }
    }

    /// The words of a recording are known without its sound.
    pub fn said_in(&mut self, recording: Sid, words: String) {
        if let Some(tape) = self.tapes.iter_mut().find(|tape| tape.recording == recording) {
            tape.spoken = words;
        }
    }

    /// The first half of a tick: what comes of the network.
    pub fn hear(&mut self, now: Instant, shared: &Shared) -> Frame {
        let heard = self.port.hear(now);
        let mut frame = heard.frame.unwrap_or(SILENCE);
        if let Some(key) = heard.key {
            self.pressed(key, shared);
        }
        if let Some(keys) = &mut self.keys {
            let event = keys.put(&frame);
            // Who gets the key does not hear it as well.
            if keys.key().is_some() {
                frame = SILENCE;
            }
            if let Some(Event::Down(key)) = event {
                self.pressed(key, shared);
            }
        }
        if let Some(ear) = self.ear.as_mut().filter(|_| !self.port.is_told()) {
            ear.put(&frame, self.account, self.sid, shared);
        }
        if let Some(judge) = &mut self.judge
            && let Some(verdict) = judge.put(&frame)
        {
            if judge.is_done() {
                self.judge = None;
            }
            shared.reporter.report(self.account, self.sid, LegEvent::Detected(verdict));
        }
        // Tones of secret keys may be in it: recordings and streams get none of it, nor does a room
        // of a leg that has its keys in its sound.
        let is_kept = self.keys_are_secret;
        self.inbound = if is_kept { SILENCE } else { frame };
        if is_kept && self.keys.is_some() { SILENCE } else { frame }
    }

    pub fn pressed(&mut self, key: Key, shared: &Shared) {
        if !self.keys_are_secret {
            for tap in &mut self.taps {
                tap.key(key);
            }
        }
        if self.reports {
            let keys = key.as_char().to_string();
            shared.reporter.report(self.account, self.sid, LegEvent::Digits(keys));
        }
    }

    /// The second half: what goes to the network.
    pub fn say(&mut self, others: Option<Frame>, now: Instant, shared: &Shared) {
        let mut out = others.unwrap_or(SILENCE);
        if let Some(player) = &mut self.player {
            match player.frame(self.port.as_mut()) {
                Some(frame) => add(&mut out, &frame),
                None => {
                    let id = player.id;
                    self.player = None;
                    if self.reports {
                        shared.reporter.report(self.account, self.sid, LegEvent::Played { id });
                    }
                }
            }
        }
        for tap in &mut self.taps {
            if let Some(frame) = tap.say() {
                add(&mut out, &frame);
            }
        }
        self.port.say(&out, now);
        for tape in &mut self.tapes {
            tape.put(&self.inbound, &out, &shared.recorder);
        }
        self.taps.retain_mut(|tap| tap.put(&self.inbound, &out));
        for (_, fork) in &mut self.forks {
            fork.put(&self.inbound, &out, now);
        }
    }

    /// The leg is over, and all that ran on it.
    pub fn end(mut self, shared: &Shared) {
        for mut tape in self.tapes.drain(..) {
            tape.end(&shared.recorder);
        }
    }
}

fn add(out: &mut Frame, frame: &Frame) {
    out.iter_mut().zip(frame).for_each(|(out, sample)| *out = out.saturating_add(*sample));
}

/// Samples of a tick as `tracks` has them, appended.
pub(crate) fn select(tracks: Tracks, inbound: &Frame, outbound: &Frame, to: &mut Vec<i16>) {
    match tracks {
        Tracks::Inbound => to.extend_from_slice(inbound),
        Tracks::Outbound => to.extend_from_slice(outbound),
        Tracks::Both => {
            to.extend((0..FRAME).map(|at| inbound[at].saturating_add(outbound[at])));
        }
        Tracks::Dual => to.extend((0..FRAME).flat_map(|at| [inbound[at], outbound[at]])),
    }
}
