//! Conference mixing: everyone hears the sum of the others.
//!
//! Once per tick: [`Mixer::put`] what came of each member, [`Mixer::mix`], then
//! [`Mixer::hear`] for each. Only the loudest are mixed, the ones that already are with an
//! advantage; who is not among them hears one common frame, which needs to be encoded once per
//! codec. Every change of what is heard of a member (mute, gain, a place among the loudest) is a
//! ramp over one frame. Sums above half of full scale are limited softly and never wrap.
//!
//! A conference may go on in another mixer ([`Mixer::add`], [`Mixer::own`]): what is said there is
//! heard by everyone here, and nothing of it goes back.
//!
//! A tick costs one pass over every frame that came, and one per loud member and its listener:
//! it grows with the members, not with their square.

use std::collections::BTreeMap;

use crate::level::energy;
use crate::{FRAME, Frame};

/// Gain of 1.
pub const UNITY: u16 = 256;
/// Loudest gain: 4, or 12 dB.
pub const GAIN_MAX: u16 = 1_024;
/// Up to here a sum is as it is; from here it approaches full scale.
const KNEE: i32 = 16_384;
/// How much louder a newcomer must be to take the place of who is mixed: 3 dB.
const ADVANTAGE: u64 = 2;

/// Bounds of one conference.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub members: usize,
    /// Members that are mixed at once.
    pub loudest: usize,
}

impl Default for Limits {
    /// Twilio's 250 members, 8 of which are heard at once.
    fn default() -> Self {
        Self { members: 250, loudest: 8 }
    }
}

/// How a member takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<Id> {
    /// Is not heard.
    pub muted: bool,
    /// Is not heard and hears nothing of the conference.
    pub held: bool,
    /// In 1/256, up to [`GAIN_MAX`].
    pub gain: u16,
    /// Is heard by this member alone, and hears everyone. Not part of [`Mixer::everyone`].
    pub coaches: Option<Id>,
}

impl<Id> Default for Part<Id> {
    fn default() -> Self {
        Self { muted: false, held: false, gain: UNITY, coaches: None }
    }
}

/// The conference is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the conference has {0} members, as many as it can")]
pub struct Full(pub usize);

/// What a member hears in this tick.
#[allow(
    clippy::large_enum_variant,
    reason = "lives for one tick; a box would be an allocation each"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The same as everyone else who is not heard.
    Common(&'a Frame),
    Own(Frame),
    /// Nothing: held, or not a member.
    Nothing,
}

/// One conference.
#[derive(Clone, Debug)]
pub struct Mixer<Id> {
    limits: Limits,
    members: BTreeMap<Id, Member<Id>>,
    /// The sum of all that are mixed, and of the announcement.
    total: [i32; FRAME],
    common: Frame,
    /// What coaches say, by who hears it.
    whispers: BTreeMap<Id, [i32; FRAME]>,
    /// What is said in other mixers, of the next mix, and of the last.
    brought: Option<Box<[i32; FRAME]>>,
    elsewhere: Option<Box<[i32; FRAME]>>,
    /// What coaches in other mixers say, of the next mix.
    brought_whispers: BTreeMap<Id, [i32; FRAME]>,
    /// Kept for its memory: energies of the candidates.
    candidates: Vec<(u64, Id)>,
}

#[derive(Clone, Debug)]
struct Member<Id> {
    part: Part<Id>,
    input: Option<Frame>,
    /// Follows the energy of the frames, falling slowly.
    loudness: u64,
    /// Gain at the end of the last frame.
    gain: u16,
    mixed: bool,
    /// What is in the total of this member.
    voice: Option<Frame>,
}

impl<Id: Copy + Ord> Mixer<Id> {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            members: BTreeMap::new(),
            total: [0; FRAME],
            common: [0; FRAME],
            whispers: BTreeMap::new(),
            brought: None,
            elsewhere: None,
            brought_whispers: BTreeMap::new(),
            candidates: Vec::new(),
        }
    }

    /// Adds a member, or changes its part.
    pub fn set(&mut self, id: Id, part: Part<Id>) -> Result<(), Full> {
        let part = Part { gain: part.gain.min(GAIN_MAX), ..part };
        if let Some(member) = self.members.get_mut(&id) {
            member.part = part;
            return Ok(());
        }
        if self.members.len() >= self.limits.members {
            return Err(Full(self.members.len()));
        }
        let member = Member { part, input: None, loudness: 0, gain: 0, mixed: false, voice: None };
        self.members.insert(id, member);
        Ok(())
    }

    pub fn part(&self, id: Id) -> Option<Part<Id>> {
        self.members.get(&id).map(|member| member.part)
    }

    pub fn remove(&mut self, id: Id) {
        self.members.remove(&id);
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What came of a member in this tick; nothing is silence, twice is the second.
    pub fn put(&mut self, id: Id, frame: Frame) {
        if let Some(member) = self.members.get_mut(&id) {
            member.input = Some(frame);
        }
    }

    /// What is said in another mixer in this tick: everyone who is not held hears it.
    pub fn add(&mut self, frame: &Frame) {
        let sum = self.brought.get_or_insert_with(|| Box::new([0; FRAME]));
        sum.iter_mut().zip(frame).for_each(|(sum, sample)| *sum += i32::from(*sample));
    }

    /// What somebody in another mixer says to this member alone; nothing when it is not here.
    pub fn add_whisper(&mut self, to: Id, frame: &Frame) {
        if self.members.contains_key(&to) {
            let sum = self.brought_whispers.entry(to).or_insert([0; FRAME]);
            sum.iter_mut().zip(frame).for_each(|(sum, sample)| *sum += i32::from(*sample));
        }
    }

    /// Mixes what was put. `announcement` is heard by everyone who is not held.
    pub fn mix(&mut self, announcement: Option<&Frame>) {
        self.choose();
        self.total = announcement.map_or([0; FRAME], |frame| frame.map(i32::from));
        self.whispers = std::mem::take(&mut self.brought_whispers);
        for member in self.members.values_mut() {
            let goal = if member.mixed { member.part.gain } else { 0 };
            member.voice = None;
            if let Some(frame) = member.input.take()
                && (member.gain > 0 || goal > 0)
            {
                let voice = ramp(&frame, member.gain, goal);
                let sum = match member.part.coaches {
                    Some(pupil) => self.whispers.entry(pupil).or_insert([0; FRAME]),
                    None => {
                        member.voice = Some(voice);
                        &mut self.total
                    }
                };
                sum.iter_mut().zip(&voice).for_each(|(sum, sample)| *sum += i32::from(*sample));
            }
            member.gain = goal;
        }
        self.elsewhere = self.brought.take();
        if let Some(elsewhere) = &self.elsewhere {
            self.total.iter_mut().zip(&**elsewhere).for_each(|(sum, sample)| *sum += sample);
        }
        self.common = self.total.map(limit);
    }

    /// Everyone here but the coaches, and the announcement: what other mixers are told.
    pub fn own(&self) -> Frame {
        let Some(elsewhere) = &self.elsewhere else { return self.common };
        std::array::from_fn(|at| limit(self.total[at] - elsewhere[at]))
    }

    /// What coaches here say to somebody who is no member here.
    pub fn whispers_away(&self) -> impl Iterator<Item = (Id, Frame)> {
        let away = self.whispers.iter().filter(|(id, _)| !self.members.contains_key(id));
        away.map(|(id, sum)| (*id, sum.map(limit)))
    }

    /// What a member hears of the last [`Mixer::mix`].
    pub fn hear(&self, id: Id) -> Heard<'_> {
        let Some(member) = self.members.get(&id).filter(|member| !member.part.held) else {
            return Heard::Nothing;
        };
        let whisper = self.whispers.get(&id);
        if member.voice.is_none() && whisper.is_none() {
            return Heard::Common(&self.common);
        }
        let mut sum = self.total;
        if let Some(voice) = &member.voice {
            sum.iter_mut().zip(voice).for_each(|(sum, sample)| *sum -= i32::from(*sample));
        }
        if let Some(whisper) = whisper {
            sum.iter_mut().zip(whisper).for_each(|(sum, sample)| *sum += sample);
        }
        Heard::Own(sum.map(limit))
    }

    /// Everyone but the coaches: what a recording of the conference holds.
    pub fn everyone(&self) -> &Frame {
        &self.common
    }

    /// Who was mixed.
    pub fn loudest(&self) -> impl Iterator<Item = Id> {
        self.members.iter().filter(|(_, member)| member.mixed).map(|(id, _)| *id)
    }

    /// Decides who is mixed. Coaches always are: each for one pair of ears.
    fn choose(&mut self) {
        self.candidates.clear();
        for (id, member) in &mut self.members {
            let loudness = member.input.as_ref().map_or(0, |frame| energy(frame));
            member.loudness = loudness.max(member.loudness / 8 * 7);
            let can_be_heard = !member.part.muted && !member.part.held && member.part.gain > 0;
            if member.part.coaches.is_some() {
                member.mixed = can_be_heard;
                continue;
            }
            if can_be_heard && member.loudness > 0 {
                let advantage = if member.mixed { ADVANTAGE } else { 1 };
                self.candidates.push((member.loudness.saturating_mul(advantage), *id));
            }
            member.mixed = false;
        }
        let places = self.limits.loudest;
        if self.candidates.len() > places {
            self.candidates.select_nth_unstable_by(places, |a, b| b.cmp(a));
            self.candidates.truncate(places);
        }
        for (_, id) in &self.candidates {
            if let Some(member) = self.members.get_mut(id) {
                member.mixed = true;
            }
        }
    }
}

/// The frame with its gain going evenly from one value to the other.
fn ramp(frame: &Frame, from: u16, to: u16) -> Frame {
    if from == UNITY && to == UNITY {
        return *frame;
    }
    let (from, to) = (i32::from(from), i32::from(to));
    std::array::from_fn(|at| {
        let gain = from + (to - from) * (at as i32 + 1) / FRAME as i32;
        let sample = i32::from(frame[at]) * gain / i32::from(UNITY);
        sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16
    })
}

/// Linear up to the knee, then a hyperbola towards full scale.
fn limit(sum: i32) -> i16 {
    let size = sum.saturating_abs();
    if size <= KNEE {
        return sum as i16;
    }
    let room = i64::from(i32::from(i16::MAX) - KNEE);
    let over = i64::from(size - KNEE);
    let limited = (i64::from(KNEE) + room * over / (room + over)) as i16;
    if sum < 0 { -limited } else { limited }
}

#[cfg(test)]
#[path = "tests/mix.rs"]
mod tests;
