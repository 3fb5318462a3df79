//! Who is let in when there is too much.
//!
//! An account has its limits, and the node has one. Beyond an account's, that account is told
//! 20429; beyond the node's, everybody is told 503, lists first, then single reads, then writes:
//! what is refused early costs least. Both say when to come back. Limits are of a node: so many
//! nodes let in so many times as much, but for what is counted in the store.
//!
//! Bounds: 10,000 accounts are remembered while they ask nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};
use kernel::{ApiError, Sid};
use serde::Deserialize;
use store::StoreError;

use crate::table::{BoxFuture, Verb};

const ACCOUNTS_MAX: usize = 10_000;
/// How long a count of the store's is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// What one account may have; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests in flight, on each node.
    pub requests_in_flight: u32,
    /// Requests per second, on each node; a second's worth may come at once.
    pub requests_per_second: u32,
    /// Jobs that wait: messages to be sent, callbacks to be made. Beyond it nothing is created.
    pub waiting_jobs: u32,
    /// Bytes of messages' media. Beyond it nothing is created.
    pub media_bytes: u64,
    /// Calls that are not over. Beyond it no call is made by the API.
    pub calls: u32,
}

/// What the store counts of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    WaitingJobs,
    MediaBytes,
    Calls,
}

/// Counts what an account has; may stop counting at `most`.
pub trait Counts: Send + Sync {
    fn count<'a>(
        &'a self,
        account: Sid,
        what: Counted,
        most: u64,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;
}

/// What an account does now.
#[derive(Default)]
struct Doing {
    in_flight: AtomicU32,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    /// When the next request is due by the pace; requests before it take up the second ahead.
    due: Option<Instant>,
    counted: HashMap<Counted, (Instant, u64)>,
}

/// Decides who is let in.
#[derive(Default)]
pub(crate) struct Admission {
    everybody: Limits,
    some: HashMap<Sid, Limits>,
    /// Requests in flight on this node.
    node_max: u32,
    node: Arc<AtomicU32>,
    counts: Option<Arc<dyn Counts>>,
    doing: Mutex<HashMap<Sid, Arc<Doing>>>,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that was let in; it has gone when this is dropped.
pub(crate) struct Admitted {
    node: Arc<AtomicU32>,
    doing: Arc<Doing>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.node.fetch_sub(1, Ordering::Relaxed);
        self.doing.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The share of the node's limit, in quarters, beyond which a request of this kind is refused.
fn quarters(verb: Verb) -> u64 {
    match verb {
        Verb::List => 2,
        Verb::Fetch => 3,
        _ => 4,
    }
}

impl Admission {
    pub fn new(
        everybody: Limits,
        some: HashMap<Sid, Limits>,
        node_max: u32,
        counts: Arc<dyn Counts>,
    ) -> Self {
        Self { everybody, some, node_max, counts: Some(counts), ..Self::default() }
    }

    /// Lets a request in, or says why not; `headers` are the answer's.
    pub async fn enter(
        &self,
        account: Sid,
        verb: Verb,
        is_call: bool,
        headers: &mut HeaderMap,
    ) -> Result<Admitted, ApiError> {
        let limits = self.some.get(&account).unwrap_or(&self.everybody);
        let doing = {
            let mut all = guard(&self.doing);
            if all.len() > ACCOUNTS_MAX {
                all.retain(|_, doing| Arc::strong_count(doing) > 1);
            }
            all.entry(account).or_default().clone()
        };
        let here = self.node.fetch_add(1, Ordering::Relaxed) + 1;
        let now = doing.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        let admitted = Admitted { node: self.node.clone(), doing };
        headers.insert("twilio-concurrent-requests", HeaderValue::from(now));
        let mut wait = |seconds: u64| headers.insert("retry-after", HeaderValue::from(seconds));
        let too_many = || ApiError::new(20429, "Too Many Requests");
        if self.node_max > 0 && u64::from(here) * 4 > u64::from(self.node_max) * quarters(verb) {
            wait(1);
            return Err(ApiError::new(20503, "The service is overloaded; try again"));
        }
        if limits.requests_in_flight > 0 && now > limits.requests_in_flight {
            wait(1);
            return Err(too_many());
        }
        if limits.requests_per_second > 0 && !admitted.doing.keeps_pace(limits.requests_per_second)
        {
            wait(1);
            return Err(too_many());
        }
        if verb != Verb::Create {
            return Ok(admitted);
        }
        for (what, most, seconds, applies) in [
            (Counted::WaitingJobs, limits.waiting_jobs.into(), 5, true),
            (Counted::MediaBytes, limits.media_bytes, 3600, true),
            (Counted::Calls, limits.calls.into(), 5, is_call),
        ] {
            if most > 0 && applies && self.used(&admitted.doing, account, what, most).await >= most
            {
                wait(seconds);
                let mut error = too_many();
                error.message = format!("Too Many Requests: the account has {}", what.name());
                return Err(error);
            }
        }
        Ok(admitted)
    }

    /// What was counted a second ago at most, and what was let in since. A store that cannot
    /// count will say so itself.
    async fn used(&self, doing: &Doing, account: Sid, what: Counted, most: u64) -> u64 {
        let Some(counts) = &self.counts else { return 0 };
        let known = guard(&doing.rest).counted.get(&what).copied();
        if let Some((_, count)) = known.filter(|(at, _)| at.elapsed() < BELIEVED) {
            if let Some((_, count)) = guard(&doing.rest).counted.get_mut(&what) {
                *count += u64::from(what != Counted::MediaBytes);
            }
            return count;
        }
        let count = counts.count(account, what, most).await.unwrap_or(0);
        guard(&doing.rest).counted.insert(what, (Instant::now(), count + 1));
        count
    }
}

impl Counted {
    fn name(self) -> &'static str {
        match self {
            Self::WaitingJobs => "as much waiting to be sent as it may",
            Self::MediaBytes => "as much media stored as it may",
            Self::Calls => "as many calls as it may",
        }
    }
}

impl Doing {
    /// Takes a place in the pace, when there is one within the second ahead.
    fn keeps_pace(&self, per_second: u32) -> bool {
        let now = Instant::now();
        let mut rest = guard(&self.rest);
        let due = rest.due.map_or(now, |due| due.max(now));
        let next = due + Duration::from_secs(1) / per_second;
        let is_in_time = next <= now + Duration::from_secs(1);
        if is_in_time {
            rest.due = Some(next);
        }
        is_in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u64);

    impl Counts for Fixed {
        fn count<'a>(
            &'a self,
            _: Sid,
            _: Counted,
            _: u64,
        ) -> BoxFuture<'a, Result<u64, StoreError>> {
            Box::pin(async move { Ok(self.0) })
        }
    }

    fn admission(everybody: Limits, node_max: u32) -> Admission {
        let some = HashMap::from([(Sid::from_parts("AC", 2), Limits::default())]);
        Admission::new(everybody, some, node_max, Arc::new(Fixed(10)))
    }

    async fn enter(admission: &Admission, account: u128, verb: Verb) -> Result<Admitted, u32> {
        let account = Sid::from_parts("AC", account);
        let mut headers = HeaderMap::new();
        let entered = admission.enter(account, verb, true, &mut headers).await;
        assert_eq!(entered.is_err(), headers.contains_key("retry-after"));
        entered.map_err(|error| error.code)
    }

    #[tokio::test]
    async fn an_account_has_its_limits_and_leaves_the_others_alone() {
        for limits in [
            Limits { requests_in_flight: 2, ..Limits::default() },
            Limits { requests_per_second: 2, ..Limits::default() },
        ] {
            let admission = admission(limits, 0);
            let first = enter(&admission, 1, Verb::Fetch).await;
            let second = enter(&admission, 1, Verb::Create).await;
            assert!(first.is_ok() && second.is_ok());
            assert_eq!(enter(&admission, 1, Verb::Fetch).await.err(), Some(20429));
            assert!(enter(&admission, 3, Verb::Fetch).await.is_ok());
            for _ in 0..10 {
                assert!(enter(&admission, 2, Verb::Fetch).await.is_ok(), "it has no limits");
            }
        }
    }

    #[tokio::test]
    async fn what_is_stored_is_counted_before_more_is_made() {
        for limits in [
            Limits { waiting_jobs: 11, ..Limits::default() },
            Limits { calls: 11, ..Limits::default() },
        ] {
            let admission = admission(limits, 0);
            assert!(enter(&admission, 1, Verb::Create).await.is_ok());
            assert_eq!(enter(&admission, 1, Verb::Create).await.err(), Some(20429));
            assert!(enter(&admission, 1, Verb::List).await.is_ok(), "looking is allowed");
        }
    }

    #[tokio::test]
    async fn a_node_with_too_much_refuses_lists_before_writes() {
        let admission = admission(Limits::default(), 4);
        let mut inside = Vec::new();
        for _ in 0..2 {
            inside.push(enter(&admission, 1, Verb::List).await.unwrap());
        }
        assert_eq!(enter(&admission, 1, Verb::List).await.err(), Some(20503));
        inside.push(enter(&admission, 1, Verb::Fetch).await.unwrap());
        assert_eq!(enter(&admission, 1, Verb::Fetch).await.err(), Some(20503));
        inside.push(enter(&admission, 1, Verb::Create).await.unwrap());
        assert_eq!(enter(&admission, 1, Verb::Create).await.err(), Some(20503));
        inside.clear();
        assert!(enter(&admission, 1, Verb::List).await.is_ok());
    }
}
