//! Time and randomness, the two things no function may take for itself.
//!
//! The whole platform runs on one [`Clock`]. A developer may move it (a 24-hour
//! window is then tested in milliseconds); production refuses, because
//! [`Clock::is_movable`] is false there. The wall clock stays available for what
//! must not jump: leases and time-outs of sockets.
//!
//! ```
//! use std::time::Duration;
//! let clock = clock::Clock::movable();
//! let before = clock.now();
//! clock.advance(Duration::from_secs(25 * 3600)).unwrap();
//! assert!(clock.now().since(before) >= Duration::from_secs(25 * 3600));
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kernel::{Sid, SidGenerator, Timestamp};
use tokio::sync::watch;

/// The one clock. Cheap to clone; clones share the same offset.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    movable: bool,
    /// Microseconds added to the wall clock.
    offset: AtomicI64,
    moved: watch::Sender<u64>,
    sids: SidGenerator,
}

/// The clock of a production instance was asked to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotMovable;

impl std::fmt::Display for NotMovable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the clock moves only in the development profile")
    }
}

impl std::error::Error for NotMovable {}

impl Clock {
    /// A clock that follows the wall and refuses to move: production.
    pub fn fixed() -> Self {
        Self::new(false)
    }

    /// A clock that a developer can move.
    pub fn movable() -> Self {
        Self::new(true)
    }

    fn new(movable: bool) -> Self {
        Self(Arc::new(Inner {
            movable,
            offset: AtomicI64::new(0),
            moved: watch::Sender::new(0),
            sids: SidGenerator::default(),
        }))
    }

    pub fn is_movable(&self) -> bool {
        self.0.movable
    }

    /// The platform's time: wall clock plus offset.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.wall().as_micros() + self.0.offset.load(Ordering::Relaxed))
    }

    /// The wall clock, for leases and socket time-outs.
    pub fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Microseconds between the platform's time and the wall clock.
    pub fn offset_micros(&self) -> i64 {
        self.0.offset.load(Ordering::Relaxed)
    }

    /// Moves time forward.
    pub fn advance(&self, by: Duration) -> Result<Timestamp, NotMovable> {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX / 4);
        self.shift(self.offset_micros().saturating_add(micros))
    }

    /// Jumps to `at`; time runs on from there.
    pub fn set(&self, at: Timestamp) -> Result<Timestamp, NotMovable> {
        self.shift(at.as_micros().saturating_sub(self.wall().as_micros()))
    }

    /// Back to the wall clock.
    pub fn resume(&self) -> Result<Timestamp, NotMovable> {
        self.shift(0)
    }

    fn shift(&self, offset: i64) -> Result<Timestamp, NotMovable> {
        if !self.0.movable {
            return Err(NotMovable);
        }
        self.0.offset.store(offset, Ordering::Relaxed);
        self.0.moved.send_modify(|count| *count += 1);
        Ok(self.now())
    }

    /// Resolves when the clock has been moved after this receiver last looked.
    pub fn moves(&self) -> watch::Receiver<u64> {
        self.0.moved.subscribe()
    }

    /// A fresh SID of this moment.
    pub fn sid(&self, prefix: &str) -> Sid {
        self.0.sids.next(prefix, self.now(), rand::random())
    }

    /// 64 random bits.
    pub fn random(&self) -> u64 {
        rand::random()
    }

    /// `length` characters of `[0-9a-f]`: an auth token has 32.
    pub fn hex_token(&self, length: usize) -> String {
        (0..length).map(|_| char::from(b"0123456789abcdef"[rand::random_range(0..16)])).collect()
    }

    /// `length` characters of `[0-9A-Za-z]`: an API key secret has 32.
    pub fn alphanumeric_token(&self, length: usize) -> String {
        const ALPHABET: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        (0..length).map(|_| char::from(ALPHABET[rand::random_range(0..62)])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_refuses_to_move() {
        let clock = Clock::fixed();
        assert_eq!(clock.advance(Duration::from_secs(1)), Err(NotMovable));
        assert_eq!(clock.offset_micros(), 0);
    }

    #[test]
    fn moves_are_announced_and_resume_returns_to_the_wall() {
        let clock = Clock::movable();
        let mut moves = clock.moves();
        clock.set(Timestamp::from_seconds(4_000_000_000)).unwrap();
        assert!(moves.has_changed().unwrap());
        moves.mark_unchanged();
        assert!(clock.now() >= Timestamp::from_seconds(4_000_000_000));
        clock.resume().unwrap();
        assert!(clock.now().since(clock.wall()) < Duration::from_secs(5));
    }
}
