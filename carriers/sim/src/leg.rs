//! A handset's part of a call: a state that orders and deeds change, pure.

use contracts::{AnsweredBy, Ending, Item, LegEvent, Listening, Order, Part, Tracks};
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};

/// What one call shows of what was heard; later sounds are not written down.
const HEARD_MAX: usize = 2000;
/// How fast text is spoken.
const CHARS_PER_SECOND: u64 = 15;
const TONE_MILLIS: u64 = 200;
const BEEP_MILLIS: u64 = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegStatus {
    /// On its way to the handset.
    Placed,
    Ringing,
    InProgress,
    Ended,
}

/// Kinds of what is heard or done on a handset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sound {
    Say,
    Play,
    Tones,
    Silence,
    Beep,
    Ringback,
    Music,
    /// Somebody else's words.
    Voice,
    /// Keys that were pressed here.
    Pressed,
    /// What was said here.
    Spoke,
    /// JSON that came for the program here.
    Message,
    /// JSON that the program here sent.
    Sent,
}

/// A line of what a call sounded like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    pub at: Timestamp,
    pub sound: Sound,
    /// Words, a URL or keys.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// How long; absent of what goes on until it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millis: Option<u64>,
    /// It was stopped before its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Playing {
    pub id: u32,
    pub since: Timestamp,
    line: Option<usize>,
    /// For whoever listens later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<Item>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recording {
    pub sid: Sid,
    since: Timestamp,
    spoken: String,
    #[serde(default = "both")]
    pub tracks: Tracks,
    /// Since when it is paused, and whether that time is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<(Timestamp, bool)>,
    /// Time that was left out.
    #[serde(default)]
    skipped_millis: u64,
}

fn both() -> Tracks {
    Tracks::Both
}

impl Recording {
    pub fn new(sid: Sid, since: Timestamp, tracks: Tracks) -> Self {
        Self { sid, since, spoken: String::new(), tracks, paused: None, skipped_millis: 0 }
    }

    /// How long it is until now.
    pub fn millis(&self, at: Timestamp) -> u64 {
        let mut known = self.clone();
        known.resume(at);
        millis_since(at, known.since).saturating_sub(known.skipped_millis)
    }

    pub fn pause(&mut self, at: Timestamp, skip: bool) {
        self.paused.get_or_insert((at, skip));
    }

    pub fn resume(&mut self, at: Timestamp) {
        if let Some((since, true)) = self.paused.take() {
            self.skipped_millis = self.skipped_millis.saturating_add(millis_since(at, since));
        }
    }

    /// Words, unless it is paused.
    pub fn write(&mut self, text: &str) {
        if self.paused.is_some() {
            return;
        }
        if !self.spoken.is_empty() {
            self.spoken.push(' ');
        }
        self.spoken.push_str(text);
    }

    pub fn end(mut self, at: Timestamp) -> LegEvent {
        self.resume(at);
        let Self { sid: recording, since, spoken, skipped_millis, .. } = self;
        let millis = millis_since(at, since).saturating_sub(skipped_millis);
        LegEvent::Recorded { recording, millis, spoken, sound: None }
    }
}

pub(crate) fn millis_since(at: Timestamp, since: Timestamp) -> u64 {
    u64::try_from(at.since(since).as_millis()).unwrap_or(u64::MAX)
}

/// A handset's part of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    pub account: Sid,
    pub sid: Sid,
    /// The handset's number, or its name on another network.
    pub handset: String,
    pub peer: String,
    /// Called from this handset.
    pub outgoing: bool,
    pub status: LegStatus,
    pub began: Timestamp,
    pub answered: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub heard: Vec<Heard>,
    pub(crate) playing: Option<Playing>,
    pub(crate) room: Option<(String, Part)>,
    pub(crate) recordings: Vec<Recording>,
    /// How what is said is to be understood, where it is sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listening: Option<Listening>,
    /// The leg of the same platform at the other end.
    pub(crate) other_end: Option<(Sid, Sid)>,
    /// What is pressed is not written down.
    #[serde(default)]
    pub(crate) keys_are_secret: bool,
}

/// Recordings that ended, with their words: taken out of what is reported.
pub(crate) fn take_recorded(events: &mut Vec<LegEvent>) -> Vec<(Sid, String)> {
    let mut taken = Vec::new();
    events.retain_mut(|event| match event {
        LegEvent::Recorded { recording, spoken, .. } => {
            taken.push((*recording, std::mem::take(spoken)));
            false
        }
        _ => true,
    });
    taken
}

/// In place of a key that is secret.
const HIDDEN_KEY: &str = "•";

/// Keys as they are shown.
pub(crate) fn hidden(keys: &str) -> String {
    HIDDEN_KEY.repeat(keys.chars().count())
}

/// How long an item takes; `None` for what goes on until it is stopped.
pub(crate) fn length_millis(item: &Item) -> Option<u64> {
    match item {
        Item::Say { text, loops, .. } => Some(spoken_millis(text).saturating_mul((*loops).into())),
        Item::Play { millis, loops, .. } => Some(millis.saturating_mul((*loops).into())),
        Item::Tones { digits } => Some(
            digits
                .chars()
                .map(|key| match key {
                    'w' => 500,
                    'W' => 1000,
                    _ => TONE_MILLIS,
                })
                .sum(),
        ),
        Item::Silence { millis } => Some(*millis),
        Item::Beep => Some(BEEP_MILLIS),
        Item::Ringback | Item::Music => None,
    }
}

/// How long a text takes to be said.
pub(crate) fn spoken_millis(text: &str) -> u64 {
    let chars = text.chars().count() as u64;
    chars.saturating_mul(1000).div_ceil(CHARS_PER_SECOND)
}

fn line_of(item: &Item) -> (Sound, String) {
    match item {
        Item::Say { text, .. } => (Sound::Say, text.clone()),
        Item::Play { url, .. } => (Sound::Play, url.clone()),
        Item::Tones { digits } => (Sound::Tones, digits.clone()),
        Item::Silence { .. } => (Sound::Silence, String::new()),
        Item::Beep => (Sound::Beep, String::new()),
        Item::Ringback => (Sound::Ringback, String::new()),
        Item::Music => (Sound::Music, String::new()),
    }
}

impl Leg {
    /// Follows an order; what happened at once because of it.
    pub(crate) fn follow(&mut self, order: &Order, at: Timestamp) -> Vec<LegEvent> {
        if self.status == LegStatus::Ended {
            return Vec::new();
        }
        match order {
            Order::Answer => self.answer(at),
            Order::Reject { .. } | Order::HangUp => return self.end(at),
            Order::Play { id, item } => {
                self.cut(at);
                let (sound, text) = line_of(item);
                let line =
                    self.hear(Heard { at, sound, text, millis: length_millis(item), cut: false });
                let item = Some(item.clone());
                self.playing = Some(Playing { id: *id, since: at, line, item });
            }
            Order::Stop => self.cut(at),
            Order::Join { room, part } => self.room = Some((room.clone(), part.clone())),
            Order::Leave => self.room = None,
            // What anybody says is written down, whoever says it.
            Order::Record { recording, tracks } => {
                self.recordings.push(Recording::new(*recording, at, *tracks));
            }
            Order::StopRecording { recording } => return self.stop_recording(*recording, at),
            Order::PauseRecording { recording, skip } => {
                let found = self.recordings.iter_mut().find(|known| known.sid == *recording);
                if let Some(running) = found {
                    running.pause(at, *skip);
                }
            }
            Order::ResumeRecording { recording } => {
                let found = self.recordings.iter_mut().find(|known| known.sid == *recording);
                if let Some(running) = found {
                    running.resume(at);
                }
            }
            Order::KeepKeys { are_secret } => {
                self.keys_are_secret = *are_secret;
                // Keys that were faster than the order.
                let late = |line: &&mut Heard| line.sound == Sound::Pressed && line.at >= at;
                if *are_secret {
                    for line in self.heard.iter_mut().filter(late) {
                        line.text = hidden(&line.text);
                    }
                }
            }
            Order::Message { content } => {
                let text = content.clone();
                self.hear(Heard { at, sound: Sound::Message, text, millis: None, cut: false });
            }
            Order::Listen(how) => self.listening = how.clone(),
            // Sound is the engine's.
            Order::Progress
            | Order::Beep
            | Order::Detect(_)
            | Order::RecordRoom { .. }
            | Order::Stream(_)
            | Order::StopStream { .. }
            | Order::Siprec(_)
            | Order::StopSiprec { .. }
            | Order::Refer { .. }
            | Order::Transfer(_) => {}
        }
        Vec::new()
    }

    pub(crate) fn answer(&mut self, at: Timestamp) {
        self.status = LegStatus::InProgress;
        self.answered.get_or_insert(at);
    }

    /// Ends the leg and what was recorded of it.
    pub(crate) fn end(&mut self, at: Timestamp) -> Vec<LegEvent> {
        self.cut(at);
        self.status = LegStatus::Ended;
        self.ended = Some(at);
        self.room = None;
        let running: Vec<Sid> = self.recordings.iter().map(|recording| recording.sid).collect();
        running.into_iter().flat_map(|sid| self.stop_recording(sid, at)).collect()
    }

    /// The item that was playing, if it is this one, has ended.
    pub(crate) fn played(&mut self, id: u32) -> bool {
        let is_current = self.playing.as_ref().is_some_and(|playing| playing.id == id);
        if is_current {
            self.playing = None;
        }
        is_current
    }

    /// Writes a line down, if there is room.
    pub(crate) fn hear(&mut self, line: Heard) -> Option<usize> {
        if self.heard.len() >= HEARD_MAX {
            return None;
        }
        self.heard.push(line);
        Some(self.heard.len() - 1)
    }

    /// Words that are in every recording that runs.
    pub(crate) fn record(&mut self, text: &str) {
        self.recordings.iter_mut().for_each(|recording| recording.write(text));
    }

    fn stop_recording(&mut self, sid: Sid, at: Timestamp) -> Vec<LegEvent> {
        let Some(found) = self.recordings.iter().position(|recording| recording.sid == sid) else {
            return Vec::new();
        };
        vec![self.recordings.remove(found).end(at)]
    }

    /// Stops what is heard; its line keeps what was heard of it.
    fn cut(&mut self, at: Timestamp) {
        let Some(playing) = self.playing.take() else { return };
        let Some(line) = playing.line.and_then(|line| self.heard.get_mut(line)) else { return };
        let heard = u64::try_from(at.since(playing.since).as_millis()).unwrap_or(u64::MAX);
        if line.millis.is_some_and(|whole| whole <= heard) {
            return;
        }
        if line.sound == Sound::Say {
            let chars = heard.saturating_mul(CHARS_PER_SECOND) / 1000;
            line.text = line.text.chars().take(usize::try_from(chars).unwrap_or(0)).collect();
        }
        line.cut = line.millis.is_some();
        line.millis = Some(heard);
    }
}

/// What a caller is told of a handset that does not ring.
pub(crate) fn refusal(handset: &crate::Handset) -> Option<Ending> {
    use crate::{Behaviour, WhenCalled};
    match (handset.behaviour, handset.when_called) {
        (Behaviour::Unknown | Behaviour::Filtered, _) => Some(Ending::Failed),
        (Behaviour::Off | Behaviour::Silent, _) => Some(Ending::NoAnswer),
        (_, WhenCalled::Busy | WhenCalled::Reject) => Some(Ending::Busy),
        (_, WhenCalled::Answer | WhenCalled::Ring) => None,
    }
}

/// Whether and as what a handset picks up by itself.
pub(crate) fn picks_up(handset: &crate::Handset) -> Option<AnsweredBy> {
    (handset.when_called == crate::WhenCalled::Answer).then_some(handset.answered_by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg() -> Leg {
        let sid = |text: &str| text.parse().unwrap();
        Leg {
            account: sid("AC00000000000000000000000000000001"),
            sid: sid("CA00000000000000000000000000000001"),
            handset: "+14155550111".into(),
            peer: "+14155550100".into(),
            outgoing: false,
            status: LegStatus::InProgress,
            began: Timestamp::EPOCH,
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

    fn say(text: &str) -> Order {
        let item = Item::Say { text: text.into(), voice: None, language: None, loops: 1 };
        Order::Play { id: 1, item }
    }

    #[test]
    fn what_is_stopped_was_heard_in_part() {
        let mut leg = leg();
        let at = |millis| Timestamp::from_millis(millis);
        leg.follow(&say("123456789012345678901234567890"), at(0));
        assert_eq!(leg.heard[0].millis, Some(2000));
        leg.follow(&Order::Stop, at(1000));
        let line = &leg.heard[0];
        assert_eq!(
            (line.text.as_str(), line.millis, line.cut),
            ("123456789012345", Some(1000), true)
        );
        assert!(!leg.played(1));
        leg.follow(&say("a"), at(3000));
        assert!(!leg.played(2));
        assert!(leg.played(1));
    }

    #[test]
    fn keys_that_are_secret_are_not_written_down() {
        let mut leg = leg();
        let pressed = |seconds, text: &str| Heard {
            at: Timestamp::from_seconds(seconds),
            sound: Sound::Pressed,
            text: text.to_owned(),
            millis: None,
            cut: false,
        };
        leg.hear(pressed(1, "1"));
        leg.hear(pressed(3, "42"));
        leg.follow(&Order::KeepKeys { are_secret: true }, Timestamp::from_seconds(2));
        assert!(leg.keys_are_secret);
        let shown: Vec<&str> = leg.heard.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(shown, ["1", "••"]);
        leg.follow(&Order::KeepKeys { are_secret: false }, Timestamp::from_seconds(4));
        assert!(!leg.keys_are_secret);
    }

    #[test]
    fn a_paused_recording_hears_nothing_and_may_leave_the_time_out() {
        let recording = "RE00000000000000000000000000000001".parse().unwrap();
        for (skip, expected) in [(true, 3000), (false, 5000)] {
            let mut leg = leg();
            leg.follow(
                &Order::Record { recording, tracks: contracts::Tracks::Both },
                Timestamp::EPOCH,
            );
            leg.record("one");
            leg.follow(&Order::PauseRecording { recording, skip }, Timestamp::from_millis(2000));
            leg.record("secret");
            leg.follow(&Order::ResumeRecording { recording }, Timestamp::from_millis(4000));
            leg.record("two");
            let ended = leg.end(Timestamp::from_millis(5000));
            let spoken = "one two".to_owned();
            assert_eq!(
                ended,
                [LegEvent::Recorded { recording, millis: expected, spoken, sound: None }]
            );
        }
    }

    #[test]
    fn a_recording_ends_with_its_leg() {
        let mut leg = leg();
        let recording = "RE00000000000000000000000000000001".parse().unwrap();
        leg.follow(
            &Order::Record { recording, tracks: contracts::Tracks::Both },
            Timestamp::from_millis(500),
        );
        leg.record("hello");
        leg.record("there");
        let ended = leg.end(Timestamp::from_millis(2500));
        let spoken = "hello there".to_owned();
        assert_eq!(ended, [LegEvent::Recorded { recording, millis: 2000, spoken, sound: None }]);
        assert!(leg.follow(&say("late"), Timestamp::from_millis(3000)).is_empty());
        assert!(leg.heard.is_empty());
    }
}
