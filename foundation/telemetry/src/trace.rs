//! What one request led to, as spans: the request, the jobs it promised, the carrier, the callback.
//!
//! Off until [`start`]; then a span is opened by [`root`], [`resume`] or [`span`], and whatever runs
//! inside [`Span::run`] or [`Span::within`] is below it. A promise keeps [`traceparent`] (W3C Trace
//! Context) and its worker resumes there, in another process too. Like logging, this is of the
//! process. Times are the machine's, not those of the clock that a developer moves.
//!
//! Spans hold no bodies and no numbers: names, routes, SIDs, codes.
//!
//! Bounds: 8,192 spans wait for the exporter, what is more is counted in [`dropped`]; 16 attributes of a
//! span, each of at most 256 characters.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

const WAITING_MAX: usize = 8192;
const ATTRIBUTES_MAX: usize = 16;
const VALUE_CHARS_MAX: usize = 256;

/// What a span is to the one above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Internal,
    /// Somebody asked.
    Server,
    /// Somebody is asked.
    Client,
    /// A promise is kept.
    Consumer,
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub trace: u128,
    pub id: u64,
    /// 0: nothing is above it.
    pub parent: u64,
    pub name: &'static str,
    pub kind: Kind,
    /// Nanoseconds since 1970.
    pub began: u64,
    pub ended: u64,
    pub attributes: Vec<(&'static str, String)>,
    /// Why what it stands for failed.
    pub fault: Option<String>,
}

/// Where a span is in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub trace: u128,
    pub span: u64,
    pub sampled: bool,
}

impl Place {
    /// Reads a `traceparent` header of version 00, or of one to come.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let mut hex = |length: usize| {
            let part = parts.next()?;
            let is_hex = part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            (part.len() == length && is_hex).then_some(part)
        };
        let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let place = Self {
            trace: u128::from_str_radix(trace, 16).ok()?,
            span: u64::from_str_radix(span, 16).ok()?,
            sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        };
        (place.trace != 0 && place.span != 0).then_some(place)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// Where ended spans go, and how many of the traces that begin here.
struct Sink {
    spans: mpsc::Sender<Ended>,
    share: f64,
}

static ON: AtomicBool = AtomicBool::new(false);
static SINK: RwLock<Option<Sink>> = RwLock::new(None);
static DROPPED: AtomicU64 = AtomicU64::new(0);

tokio::task_local! {
    static CURRENT: Arc<Open>;
}

/// Turns tracing on; the spans to export. `share`, 0 to 1, of the traces that begin here are kept; a
/// caller that sends `traceparent` decides for itself. Started again, the later exporter has them.
pub fn start(share: f64) -> mpsc::Receiver<Ended> {
    let (spans, waiting) = mpsc::channel(WAITING_MAX);
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = Some(Sink { spans, share });
    ON.store(true, Ordering::Release);
    waiting
}

/// How many spans were lost because the exporter did not keep up, or its collector failed.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Counts spans that an exporter could not hand over.
pub fn count_dropped(count: u64) {
    DROPPED.fetch_add(count, Ordering::Relaxed);
}

/// A span at work; it ends when it is dropped.
#[must_use = "a span that is dropped at once measures nothing"]
pub struct Span(Option<Arc<Open>>);

struct Open {
    place: Place,
    parent: u64,
    name: &'static str,
    kind: Kind,
    began: u64,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    attributes: Vec<(&'static str, String)>,
    fault: Option<String>,
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn open(name: &'static str, kind: Kind, parent: Option<Place>) -> Span {
    if !ON.load(Ordering::Acquire) {
        return Span(None);
    }
    let (trace, above, sampled) = match parent {
        Some(place) => (place.trace, place.span, place.sampled),
        None => {
            let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
            let share = sink.as_ref().map_or(0.0, |sink| sink.share);
            (rand::random::<u128>().max(1), 0, rand::random::<f64>() < share)
        }
    };
    let place = Place { trace, span: rand::random::<u64>().max(1), sampled };
    let said = Mutex::default();
    Span(Some(Arc::new(Open { place, parent: above, name, kind, began: now(), said })))
}

/// What somebody asks for, below the `traceparent` they sent.
pub fn root(name: &'static str, kind: Kind, traceparent: Option<&str>) -> Span {
    open(name, kind, traceparent.and_then(Place::parse))
}

/// What goes on with a trace that was kept. Nothing is opened without one; where a span is open
/// already, below that.
pub fn resume(name: &'static str, kind: Kind, traceparent: Option<&str>) -> Span {
    match current().or_else(|| traceparent.and_then(Place::parse)) {
        Some(place) => open(name, kind, Some(place)),
        None => Span(None),
    }
}

/// A part of what is going on; nothing if nothing is.
pub fn span(name: &'static str, kind: Kind) -> Span {
    resume(name, kind, None)
}

fn current() -> Option<Place> {
    if !ON.load(Ordering::Acquire) {
        return None;
    }
    CURRENT.try_with(|open| open.place).ok()
}

/// The span that is open here, as a promise keeps it or a header says it.
pub fn traceparent() -> Option<String> {
    current().map(|place| place.to_string())
}

/// Says something of the span that is open here.
pub fn annotate(key: &'static str, value: impl std::fmt::Display) {
    if ON.load(Ordering::Acquire) {
        // Nothing is open: there is nobody to say it of.
        let _ = CURRENT.try_with(|open| open.say(key, &value));
    }
}

impl Span {
    /// Runs `work` as what this span stands for.
    pub async fn run<F: Future>(&self, work: F) -> F::Output {
        match &self.0 {
            Some(open) => CURRENT.scope(open.clone(), work).await,
            None => work.await,
        }
    }

    /// As [`Span::run`], of what does not wait.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(open) => CURRENT.sync_scope(open.clone(), work),
            None => work(),
        }
    }

    pub fn say(&self, key: &'static str, value: impl std::fmt::Display) {
        if let Some(open) = &self.0 {
            open.say(key, &value);
        }
    }

    /// It has failed; no body and no number in `why`.
    pub fn fail(&self, why: impl std::fmt::Display) {
        if let Some(open) = &self.0 {
            let mut said = open.said.lock().unwrap_or_else(PoisonError::into_inner);
            said.fault = Some(short(&why));
        }
    }
}

fn short(value: &dyn std::fmt::Display) -> String {
    value.to_string().chars().take(VALUE_CHARS_MAX).collect()
}

impl Open {
    fn say(&self, key: &'static str, value: &dyn std::fmt::Display) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.attributes.len() < ATTRIBUTES_MAX {
            said.attributes.push((key, short(value)));
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.place.sampled {
            return;
        }
        let said = std::mem::take(self.said.get_mut().unwrap_or_else(PoisonError::into_inner));
        let ended = Ended {
            trace: self.place.trace,
            id: self.place.span,
            parent: self.parent,
            name: self.name,
            kind: self.kind,
            began: self.began,
            ended: now(),
            attributes: said.attributes,
            fault: said.fault,
        };
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        if sink.as_ref().is_none_or(|sink| sink.spans.try_send(ended).is_err()) {
            count_dropped(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_the_standard_says() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let place = Place::parse(good).unwrap();
        assert_eq!((place.to_string(), place.sampled), (good.to_owned(), true));
        for (text, is_good) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false),
            ("00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("", false),
        ] {
            assert_eq!(Place::parse(text).is_some(), is_good, "{text}");
        }
    }

    // One test for all that touches what the process has one of.
    #[tokio::test]
    async fn spans_are_below_one_another_and_tell_what_they_saw() {
        assert_eq!(traceparent(), None);
        let mut ended = start(1.0);
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let request = root("request", Kind::Server, Some(sent));
        let kept = request.run(async { traceparent() }).await.unwrap();
        request.run(async { annotate("http.route", "/Messages") }).await;
        drop(request);
        let job = resume("job", Kind::Consumer, Some(&kept));
        job.run(async {
            let carrier = span("carrier", Kind::Client);
            carrier.fail("x".repeat(1000));
        })
        .await;
        drop(job);
        assert!(span("alone", Kind::Client).0.is_none());
        let spans: Vec<Ended> = std::iter::from_fn(|| ended.try_recv().ok()).collect();
        let names: Vec<_> = spans.iter().map(|span| span.name).collect();
        assert_eq!(names, ["request", "carrier", "job"]);
        assert!(spans.iter().all(|span| span.trace == Place::parse(sent).unwrap().trace));
        assert_eq!(spans[0].parent, 0x00f0_67aa_0ba9_02b7);
        assert_eq!(spans[0].attributes, [("http.route", "/Messages".to_owned())]);
        assert_eq!((spans[2].parent, spans[1].parent), (spans[0].id, spans[2].id));
        assert_eq!(spans[1].fault.as_ref().map(String::len), Some(256));

        // What the caller does not want sampled is not, but goes on.
        let quiet = root("request", Kind::Server, Some(&sent.replace("-01", "-00")));
        assert!(quiet.run(async { traceparent() }).await.unwrap().ends_with("-00"));
        drop(quiet);
        assert!(ended.try_recv().is_err());

        // Nobody takes them: they are counted, and nothing waits.
        let before = dropped();
        for _ in 0..=WAITING_MAX {
            drop(root("request", Kind::Server, None));
        }
        assert_eq!(dropped() - before, 1);
    }
}
