//! What is said in a room, written down for a recording of the room.

use contracts::{LegEvent, LegReport, NotesError, Unavailable};
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Sim;
use crate::leg::{Leg, Recording};
use crate::voice::unavailable;

/// Recordings of one room.
const TAPES_MAX: u32 = 10;

/// A recording of a room, which goes on when the leg that asked for it has left.
#[derive(Serialize, Deserialize)]
struct Tape {
    account: Sid,
    /// The leg whose call hears of its end.
    leg: Sid,
    recording: Recording,
}

fn key(room: &str, recording: Sid) -> String {
    format!("tape/{room}/{recording}")
}

impl Sim {
    async fn tapes(&self, room: &str) -> Result<Vec<Tape>, NotesError> {
        let found = self.notes.newest(&format!("tape/{room}/"), TAPES_MAX).await?;
        Ok(found.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect())
    }

    async fn keep_tape(&self, room: &str, tape: &Tape) -> Result<(), NotesError> {
        let text = serde_json::to_string(tape).expect("a tape is plain data");
        self.notes.put(&key(room, tape.recording.sid), text).await
    }

    /// The room of a leg is recorded from now on.
    pub(crate) async fn record_room(
        &self,
        leg: &Leg,
        recording: Sid,
        at: Timestamp,
    ) -> Result<(), NotesError> {
        let Some((room, _)) = &leg.room else { return Ok(()) };
        let recording = Recording::new(recording, at, contracts::Tracks::Both);
        let tape = Tape { account: leg.account, leg: leg.sid, recording };
        self.keep_tape(room, &tape).await
    }

    /// Words that everybody in the speaker's room hears.
    pub(crate) async fn record_words(&self, speaker: &Leg, text: &str) -> Result<(), NotesError> {
        let Some((room, part)) = &speaker.room else { return Ok(()) };
        if !part.speaks || part.only_to.is_some() {
            return Ok(());
        }
        for mut tape in self.tapes(room).await? {
            tape.recording.write(text);
            self.keep_tape(room, &tape).await?;
        }
        Ok(())
    }

    /// Pauses a recording of the room, or lets it go on.
    pub(crate) async fn pause_tape(
        &self,
        room: &str,
        recording: Sid,
        at: Timestamp,
        skip: Option<bool>,
    ) -> Result<(), NotesError> {
        for mut tape in self.tapes(room).await? {
            if tape.recording.sid == recording {
                match skip {
                    Some(skip) => tape.recording.pause(at, skip),
                    None => tape.recording.resume(at),
                }
                self.keep_tape(room, &tape).await?;
            }
        }
        Ok(())
    }

    /// Ends one recording of the room, or all.
    pub(crate) async fn end_tapes(
        &self,
        room: &str,
        only: Option<Sid>,
        at: Timestamp,
    ) -> Result<(), Unavailable> {
        for tape in self.tapes(room).await.map_err(unavailable)? {
            let Tape { account, leg, recording } = tape;
            if only.is_some_and(|only| only != recording.sid) {
                continue;
            }
            let key = key(room, recording.sid);
            let event = recording.end(at);
            debug_assert!(matches!(event, LegEvent::Recorded { .. }));
            self.voice().report(&LegReport { account, leg, at, event }).await?;
            self.notes.delete(&key).await.map_err(unavailable)?;
        }
        Ok(())
    }
}
