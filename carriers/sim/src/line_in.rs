//! A handset's way to the engine: what it is made to say, and the pages that listen to it and speak
//! into it by WebRTC.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use audio::Frame;
use audio::dtmf::Key;
use media::{Heard, Peer, Port};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pages at one call, and at all.
const PAGES_OF_CALL_MAX: usize = 4;
const PAGES_MAX: usize = 64;
/// Frames that wait to be said: 10 minutes.
const WAITING_MAX: usize = 30_000;
const KEYS_MAX: usize = 1000;
/// How long a page may be without a connection.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a page cannot listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPage {
    /// As many listen as may.
    TooMany,
    /// What it offers is no connection for sound.
    NotUnderstood(String),
}

/// What pages connect to.
pub(crate) struct Pages {
    addresses: Vec<IpAddr>,
    places: Arc<Semaphore>,
}

impl Pages {
    pub fn new(addresses: Vec<IpAddr>) -> Self {
        Self { addresses, places: Arc::new(Semaphore::new(PAGES_MAX)) }
    }

    /// Connects a page to a line, under a number that it gives itself; the answer to its offer.
    pub async fn connect(&self, line: &LineIn, id: u64, sdp: &str) -> Result<String, NoPage> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| NoPage::TooMany)?;
        if line.pages() >= PAGES_OF_CALL_MAX {
            return Err(NoPage::TooMany);
        }
        let answered = Peer::answer(sdp, &self.addresses, Some(PATIENCE)).await;
        let (peer, answer) = answered.map_err(NoPage::NotUnderstood)?;
        let page = Page { id, port: peer.port(), peer, _place: place };
        line.lock().pages.push(page);
        Ok(answer)
    }
}

struct Page {
    id: u64,
    peer: Peer,
    port: Box<dyn Port>,
    _place: OwnedSemaphorePermit,
}

/// The line. Cheap to share.
#[derive(Clone, Default)]
pub(crate) struct LineIn(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Frame>,
    keys: VecDeque<Key>,
    pages: Vec<Page>,
    /// The last frame was of what waited.
    is_told: bool,
}

impl LineIn {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets samples be heard after what waits already; what is too much is dropped.
    pub fn put(&self, samples: &[i16]) {
        let mut inner = self.lock();
        for chunk in samples.chunks(audio::FRAME) {
            if inner.waiting.len() >= WAITING_MAX {
                return;
            }
            let mut frame = audio::SILENCE;
            frame[..chunk.len()].copy_from_slice(chunk);
            inner.waiting.push_back(frame);
        }
    }

    pub fn press(&self, key: Key) {
        let mut inner = self.lock();
        if inner.keys.len() < KEYS_MAX {
            inner.keys.push_back(key);
        }
    }

    fn pages(&self) -> usize {
        let mut inner = self.lock();
        inner.pages.retain(|page| !page.peer.is_over());
        inner.pages.len()
    }

    /// A page leaves.
    pub fn leave(&self, id: u64) {
        self.lock().pages.retain(|page| page.id != id);
    }
}

impl Port for LineIn {
    fn hear(&mut self, now: Instant) -> Heard {
        let mut inner = self.lock();
        let mut frame = inner.waiting.pop_front();
        inner.is_told = frame.is_some();
        for page in &mut inner.pages {
            if let Some(said) = page.port.hear(now).frame {
                let mixed = frame.get_or_insert(audio::SILENCE);
                for (sample, more) in mixed.iter_mut().zip(&said) {
                    *sample = sample.saturating_add(*more);
                }
            }
        }
        Heard { frame, key: inner.keys.pop_front() }
    }

    fn say(&mut self, frame: &Frame, now: Instant) {
        let mut inner = self.lock();
        for page in &mut inner.pages {
            page.port.say(frame, now);
        }
    }

    fn is_told(&self) -> bool {
        self.lock().is_told
    }

    fn has_key_events(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_to_be_said_is_told_and_nothing_else() {
        let mut line = LineIn::default();
        line.put(&[7; audio::FRAME + 1]);
        let now = Instant::now();
        for (expected, is_told) in [(Some(7), true), (Some(0), true), (None, false)] {
            let heard = line.hear(now).frame.map(|frame| frame[audio::FRAME - 1]);
            assert_eq!((heard, line.is_told()), (expected, is_told));
        }
    }

    #[tokio::test]
    async fn so_many_pages_listen_to_a_call_and_who_leaves_makes_room() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let (pages, line) = (Pages::new(vec![here]), LineIn::default());
        // Browsers are no ICE-lite.
        let offer = Peer::offer(&[here]).await.unwrap().sdp.replace("a=ice-lite\r\n", "");
        for id in 0..PAGES_OF_CALL_MAX as u64 {
            let answer = pages.connect(&line, id, &offer).await.unwrap();
            assert!(answer.starts_with("v=0"), "{answer}");
        }
        assert_eq!(pages.connect(&line, 9, &offer).await, Err(NoPage::TooMany));
        line.leave(9);
        line.leave(2);
        pages.connect(&line, 9, &offer).await.unwrap();
        // With the call all of them end.
        drop(line);
        assert_eq!(pages.places.available_permits(), PAGES_MAX);
    }

    #[tokio::test]
    async fn a_page_that_offers_nothing_has_no_place() {
        let pages = Pages::new(vec![IpAddr::from([127, 0, 0, 1])]);
        let line = LineIn::default();
        let refused = pages.connect(&line, 1, "nothing").await;
        assert!(matches!(refused, Err(NoPage::NotUnderstood(_))));
        assert_eq!((line.pages(), pages.places.available_permits()), (0, PAGES_MAX));
    }
}
