//! Session timers (RFC 4028): a call whose other end is gone ends by itself.

use std::time::Duration;

use crate::message::{Headers, Request};

/// Shorter ones are refused.
pub const MIN: Duration = Duration::from_secs(120);
/// No shorter one is allowed to be asked for (RFC 4028 §5).
pub const LEAST: Duration = Duration::from_secs(90);
pub const USUAL: Duration = Duration::from_secs(1800);

/// What two ends agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    pub interval: Duration,
    /// We refresh, and not the other end.
    pub ours: bool,
}

impl SessionTimer {
    /// When to refresh, or without a refresh of the other end, to end: since the last refresh.
    pub fn due(&self) -> Duration {
        match self.ours {
            true => self.interval / 2,
            // RFC 4028 §10: a third of it early, 32 s at most.
            false => self.interval - (self.interval / 3).min(Duration::from_secs(32)),
        }
    }

    /// As `Session-Expires` says it; `we_sent` is whether we sent the request.
    pub fn header(&self, we_sent: bool) -> String {
        let who = if self.ours == we_sent { "uac" } else { "uas" };
        format!("{};refresher={who}", self.interval.as_secs())
    }
}

/// The interval is too short: 422.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooShort;

fn expires(headers: &Headers) -> Option<(Duration, Option<bool>)> {
    let mut parts = headers.get("Session-Expires")?.split(';');
    let seconds: u64 = parts.next()?.trim().parse().ok()?;
    let refresher = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let is_it = name.trim().eq_ignore_ascii_case("refresher");
        is_it.then(|| value.trim().eq_ignore_ascii_case("uac"))
    });
    Some((Duration::from_secs(seconds), refresher))
}

/// What we answer a request with, if anything: the caller refreshes unless it says otherwise. An interval
/// shorter than `min` is refused.
pub fn answer(request: &Request, min: Duration) -> Result<Option<SessionTimer>, TooShort> {
    let supports = request.headers.has_token("Supported", "timer")
        || request.headers.has_token("Require", "timer");
    let Some((interval, by_caller)) = expires(&request.headers) else { return Ok(None) };
    if interval < min {
        return Err(TooShort);
    }
    Ok(Some(SessionTimer { interval, ours: !supports || by_caller == Some(false) }))
}

/// What the other end's answer to our request agreed to.
pub fn agreed(response: &Headers) -> Option<SessionTimer> {
    let (interval, by_us) = expires(response)?;
    Some(SessionTimer { interval: interval.max(MIN / 2), ours: by_us.unwrap_or(true) })
}

/// What a 422 asks for.
pub fn min_se(response: &Headers) -> Option<Duration> {
    response.get("Min-SE")?.split(';').next()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;

    fn request(headers: &[(&str, &str)]) -> Request {
        let mut request = Request::new(Method::Invite, "sip:a@b");
        headers.iter().for_each(|(name, value)| request.headers.add(name, *value));
        request
    }

    #[test]
    fn the_two_agree_on_who_refreshes() {
        let timer = |headers: &[(&str, &str)]| answer(&request(headers), MIN);
        assert_eq!(timer(&[]), Ok(None));
        assert_eq!(timer(&[("Session-Expires", "90"), ("Supported", "timer")]), Err(TooShort));
        let short = request(&[("Session-Expires", "90")]);
        assert!(answer(&short, LEAST).unwrap().is_some());
        let usual =
            timer(&[("Session-Expires", "600"), ("Supported", "a, timer")]).unwrap().unwrap();
        assert_eq!((usual.ours, usual.due().as_secs()), (false, 568));
        assert_eq!(usual.header(false), "600;refresher=uac");
        let ours = timer(&[("Session-Expires", "600;refresher=uas"), ("Supported", "timer")]);
        let ours = ours.unwrap().unwrap();
        assert_eq!((ours.ours, ours.due().as_secs()), (true, 300));
        assert_eq!(ours.header(false), "600;refresher=uas");
        // Who does not know timers cannot refresh.
        assert!(timer(&[("Session-Expires", "600")]).unwrap().unwrap().ours);
        let theirs = agreed(&request(&[("Session-Expires", "600;refresher=uas")]).headers).unwrap();
        assert!(!theirs.ours);
    }
}
