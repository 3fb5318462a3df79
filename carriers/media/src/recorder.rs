//! Recordings: they grow in files, not in memory, and are handed over when they end.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use audio::wav::{self, Encoding};
use audio::{Frame, RATE, SILENCE};
use contracts::{LegEvent, Order, Tracks, VoiceSink};
use kernel::Sid;
use tokio::runtime::Handle;

use crate::leg::select;
use crate::report::Reporter;

/// Pieces that wait to be written.
const WAITING_MAX: usize = 8_192;
/// Samples of one piece: a second of two channels.
const PIECE: usize = 2 * RATE as usize;
const RETRY: Duration = Duration::from_millis(500);
/// Longest recording, in samples of one channel: a day.
const SAMPLES_MAX: u64 = 86_400 * RATE as u64;

/// Where pieces of recordings are told to. Cheap to share.
#[derive(Clone)]
pub(crate) struct Recorder(SyncSender<Piece>);

enum Piece {
    Samples { recording: Sid, channels: u16, samples: Vec<i16> },
    Silence { recording: Sid, channels: u16, frames: u64 },
    End(Ended),
}

/// What is known of a recording that has ended.
struct Ended {
    account: Sid,
    leg: Sid,
    recording: Sid,
    channels: u16,
    frames: u64,
    spoken: String,
}

/// A recording that runs on a leg.
pub(crate) struct Tape {
    pub recording: Sid,
    account: Sid,
    leg: Sid,
    tracks: Tracks,
    /// 20 ms each.
    frames: u64,
    /// Nothing is kept meanwhile; with `true` the time is left out, too.
    pub paused: Option<bool>,
    /// What was said in it, where that is known.
    pub spoken: String,
    piece: Vec<i16>,
}

impl Recorder {
    /// Starts the thread that writes into `spool`, a folder of its own.
    pub fn start(spool: PathBuf, sink: Arc<dyn VoiceSink>, reporter: Reporter) -> Self {
        let (sender, inbox) = sync_channel(WAITING_MAX);
        let writer =
            Writer { spool, files: HashMap::new(), sink, reporter, runtime: Handle::current() };
        let thread = std::thread::Builder::new().name("recorder".to_owned());
        if let Err(error) = thread.spawn(move || writer.run(&inbox)) {
            tracing::error!(%error, "no thread for recordings");
        }
        Self(sender)
    }

    pub fn tape(&self, account: Sid, leg: Sid, recording: Sid, tracks: Tracks) -> Tape {
        Tape {
            recording,
            account,
            leg,
            tracks,
            frames: 0,
            paused: None,
            spoken: String::new(),
            piece: Vec::with_capacity(PIECE),
        }
    }
}

impl Tape {
    fn channels(&self) -> u16 {
        if self.tracks == Tracks::Dual { 2 } else { 1 }
    }

    /// Silence for what was missed.
    pub fn skip(&mut self, millis: u64, recorder: &Recorder) {
        let frames = (millis / 20).min(SAMPLES_MAX / audio::FRAME as u64);
        let (recording, channels) = (self.recording, self.channels());
        let silence = Piece::Silence { recording, channels, frames };
        // Without it the recording is shorter, no more.
        if frames > 0 && recorder.0.try_send(silence).is_ok() {
            self.frames += frames;
        }
    }

    pub fn put(&mut self, inbound: &Frame, outbound: &Frame, recorder: &Recorder) {
        if self.frames * audio::FRAME as u64 >= SAMPLES_MAX {
            return;
        }
        match self.paused {
            Some(true) => return,
            Some(false) => select(self.tracks, &SILENCE, &SILENCE, &mut self.piece),
            None => select(self.tracks, inbound, outbound, &mut self.piece),
        }
        self.frames += 1;
        if self.piece.len() >= PIECE {
            self.flush(recorder);
        }
    }

    fn flush(&mut self, recorder: &Recorder) {
        let samples = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let piece =
            Piece::Samples { recording: self.recording, channels: self.channels(), samples };
        // A disk that cannot keep up costs the recording a second, not the call its sound.
        if recorder.0.try_send(piece).is_err() {
            tracing::error!(recording = %self.recording, "a second of a recording is lost");
        }
    }

    pub fn end(&mut self, recorder: &Recorder) {
        self.flush(recorder);
        let end = Ended {
            account: self.account,
            leg: self.leg,
            recording: self.recording,
            channels: self.channels(),
            frames: self.frames,
            spoken: std::mem::take(&mut self.spoken),
        };
        // Its end must not be lost: it is waited for.
        let _ = recorder.0.send(Piece::End(end));
    }
}

/// What an order says of recordings that run. Whether it is one of these.
pub(crate) fn follow(tapes: &mut Vec<Tape>, order: &Order, recorder: &Recorder) -> bool {
    let (Order::StopRecording { recording: meant }
    | Order::PauseRecording { recording: meant, .. }
    | Order::ResumeRecording { recording: meant }) = order
    else {
        return false;
    };
    let is_here = tapes.iter().any(|tape| tape.recording == *meant);
    match order {
        Order::StopRecording { recording } => tapes.retain_mut(|tape| {
            let is_it = tape.recording == *recording;
            if is_it {
                tape.end(recorder);
            }
            !is_it
        }),
        Order::PauseRecording { recording, skip } => {
            if let Some(tape) = tapes.iter_mut().find(|tape| tape.recording == *recording) {
                tape.paused.get_or_insert(*skip);
            }
        }
        Order::ResumeRecording { recording } => {
            if let Some(tape) = tapes.iter_mut().find(|tape| tape.recording == *recording) {
                tape.paused = None;
            }
        }
        _ => {}
    }
    is_here
}

struct Writer {
    spool: PathBuf,
    files: HashMap<Sid, BufWriter<File>>,
    sink: Arc<dyn VoiceSink>,
    reporter: Reporter,
    runtime: Handle,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Piece>) {
        while let Ok(piece) = inbox.recv() {
            match piece {
                Piece::Samples { recording, channels, samples } => {
                    if let Err(error) = self.write(recording, channels, &samples) {
                        tracing::error!(%error, %recording, "a second of a recording is lost");
                    }
                }
                Piece::Silence { recording, channels, frames } => {
                    let second = vec![0; usize::from(channels) * RATE as usize];
                    let mut left = frames * audio::FRAME as u64 * u64::from(channels);
                    while left > 0 {
                        let count = left.min(second.len() as u64) as usize;
                        if let Err(error) = self.write(recording, channels, &second[..count]) {
                            tracing::error!(%error, %recording, "a recording's silence is lost");
                        }
                        left -= count as u64;
                    }
                }
                Piece::End(ended) => {
                    let file = self.finish(ended.recording, ended.channels);
                    self.hand_over(ended, file);
                }
            }
        }
    }

    fn path(&self, recording: Sid) -> PathBuf {
        self.spool.join(format!("{recording}.wav"))
    }

    fn write(&mut self, recording: Sid, channels: u16, samples: &[i16]) -> io::Result<()> {
        if !self.files.contains_key(&recording) {
            std::fs::create_dir_all(&self.spool)?;
            let mut file = BufWriter::new(File::create(self.path(recording))?);
            file.write_all(&header(channels, 0)?)?;
            self.files.insert(recording, file);
        }
        let Some(file) = self.files.get_mut(&recording) else { return Ok(()) };
        let mut octets = Vec::with_capacity(samples.len() * 2);
        wav::encode_to(Encoding::Pcm16, samples, &mut octets);
        file.write_all(&octets)
    }

    /// The whole file, with its length written into its head.
    fn finish(&mut self, recording: Sid, channels: u16) -> io::Result<Vec<u8>> {
        let file = self.files.remove(&recording);
        let mut file = file.ok_or(io::ErrorKind::NotFound)?;
        file.flush()?;
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let head = header(channels, 0)?.len() as u64;
        let length = file.metadata()?.len().saturating_sub(head);
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header(channels, u32::try_from(length).unwrap_or(u32::MAX))?)?;
        drop(file);
        read(&self.path(recording))
    }

    /// Keeps it and says that it is there; until then the file stays.
    fn hand_over(&self, ended: Ended, file: io::Result<Vec<u8>>) {
        let Ended { account, leg, recording, frames, spoken, .. } = ended;
        let (path, millis) = (self.path(recording), frames * 20);
        let (sink, reporter) = (self.sink.clone(), self.reporter.clone());
        self.runtime.spawn(async move {
            let sound = match file {
                Ok(file) => loop {
                    match sink.keep_sound(file.clone()).await {
                        Ok(name) => break Some(name),
                        Err(error) => {
                            tracing::warn!(%error, %recording, "a recording cannot be kept now");
                            tokio::time::sleep(RETRY).await;
                        }
                    }
                },
                Err(error) => {
                    tracing::error!(%error, %recording, "a recording is lost");
                    None
                }
            };
            reporter.report(account, leg, LegEvent::Recorded { recording, millis, spoken, sound });
            if let Err(error) = tokio::fs::remove_file(&path).await {
                tracing::debug!(%error, "the spooled recording is left");
            }
        });
    }
}

fn header(channels: u16, octets: u32) -> io::Result<Vec<u8>> {
    wav::header(Encoding::Pcm16, RATE, channels, octets).map_err(io::Error::other)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    File::open(path)?.read_to_end(&mut octets)?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_tape_keeps_silence_or_nothing() {
        let (sender, _inbox) = sync_channel(8);
        let recorder = Recorder(sender);
        let sid = |text: &str| text.parse::<Sid>().unwrap();
        let account = sid("AC00000000000000000000000000000001");
        let leg = sid("CA00000000000000000000000000000001");
        let recording = sid("RE00000000000000000000000000000001");
        let loud: Frame = [9; audio::FRAME];
        for (pause, frames, last) in [(None, 2, 9), (Some(false), 2, 0), (Some(true), 1, 9)] {
            let mut tape = recorder.tape(account, leg, recording, Tracks::Inbound);
            tape.put(&loud, &SILENCE, &recorder);
            tape.paused = pause;
            tape.put(&loud, &SILENCE, &recorder);
            assert_eq!((tape.frames, tape.piece.last()), (frames, Some(&last)), "{pause:?}");
        }
    }
}
