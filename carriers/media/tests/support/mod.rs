//! An engine whose legs are on wires, and what it tells.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use audio::tone::Tone;
use contracts::{
    BoxFuture, InboundCall, LegEvent, LegReport, Listening, Order, Part, Recogniser, Speaker,
    Unavailable, Utterance, VoiceSink,
};
use kernel::{Sid, Timestamp};
use media::{Engine, Links, Parts, Wire, WireEnd};

/// What Voice was told.
#[derive(Default)]
pub struct Told {
    pub events: Mutex<Vec<(Sid, LegEvent)>>,
    pub sounds: Mutex<Vec<Vec<u8>>>,
}

impl VoiceSink for Told {
    fn report<'a>(&'a self, report: &'a LegReport) -> BoxFuture<'a, Result<(), Unavailable>> {
        self.events.lock().unwrap().push((report.leg, report.event.clone()));
        Box::pin(async { Ok(()) })
    }

    fn inbound<'a>(
        &'a self,
        _call: &'a InboundCall,
    ) -> BoxFuture<'a, Result<Option<(Sid, Sid)>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    fn keep_sound(&self, file: Vec<u8>) -> BoxFuture<'_, Result<String, Unavailable>> {
        let mut sounds = self.sounds.lock().unwrap();
        sounds.push(file);
        let name = (sounds.len() - 1).to_string();
        Box::pin(async { Ok(name) })
    }

    fn ring(&self, _: Sid, _: Sid, _: Timestamp) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async { Ok(()) })
    }
}

/// Speaks half a second of 700 Hz, whatever the words.
pub struct Hum;

impl Speaker for Hum {
    fn speak<'a>(&'a self, _: &'a Utterance) -> BoxFuture<'a, Option<Vec<u8>>> {
        let file = audio::wav::write(audio::wav::Encoding::Pcm16, 8000, 1, &tone(700, 500));
        Box::pin(async { file.ok() })
    }
}

impl Recogniser for Hum {
    fn recognise<'a>(&'a self, file: Vec<u8>, how: &'a Listening) -> BoxFuture<'a, Option<String>> {
        let millis = audio::wav::read(&file).unwrap().samples.len() / 8;
        let text = format!("{} for {}", how.language, millis / 500);
        Box::pin(async { Some(text) })
    }
}

pub struct World {
    pub engine: Arc<Engine>,
    pub told: Arc<Told>,
    _spool: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::linked(None)
    }

    /// A node whose rooms may be on others, too.
    pub fn linked(links: Option<Arc<Links>>) -> Self {
        let told = Arc::new(Told::default());
        let spool = tempfile::tempdir().unwrap();
        let clock = clock::Clock::fixed();
        let client = outbound::Client::new(outbound::Policy::Open, clock).unwrap();
        let parts = Parts {
            now: Arc::new(|| Timestamp::EPOCH),
            speaker: Arc::new(Hum),
            recogniser: Arc::new(Hum),
            client: Arc::new(client),
            sink: told.clone(),
            spool: spool.path().to_owned(),
            legs_max: 100,
            links,
        };
        Self { engine: Engine::start(parts, 2), told, _spool: spool }
    }

    pub fn leg(&self, number: u32) -> (Sid, WireEnd) {
        let leg = sid("CA", number);
        let (port, end) = Wire::new(true);
        self.engine.open(sid("AC", 1), leg, Box::new(port)).unwrap();
        (leg, end)
    }

    pub fn order(&self, leg: Sid, order: Order) {
        assert!(self.engine.order(leg, Timestamp::EPOCH, &order));
    }

    /// Waits for an event of a leg.
    pub async fn event(&self, leg: Sid, wanted: impl Fn(&LegEvent) -> bool) -> LegEvent {
        for _ in 0..500 {
            let found = {
                let mut events = self.told.events.lock().unwrap();
                let at = events.iter().position(|(of, event)| *of == leg && wanted(event));
                at.map(|at| events.remove(at).1)
            };
            if let Some(event) = found {
                return event;
            }
            pause(20).await;
        }
        panic!("not told; but {:?}", self.told.events.lock().unwrap());
    }
}

pub fn sid(prefix: &str, number: u32) -> Sid {
    format!("{prefix}{number:032x}").parse().unwrap()
}

pub fn tone(hz: u32, millis: usize) -> Vec<i16> {
    let mut samples = vec![0; millis * 8];
    Tone::parse(&hz.to_string()).unwrap().fill(&mut samples);
    samples
}

/// How loud one frequency is, in dBFS.
pub fn loudness(samples: &[i16], hz: f32) -> f32 {
    let (mut sine, mut cosine) = (0.0f32, 0.0f32);
    for (at, sample) in samples.iter().enumerate() {
        let turn = std::f32::consts::TAU * hz * at as f32 / 8000.0;
        sine += turn.sin() * f32::from(*sample);
        cosine += turn.cos() * f32::from(*sample);
    }
    let amplitude = (sine * sine + cosine * cosine).sqrt() * 2.0 / samples.len().max(1) as f32;
    20.0 * (amplitude / 32_768.0).max(1e-6).log10()
}

pub async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

pub fn part(speaks: bool, hears: bool, only_to: Option<Sid>) -> Part {
    Part { speaks, hears, only_to }
}
