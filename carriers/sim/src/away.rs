//! The sound of a handset in a cluster: it is on one node, which has the home of the leg. Orders come to it
//! there; what is done on the handset by another node's API goes there as a job.

use contracts::{LegEvent, Unavailable, Utterance};
use jobs::Failure;
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};

use crate::leg::{Leg, LegStatus};
use crate::sound::Sounds;
use crate::voice::{What, unavailable};
use crate::{Sim, leg};

/// What is done on a handset that is heard.
#[derive(Serialize, Deserialize)]
pub(crate) enum Deed {
    Say {
        text: String,
    },
    Press {
        keys: String,
    },
    /// The call is over; the words of recordings that run.
    End {
        spoken: Vec<(Sid, String)>,
    },
}

impl Sim {
    /// Lets a deed be heard, if the leg has sound on whichever node.
    pub(crate) async fn sound_out(
        &self,
        leg: &Leg,
        deed: Deed,
        at: Timestamp,
    ) -> Result<(), Unavailable> {
        let Some(sounds) = self.sounds.get() else { return Ok(()) };
        if sounds.of(leg.sid).is_some() {
            return self.act(sounds, leg.account, leg.sid, deed).await;
        }
        if !sounds.is_elsewhere(leg.account, leg.sid).await? {
            return Ok(());
        }
        self.promise(leg, What::Sound(deed), at).await
    }

    async fn act(
        &self,
        sounds: &Sounds,
        account: Sid,
        leg: Sid,
        deed: Deed,
    ) -> Result<(), Unavailable> {
        match deed {
            Deed::Say { text } => {
                sounds.speak(leg, Utterance { text, ..Utterance::default() }).await;
            }
            Deed::Press { keys } => sounds.press(leg, &keys),
            Deed::End { spoken } => {
                sounds.said_in(leg, spoken);
                sounds.end(account, leg).await?;
            }
        }
        Ok(())
    }

    /// A deed has come to this node; it goes on if the sound is on another.
    pub(crate) async fn sound_due(
        &self,
        account: Sid,
        leg: Sid,
        deed: Deed,
    ) -> Result<(), Failure> {
        let retry = |error: Unavailable| Failure::Retry(error.0);
        let Some(sounds) = self.sounds.get() else { return Ok(()) };
        if sounds.of(leg).is_none() && sounds.is_elsewhere(account, leg).await.map_err(retry)? {
            return Err(Failure::Elsewhere(contracts::home_of_leg(account, leg)));
        }
        self.act(sounds, account, leg, deed).await.map_err(retry)
    }

    /// The call is over: its sound ends, and what it records is reported with its sound.
    pub(crate) async fn end_sound(
        &self,
        leg: &Leg,
        events: &mut Vec<LegEvent>,
        at: Timestamp,
    ) -> Result<(), Unavailable> {
        let Some(sounds) = self.sounds.get() else { return Ok(()) };
        let is_here = sounds.of(leg.sid).is_some();
        if !is_here && !sounds.is_elsewhere(leg.account, leg.sid).await? {
            return Ok(());
        }
        let spoken = leg::take_recorded(events);
        self.sound_out(leg, Deed::End { spoken }, at).await
    }

    /// Another node has sound in a room: whoever enters it needs some.
    pub fn hear_of_room(&self, room: &str) {
        if let Some(sounds) = self.sounds.get() {
            sounds.begin_in(room);
        }
    }

    /// The node that had a leg's sound is dead: the call goes on, with its sound here. `None` when it
    /// is no leg of this network; else whether it has sound now.
    pub async fn take_over(&self, leg: Sid) -> Result<Option<bool>, Unavailable> {
        let _turn = self.turn().await?;
        let Some(leg) = self.leg(leg).await.map_err(unavailable)? else { return Ok(None) };
        let Some(sounds) = self.sounds.get() else { return Ok(Some(false)) };
        if leg.status == LegStatus::Ended {
            return Ok(Some(false));
        }
        if let Some((room, _)) = &leg.room {
            sounds.begin_in(room);
        }
        sounds.begin(&leg, self.queue.clock().now()).await?;
        Ok(Some(sounds.of(leg.sid).is_some()))
    }
}

/// Tells the other nodes that a room has sound.
pub type TellOfRoom = Box<dyn Fn(&str) + Send + Sync>;
