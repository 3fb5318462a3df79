//! From what an item means to its samples, beside the lanes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use audio::dtmf::{self, Step};
use audio::tone::{self, Signal, Tone};
use contracts::{Item, Speaker, Utterance};
use outbound::Client;
use symphonia::core::audio::SampleBuffer;
use symphonia::core::codecs::DecoderOptions;
use symphonia::core::formats::FormatOptions;
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::probe::Hint;

/// Largest sound file, in bytes.
const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest sound, in samples: an hour.
const SAMPLES_MAX: usize = 3600 * audio::RATE as usize;
/// Samples of spoken sentences that are kept to be said again: 64 MiB.
const KEPT_MAX: usize = 32 * 1024 * 1024;

/// A sound that is there, or will be.
#[derive(Clone)]
pub(crate) struct Sound(Arc<OnceLock<Ready>>);

/// What can be played.
#[derive(Clone)]
pub(crate) enum Ready {
    Samples { samples: Arc<[i16]>, loops: u32 },
    Endless(Box<Tone>),
    Silence { millis: u64 },
    Keys(Vec<Step>),
}

impl Sound {
    fn now(ready: Ready) -> Self {
        Self(Arc::new(OnceLock::from(ready)))
    }

    pub fn ready(&self) -> Option<Ready> {
        self.0.get().cloned()
    }
}

/// Fetches, speaks and makes sounds. Cheap to share.
#[derive(Clone)]
pub(crate) struct Fetcher(Arc<Inner>);

struct Inner {
    speaker: Arc<dyn Speaker>,
    client: Arc<Client>,
    said: Mutex<Said>,
}

/// Sentences by how they were said.
#[derive(Default)]
struct Said {
    samples: usize,
    by_utterance: HashMap<Utterance, Arc<[i16]>>,
}

impl Fetcher {
    pub fn new(speaker: Arc<dyn Speaker>, client: Arc<Client>) -> Self {
        Self(Arc::new(Inner { speaker, client, said: Mutex::default() }))
    }

    /// The sound of an item, which is silence until it is there.
    pub fn sound(&self, item: &Item, runtime: &tokio::runtime::Handle) -> Sound {
        match item {
            Item::Say { text, voice, language, loops } => {
                let utterance = Utterance {
                    text: text.clone(),
                    voice: voice.clone(),
                    language: language.clone(),
                };
                let loops = *loops;
                if let Some(samples) = self.said().by_utterance.get(&utterance) {
                    return Sound::now(Ready::Samples { samples: samples.clone(), loops });
                }
                let this = self.clone();
                later(runtime, async move { this.say(utterance, loops).await })
            }
            Item::Play { url, millis, loops } => {
                let (this, url, millis, loops) = (self.clone(), url.clone(), *millis, *loops);
                later(runtime, async move { this.fetch(&url, millis, loops).await })
            }
            Item::Tones { digits } => {
                Sound::now(Ready::Keys(dtmf::steps(digits).unwrap_or_default()))
            }
            Item::Silence { millis } => Sound::now(Ready::Silence { millis: *millis }),
            Item::Beep => {
                let mut tone = Tone::parse(tone::BEEP).unwrap_or_else(|_| silence());
                let mut samples = vec![0; audio::RATE as usize / 2];
                tone.fill(&mut samples);
                Sound::now(Ready::Samples { samples: samples.into(), loops: 1 })
            }
            Item::Ringback => {
                let tone = tone::of("us", Signal::Ringback).unwrap_or_else(silence);
                Sound::now(Ready::Endless(Box::new(tone)))
            }
            Item::Music => Sound::now(Ready::Samples { samples: music(), loops: u32::MAX }),
        }
    }

    /// Nothing to speak with is silence as long as the words would take.
    async fn say(&self, utterance: Utterance, loops: u32) -> Ready {
        let millis = utterance.text.chars().count() as u64 * 1000 / 15;
        match self.spoken(utterance).await {
            Some(samples) => Ready::Samples { samples, loops },
            None => Ready::Silence { millis: millis.saturating_mul(loops.into()) },
        }
    }

    /// Words as samples, which are kept to be said again.
    pub async fn spoken(&self, utterance: Utterance) -> Option<Arc<[i16]>> {
        if let Some(samples) = self.said().by_utterance.get(&utterance) {
            return Some(samples.clone());
        }
        let spoken = self.0.speaker.speak(&utterance).await;
        let samples: Arc<[i16]> = spoken.and_then(|file| decode(&file, None))?.into();
        let mut said = self.said();
        if said.samples + samples.len() > KEPT_MAX {
            *said = Said::default();
        }
        said.samples += samples.len();
        said.by_utterance.insert(utterance, samples.clone());
        Some(samples)
    }

    /// What cannot be had or understood is silence of the length that was promised.
    async fn fetch(&self, url: &str, millis: u64, loops: u32) -> Ready {
        let silence = Ready::Silence { millis: millis.saturating_mul(loops.into()) };
        let answer = match self.0.client.get_media(url, FILE_BYTES_MAX).await {
            Ok(answer) => answer,
            Err(failure) => {
                tracing::warn!(code = failure.code, "a sound file cannot be had any more");
                return silence;
            }
        };
        let kind = answer.content_type.clone();
        let body = answer.body;
        let decoded = tokio::task::spawn_blocking(move || decode(&body, kind.as_deref())).await;
        match decoded.ok().flatten() {
            Some(samples) => Ready::Samples { samples: samples.into(), loops },
            None => {
                tracing::warn!(kind = answer.content_type, "a sound file is not understood");
                silence
            }
        }
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Said> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(
    runtime: &tokio::runtime::Handle,
    make: impl Future<Output = Ready> + Send + 'static,
) -> Sound {
    let place = Arc::new(OnceLock::new());
    let filled = place.clone();
    runtime.spawn(async move {
        let _ = filled.set(make.await);
    });
    Sound(place)
}

fn silence() -> Tone {
    // The notation is right: there is a test.
    Tone::parse("0").unwrap_or_else(|_| unreachable!("a segment of silence"))
}

/// Samples of a file at 8 kHz: WAV, MP3, or raw µ-law by its type.
///
/// Differs: AIFF and GSM are not understood.
pub(crate) fn decode(file: &[u8], kind: Option<&str>) -> Option<Vec<i16>> {
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    let mut samples = if file.starts_with(b"RIFF") {
        audio::wav::read(file).ok()?.into_telephone().ok()?
    } else if matches!(kind, "audio/ulaw" | "audio/basic" | "audio/x-mulaw") {
        let mut samples = Vec::with_capacity(file.len());
        audio::g711::Law::Mu.decode_to(file, &mut samples);
        samples
    } else {
        mp3(file)?
    };
    samples.truncate(SAMPLES_MAX);
    Some(samples)
}

fn mp3(file: &[u8]) -> Option<Vec<i16>> {
    let source = MediaSourceStream::new(
        Box::new(std::io::Cursor::new(file.to_vec())),
        symphonia::core::io::MediaSourceStreamOptions::default(),
    );
    let mut hint = Hint::new();
    hint.with_extension("mp3");
    let probed = symphonia::default::get_probe()
        .format(&hint, source, &FormatOptions::default(), &MetadataOptions::default())
        .ok()?;
    let mut format = probed.format;
    let track = format.default_track()?;
    let (id, parameters) = (track.id, track.codec_params.clone());
    let mut decoder =
        symphonia::default::get_codecs().make(&parameters, &DecoderOptions::default()).ok()?;
    let (mut mono, mut rate) = (Vec::new(), 0);
    while let Ok(packet) = format.next_packet() {
        if packet.track_id() != id {
            continue;
        }
        // A broken frame is left out, as players do.
        let Ok(decoded) = decoder.decode(&packet) else { continue };
        let spec = *decoded.spec();
        rate = spec.rate;
        let mut buffer = SampleBuffer::<i16>::new(decoded.capacity() as u64, spec);
        buffer.copy_interleaved_ref(decoded);
        match spec.channels.count() {
            2 => mono.extend(audio::wav::to_mono(buffer.samples())),
            _ => mono.extend_from_slice(buffer.samples()),
        }
        if mono.len() / rate.max(1) as usize > SAMPLES_MAX / audio::RATE as usize {
            break;
        }
    }
    (!mono.is_empty()).then_some(())?;
    audio::resample::resample(&mono, rate, audio::RATE).ok()
}

/// What those who wait hear: a slow figure of soft tones, twelve seconds long.
///
/// Differs: Twilio plays one of several pieces from its own servers.
fn music() -> Arc<[i16]> {
    static MUSIC: OnceLock<Arc<[i16]>> = OnceLock::new();
    const NOTES: [f32; 16] = [
        261.6, 329.6, 392.0, 523.3, 220.0, 261.6, 329.6, 440.0, 174.6, 220.0, 261.6, 349.2, 196.0,
        246.9, 293.7, 392.0,
    ];
    MUSIC
        .get_or_init(|| {
            let rate = audio::RATE as f32;
            let note_samples = audio::RATE as usize * 3 / 4;
            let note = |hz: f32| {
                (0..note_samples).map(move |at| {
                    let time = at as f32 / rate;
                    let turn = time * hz * std::f32::consts::TAU;
                    // Struck, then fading.
                    let loudness = (time * 60.0).min(1.0) * (-time * 2.5).exp() * 5_000.0;
                    ((turn.sin() + 0.3 * (2.0 * turn).sin()) * loudness) as i16
                })
            };
            NOTES.into_iter().flat_map(note).collect()
        })
        .clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sounds_of_our_own_can_be_made() {
        assert_eq!(silence().frame(), audio::SILENCE);
        assert_eq!(music().len(), 12 * 8000);
        assert!(audio::level::dbfs(&music()) > -35.0);
    }

    #[test]
    fn what_is_no_sound_is_not_decoded() {
        for file in [&b"hello"[..], b"", b"RIFF....WAVE", &[0xff; 4096], b"ID3\x04\0\0\0\0\0\0"] {
            assert_eq!(decode(file, Some("audio/mpeg")), None);
        }
        assert_eq!(decode(&[0xff, 0xff], Some("audio/ulaw; x=y")), Some(vec![0, 0]));
    }
}
