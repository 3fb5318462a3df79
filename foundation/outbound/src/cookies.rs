//! The cookie jar: what an application set during one conversation comes back to it.
//!
//! A scope is whatever the caller says belongs together (a call, a From/To pair). Domain,
//! path, `Secure`, `Max-Age` and `Expires` follow RFC 6265 §5. Everything is in memory: a
//! restart forgets, as a browser's session would.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kernel::Timestamp;

use crate::target::Target;

/// At most this many scopes; the one unused for longest makes room.
const SCOPES_MAX: usize = 10_000;
/// At most this many cookies in a scope; the oldest makes room.
const COOKIES_PER_SCOPE_MAX: usize = 50;
/// Name and value together; a longer cookie is not kept (RFC 6265 §6.1).
const COOKIE_BYTES_MAX: usize = 4096;
// Differs: Twilio's cookie life is quoted as 4 h and not documented; it is used for every scope.
const LIFE: Duration = Duration::from_secs(4 * 3600);

#[derive(Default)]
pub(crate) struct Jar(Mutex<HashMap<String, Scope>>);

struct Scope {
    used: Timestamp,
    cookies: Vec<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    is_host_only: bool,
    path: String,
    is_secure: bool,
    expires: Timestamp,
}

impl Jar {
    /// The `Cookie` header for a request, if any cookie belongs to it.
    pub(crate) fn header(&self, scope: &str, target: &Target, now: Timestamp) -> Option<String> {
        let mut scopes = self.lock();
        let found = scopes.get_mut(scope)?;
        found.used = now;
        found.cookies.retain(|cookie| cookie.expires > now);
        let mut fitting: Vec<&Cookie> =
            found.cookies.iter().filter(|cookie| cookie.belongs_to(target)).collect();
        // Longer paths first; older first among equals, which the stable sort keeps.
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> =
            fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Keeps what a response set. A cookie that has expired removes its namesake.
    pub(crate) fn store<'a>(
        &self,
        scope: &str,
        target: &Target,
        set_cookie: impl Iterator<Item = &'a str>,
        now: Timestamp,
    ) {
        let set: Vec<Cookie> =
            set_cookie.filter_map(|header| Cookie::parse(header, target, now)).collect();
        if set.is_empty() {
            return;
        }
        let mut scopes = self.lock();
        if !scopes.contains_key(scope) && scopes.len() >= SCOPES_MAX {
            make_room(&mut scopes, now);
        }
        let kept = scopes
            .entry(scope.to_owned())
            .or_insert_with(|| Scope { used: now, cookies: Vec::new() });
        kept.used = now;
        for cookie in set {
            kept.cookies.retain(|old| !old.is_replaced_by(&cookie));
            if cookie.expires > now {
                if kept.cookies.len() >= COOKIES_PER_SCOPE_MAX {
                    kept.cookies.remove(0);
                }
                kept.cookies.push(cookie);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Scope>> {
        // No cookie is half written at a panic: the map is whole between statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops what outlived its life, and a sixteenth of the rest, unused for longest, when that
/// is not enough: the cost of looking through the jar is then paid once in 625 new scopes.
fn make_room(scopes: &mut HashMap<String, Scope>, now: Timestamp) {
    scopes.retain(|_, scope| now.since(scope.used) < LIFE);
    if scopes.len() < SCOPES_MAX {
        return;
    }
    let mut ages: Vec<Timestamp> = scopes.values().map(|scope| scope.used).collect();
    ages.sort_unstable();
    let limit = ages[SCOPES_MAX / 16];
    let mut surplus = SCOPES_MAX / 16;
    scopes.retain(|_, scope| {
        let goes = surplus > 0 && scope.used <= limit;
        surplus -= usize::from(goes);
        !goes
    });
}

impl Cookie {
    /// RFC 6265 §5.2 and §5.3. `None` when it is not a cookie or not this host's to set.
    fn parse(header: &str, target: &Target, now: Timestamp) -> Option<Self> {
        let mut parts = header.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.len() + value.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let host = target.host_name();
        let path = target.path();
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: host.clone(),
            is_host_only: true,
            path: path.rfind('/').filter(|at| *at > 0).map_or("/", |at| &path[..at]).to_owned(),
            is_secure: false,
            expires: now + LIFE,
        };
        let (mut expires, mut max_age) = (None, None);
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "domain" if !value.is_empty() => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    if domain != host && (!domain.contains('.') || !is_under(&host, &domain)) {
                        return None;
                    }
                    cookie.is_host_only = host.parse::<IpAddr>().is_ok();
                    cookie.domain = domain;
                }
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "secure" => cookie.is_secure = true,
                "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
                "expires" => expires = parse_expires(value).or(expires),
                _ => {}
            }
        }
        let age = max_age.map(|seconds| {
            now + Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(LIFE.as_secs()))
        });
        if let Some(at) = age.or(expires) {
            cookie.expires = at.min(now + LIFE);
        }
        Some(cookie)
    }

    fn belongs_to(&self, target: &Target) -> bool {
        let (host, path) = (target.host_name(), target.path());
        let is_host = self.domain == host || (!self.is_host_only && is_under(&host, &self.domain));
        let is_path = path.strip_prefix(&self.path).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        });
        is_host && is_path && (!self.is_secure || target.is_tls())
    }

    fn is_replaced_by(&self, other: &Self) -> bool {
        self.name == other.name && self.domain == other.domain && self.path == other.path
    }
}

fn is_under(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|head| head.ends_with('.'))
        && host.parse::<IpAddr>().is_err()
}

/// `Wed, 21 Oct 2015 07:28:00 GMT`, also with dashes. The day's name says nothing new.
fn parse_expires(text: &str) -> Option<Timestamp> {
    let text = text.split_once(", ").map_or(text, |(_, date)| date).replace('-', " ");
    Timestamp::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn target(url: &str) -> Target {
        Target::parse(url).unwrap()
    }

    /// What `url` is sent after `from` answered with `set`.
    fn sent(from: &str, set: &[&str], url: &str) -> Option<String> {
        let jar = Jar::default();
        jar.store("s", &target(from), set.iter().copied(), NOW);
        jar.header("s", &target(url), NOW)
    }

    #[test]
    fn domain_and_path_decide() {
        for (from, set, url, is_sent) in [
            ("http://a.example/x/y", "k=v", "http://a.example/x/z", true),
            ("http://a.example/x/y", "k=v", "http://a.example/x", true),
            ("http://a.example/x/y", "k=v", "http://a.example/xx", false),
            ("http://a.example/x/y", "k=v; Path=/", "http://a.example/q?r", true),
            ("http://a.example/", "k=v", "http://b.example/", false),
            ("http://a.example/", "k=v", "http://sub.a.example/", false),
            ("http://a.example/", "k=v; Domain=a.example", "http://sub.a.example/", true),
            ("http://sub.a.example/", "k=v; Domain=.a.example", "http://a.example/", true),
            ("http://a.example/", "k=v; Domain=b.example", "http://b.example/", false),
            ("http://a.example/", "k=v; Domain=example", "http://b.example/", false),
            ("https://a.example/", "k=v; Secure", "https://a.example/", true),
            ("https://a.example/", "k=v; Secure", "http://a.example/", false),
            ("http://127.0.0.1:1/", "k=v", "http://127.0.0.1:2/", true),
            ("http://a.example/", "=v", "http://a.example/", false),
        ] {
            let expected = is_sent.then(|| "k=v".to_owned());
            assert_eq!(sent(from, &[set], url), expected, "{from} {set} {url}");
        }
    }

    #[test]
    fn life_is_measured_by_the_passed_clock() {
        for (set, alive_for) in [
            ("k=v", 4 * 3600),
            ("k=v; Max-Age=60", 60),
            ("k=v; Max-Age=999999999", 4 * 3600),
            ("k=v; Max-Age=60; Expires=Tue, 14 Nov 2023 22:13:25 GMT", 60),
            ("k=v; Expires=Tue, 14 Nov 2023 22:13:50 GMT", 30),
            ("k=v; Expires=Tue, 14-Nov-2023 22:13:50 GMT", 30),
            ("k=v; Expires=nonsense", 4 * 3600),
        ] {
            let (jar, at) = (Jar::default(), target("http://a.example/"));
            jar.store("s", &at, [set].into_iter(), NOW);
            let before = NOW + Duration::from_secs(alive_for - 1);
            assert!(jar.header("s", &at, before).is_some(), "{set}");
            assert!(jar.header("s", &at, before + Duration::from_secs(1)).is_none(), "{set}");
        }
    }

    #[test]
    fn a_cookie_is_replaced_removed_and_ordered() {
        let at = "http://a.example/x/y";
        assert_eq!(sent(at, &["k=1", "k=2"], at).unwrap(), "k=2");
        assert_eq!(sent(at, &["k=1", "k=; Max-Age=0"], at), None);
        assert_eq!(sent(at, &["a=1; Path=/", "b=2; Path=/x"], at).unwrap(), "b=2; a=1");
    }

    #[test]
    fn scopes_do_not_mix_and_both_bounds_hold() {
        let (jar, at) = (Jar::default(), target("http://a.example/"));
        let many: Vec<String> = (0..60).map(|n| format!("k{n}=v")).collect();
        jar.store("many", &at, many.iter().map(String::as_str), NOW);
        let header = jar.header("many", &at, NOW).unwrap();
        assert_eq!(header.split("; ").count(), COOKIES_PER_SCOPE_MAX);
        assert!(header.starts_with("k10=v"));
        assert_eq!(jar.header("other", &at, NOW), None);
        for scope in 0..SCOPES_MAX + 1_000 {
            let now = NOW + Duration::from_micros(scope as u64 + 1);
            jar.store(&scope.to_string(), &at, ["k=v"].into_iter(), now);
        }
        assert!(jar.lock().len() <= SCOPES_MAX);
        assert_eq!(jar.header("many", &at, NOW), None);
        assert!(jar.header(&(SCOPES_MAX + 999).to_string(), &at, NOW).is_some());
    }
}
