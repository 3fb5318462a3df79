//! What runs beside a call in one process, and is lost with it: streams, and the sessions of relays.
//!
//! Whoever has one looks after it now and then. When the process that had it is gone, the letter
//! that looks comes to another, which does not know it: the call goes on without.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contracts::StreamNews;
use jobs::Failure;
use kernel::Sid;
use store::{AccountBatch, AccountStore};

use crate::Voice;
use crate::act::Act;
use crate::call::Call;
use crate::letter::{Beside, Letter, What};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(10);
/// How long a relay may take to be opened.
const RELAY_OPENS: Duration = Duration::from_secs(30);

/// The streams that this process has begun.
#[derive(Default)]
pub(crate) struct Streams(Mutex<HashSet<Sid>>);

impl Streams {
    fn all(&self) -> std::sync::MutexGuard<'_, HashSet<Sid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn home_of_stream(stream: Sid) -> String {
    format!("stream/{stream}")
}

impl Voice {
    /// A stream has begun here.
    pub(crate) async fn stream_is_here(&self, stream: Sid) {
        self.streams.all().insert(stream);
        if let Err(error) = self.parts.homes.claim(&home_of_stream(stream)).await {
            tracing::warn!(%error, %stream, "a stream is not found from other nodes");
        }
    }

    /// The first look at something that begins.
    pub(crate) fn look_later(&self, batch: &mut AccountBatch, call: Sid, what: Beside) {
        let at = self.parts.clock.now() + LOOK;
        self.send_at(batch, Letter { call, at, what: What::Look(what) });
    }

    /// Goes to where the stream is; false when its call has no such stream any more, and nobody has
    /// to look again.
    pub(crate) async fn looks_at(
        &self,
        store: &AccountStore,
        call: Sid,
        stream: Sid,
    ) -> Result<bool, Failure> {
        let home = home_of_stream(stream);
        self.stay_or_go(&home).await?;
        let live = Call::load(store, call).await?.and_then(|call| call.live);
        let runs = live.is_some_and(|live| live.streams.iter().any(|plan| plan.sid == stream));
        if !runs && self.streams.all().remove(&stream) {
            let done = self.parts.homes.release(&home).await;
            done.map_err(|error| Failure::Retry(error.0))?;
        }
        Ok(runs)
    }
}

impl Act<'_> {
    pub async fn look_after_stream(&mut self, stream: Sid) -> Result<(), Failure> {
        if self.voice.streams.all().contains(&stream) {
            self.voice.look_later(&mut self.batch, self.call.sid, Beside::Stream(stream));
            return Ok(());
        }
        let why = "the process that had the stream has ended".to_owned();
        let news = StreamNews::Failed { code: 31924, why, is_over: true };
        self.on_stream(stream, news).await
    }

    pub fn look_after_relay(&mut self, session: Sid) {
        let Some((_, since)) = self.live.relay.filter(|(known, _)| *known == session) else {
            return;
        };
        let is_young = self.at.since(since) < RELAY_OPENS;
        if is_young || self.voice.sessions.has(self.call.sid, session) {
            self.voice.look_later(&mut self.batch, self.call.sid, Beside::Relay(session));
        } else {
            self.relay_is_gone();
        }
    }
}
