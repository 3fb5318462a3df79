//! Whether a person, a machine or a fax answered, from the sound alone (media §9).
//!
//! Speech is followed by [`silence::Detector`]; a beep or a fax is a [`pure`] tone.

use std::time::Duration;

use crate::Frame;
use crate::silence::{self, Change};
use crate::time::FRAME_TIME;

/// Times of the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub timeout: Duration,
    /// Speech of at least this length is a machine's.
    pub speech: Duration,
    /// Silence that ends speech.
    pub speech_end: Duration,
    /// Nobody speaks for so long after the answer.
    pub silence: Duration,
}

impl Default for Times {
    /// Twilio's: 30 s, 2.4 s, 1.2 s, 5 s.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            speech: Duration::from_millis(2_400),
            speech_end: Duration::from_millis(1_200),
            silence: Duration::from_secs(5),
        }
    }
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Human,
    /// A machine has begun to speak.
    Machine,
    /// Its greeting ended with a beep, with silence, or not in time.
    Beep,
    Silence,
    Other,
    Fax,
    Unknown,
}

/// A tone lasts at least so long to be a beep or a fax.
const BEEP_MIN: Duration = Duration::from_millis(80);
const FAX_MIN: Duration = Duration::from_millis(500);
/// A person's silence that is one word's end cannot be shorter.
const FAX_TONES: [f32; 2] = [1_100.0, 2_100.0];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Who is it?
    Judging,
    /// A machine: when does it end?
    Greeting,
    Done,
}

/// Listens to what comes after the answer.
#[derive(Clone, Debug)]
pub struct Answerer {
    times: Times,
    /// The end of a machine's greeting is waited for.
    to_end: bool,
    phase: Phase,
    speech: silence::Detector,
    heard: Duration,
    /// Since when it speaks.
    speaking: Option<Duration>,
    /// The tone that sounds, in Hz, and for how long.
    tone: Option<(f32, Duration)>,
}

impl Answerer {
    pub fn new(times: Times, to_end: bool) -> Self {
        let begin = Duration::from_millis(60);
        Self {
            times,
            to_end,
            phase: Phase::Judging,
            speech: silence::Detector::new(begin, times.speech_end),
            heard: Duration::ZERO,
            speaking: None,
            tone: None,
        }
    }

    /// No more verdicts follow.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Takes the next 20 ms. `Machine` may be followed by one more verdict, of its end.
    pub fn put(&mut self, frame: &Frame) -> Option<Verdict> {
        if self.is_done() {
            return None;
        }
        self.heard += FRAME_TIME;
        let ended = self.follow_tone(frame);
        let change = self.speech.put(frame);
        match change {
            Some(Change::Began) => self.speaking = Some(self.heard),
            Some(Change::Ended) | None => {}
        }
        let is_fax = |hz: f32| FAX_TONES.iter().any(|tone| (tone - hz).abs() < 40.0);
        if let Some((hz, long)) = self.tone
            && long >= FAX_MIN
            && is_fax(hz)
        {
            return self.decide(Verdict::Fax);
        }
        match self.phase {
            Phase::Judging => self.judge(change),
            Phase::Greeting => {
                if ended.is_some_and(|long| long >= BEEP_MIN) {
                    return self.decide(Verdict::Beep);
                }
                if change == Some(Change::Ended) {
                    return self.decide(Verdict::Silence);
                }
                (self.heard >= self.times.timeout).then(|| self.end(Verdict::Other))
            }
            Phase::Done => None,
        }
    }

    fn judge(&mut self, change: Option<Change>) -> Option<Verdict> {
        if let Some(since) = self.speaking {
            let spoken = self.heard.saturating_sub(since);
            if change == Some(Change::Ended) {
                // The silence that ended it was no speech.
                let spoken = spoken.saturating_sub(self.times.speech_end);
                let is_machine = spoken >= self.times.speech;
                if !is_machine {
                    return self.decide(Verdict::Human);
                }
            }
            if spoken >= self.times.speech && self.speech.silent_for() < FRAME_TIME * 5 {
                return self.machine();
            }
        } else if self.heard >= self.times.silence {
            return self.decide(Verdict::Unknown);
        }
        (self.heard >= self.times.timeout).then(|| self.end(Verdict::Unknown))
    }

    fn machine(&mut self) -> Option<Verdict> {
        if self.to_end {
            self.phase = Phase::Greeting;
            return None;
        }
        self.decide(Verdict::Machine)
    }

    fn decide(&mut self, verdict: Verdict) -> Option<Verdict> {
        Some(self.end(verdict))
    }

    fn end(&mut self, verdict: Verdict) -> Verdict {
        self.phase = Phase::Done;
        verdict
    }

    /// Follows a tone; how long it was when it has just ended.
    fn follow_tone(&mut self, frame: &Frame) -> Option<Duration> {
        match (pure(frame), self.tone) {
            (Some(hz), Some((before, long))) if (hz - before).abs() < 30.0 => {
                self.tone = Some((before, long + FRAME_TIME));
                None
            }
            (Some(hz), before) => {
                self.tone = Some((hz, FRAME_TIME));
                before.map(|(_, long)| long)
            }
            (None, before) => {
                self.tone = None;
                before.map(|(_, long)| long)
            }
        }
    }
}

/// The frequency of a frame that is one sine of 300 to 3000 Hz and hardly anything else.
///
/// A sine of angle w per sample obeys x[n] + x[n−2] = 2·cos(w)·x[n−1]; what is left over of that
/// says how much else there is.
pub fn pure(frame: &Frame) -> Option<f32> {
    if crate::level::dbfs(frame) < -35.0 {
        return None;
    }
    let (mut cross, mut square) = (0.0f64, 0.0f64);
    for at in 2..frame.len() {
        let outer = f64::from(frame[at]) + f64::from(frame[at - 2]);
        let middle = f64::from(frame[at - 1]);
        cross += outer * middle;
        square += middle * middle;
    }
    let a = cross / square;
    let (mut rest, mut whole) = (0.0f64, 0.0f64);
    for at in 2..frame.len() {
        let outer = f64::from(frame[at]) + f64::from(frame[at - 2]);
        let middle = f64::from(frame[at - 1]);
        rest += (outer - a * middle).powi(2);
        whole += middle * middle;
    }
    if rest > whole * 0.003 || a.abs() >= 2.0 {
        return None;
    }
    let hz = (a / 2.0).acos() * f64::from(crate::RATE) / std::f64::consts::TAU;
    (300.0..3_000.0).contains(&hz).then_some(hz as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals;
    use crate::tone::Tone;
    use crate::{FRAME, SILENCE};

    /// Something that rises and falls like speech, of so many milliseconds.
    fn speech(millis: usize) -> Vec<Frame> {
        let samples = signals::pair((150.0, 3_000.0), (610.0, 2_500.0), millis * 8);
        samples.chunks_exact(FRAME).map(|frame| frame.try_into().unwrap()).collect()
    }

    fn silence(millis: usize) -> Vec<Frame> {
        vec![SILENCE; millis / 20]
    }

    fn tone(pattern: &str, millis: usize) -> Vec<Frame> {
        let mut tone = Tone::parse(pattern).unwrap();
        (0..millis / 20).map(|_| tone.frame()).collect()
    }

    fn verdicts(to_end: bool, parts: &[Vec<Frame>]) -> Vec<Verdict> {
        let mut answerer = Answerer::new(Times::default(), to_end);
        parts.concat().iter().filter_map(|frame| answerer.put(frame)).collect()
    }

    #[test]
    fn people_say_little_and_wait() {
        assert_eq!(
            verdicts(false, &[silence(600), speech(700), silence(1600), speech(5000)]),
            [Verdict::Human]
        );
    }

    #[test]
    fn machines_talk_on() {
        assert_eq!(verdicts(false, &[silence(400), speech(6000)]), [Verdict::Machine]);
    }

    #[test]
    fn a_greeting_ends_with_a_beep_or_without() {
        let beep = tone("1400/500 0", 500);
        assert_eq!(
            verdicts(true, &[speech(4000), silence(300), beep, silence(800)]),
            [Verdict::Beep]
        );
        assert_eq!(verdicts(true, &[speech(4000), silence(2000)]), [Verdict::Silence]);
        assert_eq!(verdicts(true, &[speech(32_000)]), [Verdict::Other]);
    }

    #[test]
    fn a_fax_whistles_and_nobody_is_unknown() {
        assert_eq!(verdicts(false, &[silence(500), tone("2100", 900)]), [Verdict::Fax]);
        assert_eq!(verdicts(false, &[silence(500), tone("1100", 900)]), [Verdict::Fax]);
        assert_eq!(verdicts(false, &[silence(6000)]), [Verdict::Unknown]);
    }

    #[test]
    fn only_a_sine_is_pure() {
        for hz in [440u16, 1000, 1400, 2100] {
            let frame = tone(&hz.to_string(), 40)[1];
            assert!((pure(&frame).unwrap() - f32::from(hz)).abs() < 5.0, "{hz}");
        }
        assert_eq!(pure(&speech(40)[1]), None);
        assert_eq!(pure(&SILENCE), None);
        assert_eq!(pure(&tone("697+1209", 40)[1]), None);
    }
}
