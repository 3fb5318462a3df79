//! Connection overrides: how a webhook is to be fetched, written by its owner in the URL fragment.
//!
//! `https://a.example/x?y=1#rc=3&rp=5xx&rt=4000`

use std::ops::RangeInclusive;

use crate::url::without_fragment;

const CONNECT_MS: RangeInclusive<u32> = 100..=10_000;
const READ_MS: RangeInclusive<u32> = 100..=15_000;
const TOTAL_MS: RangeInclusive<u32> = 100..=15_000;
const RETRIES: RangeInclusive<u32> = 0..=5;

/// How to fetch a webhook. The default is what applies to a URL without overrides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overrides {
    /// `ct`: time to connect, 100–10000 ms, 5000 by default.
    pub connect_timeout_ms: u32,
    /// `rt`: time to the first byte of the response and between bytes, 100–15000 ms, 15000 by
    /// default.
    pub read_timeout_ms: u32,
    /// `tt`: time for all attempts together, 100–15000 ms, 15000 by default.
    pub total_timeout_ms: u32,
    /// `rc`: attempts after the first, 0–5, 1 by default.
    pub retry_count: u32,
    /// `rp`: what is tried again.
    pub retry_policy: RetryPolicy,
    /// `e`: edges to leave from, one per attempt in turn, as written; empty when not given.
    pub edges: Vec<Edge>,
    /// `sni`: whether TLS names the host; `None` when not given.
    pub sni: Option<bool>,
}

impl Default for Overrides {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 5_000,
            read_timeout_ms: 15_000,
            total_timeout_ms: 15_000,
            retry_count: 1,
            retry_policy: RetryPolicy::default(),
            edges: Vec::new(),
            sni: None,
        }
    }
}

/// Failures after which a webhook is fetched again. By default only a failed connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// `ct`: the connection (TCP or TLS) failed or timed out.
    pub connect: bool,
    /// `rt`: the response did not come in time.
    pub read: bool,
    /// `4xx`: the response had a status of 400–499.
    pub client_error: bool,
    /// `5xx`: the response had a status of 500–599.
    pub server_error: bool,
}

impl RetryPolicy {
    const NONE: Self =
        Self { connect: false, read: false, client_error: false, server_error: false };
    const ALL: Self = Self { connect: true, read: true, client_error: true, server_error: true };
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { connect: true, ..Self::NONE }
    }
}

/// A place requests leave from.
///
/// Differs: requests leave from where Offhook runs; an edge is checked and carried, not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    Ashburn,
    Dublin,
    Frankfurt,
    SaoPaulo,
    Singapore,
    Sydney,
    Tokyo,
    Umatilla,
}

impl Edge {
    /// The edge of that name, as it is written in a URL.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "ashburn" => Self::Ashburn,
            "dublin" => Self::Dublin,
            "frankfurt" => Self::Frankfurt,
            "sao-paulo" => Self::SaoPaulo,
            "singapore" => Self::Singapore,
            "sydney" => Self::Sydney,
            "tokyo" => Self::Tokyo,
            "umatilla" => Self::Umatilla,
            _ => return None,
        })
    }
}

/// An override that means nothing; the webhook is not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// Twilio error 11240.
    #[error("`e={0}` in the URL fragment names no edge; write one like `ashburn` or leave it out")]
    Edge(String),
    /// Twilio error 11243.
    #[error("`rp={0}` in the URL fragment is no retry policy; use ct, rt, 4xx, 5xx or all")]
    RetryPolicy(String),
}

impl OverrideError {
    /// The Twilio error code to report.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Edge(_) => 11240,
            Self::RetryPolicy(_) => 11243,
        }
    }
}

impl Overrides {
    /// Takes the fragment off a webhook URL: what to request and sign, and how to fetch it.
    ///
    /// Only a fragment made of `key=value` pairs joined by `&` says anything; any other is dropped.
    /// Unknown keys are ignored, a repeated key counts where it is last, numbers outside their
    /// range become the nearest inside it, and values that cannot be read leave the default.
    ///
    /// Differs: Twilio does not document what it does with numbers out of range or unreadable.
    ///
    /// # Errors
    /// [`OverrideError`] for an edge (11240) or a retry policy (11243) that does not exist.
    ///
    /// ```
    /// use signature::Overrides;
    ///
    /// let (url, overrides) = Overrides::split("https://a.example/x?y=1#rc=9&rp=5xx,ct")?;
    /// assert_eq!(url, "https://a.example/x?y=1");
    /// assert_eq!(overrides.retry_count, 5);
    /// assert!(overrides.retry_policy.server_error && overrides.retry_policy.connect);
    /// # Ok::<(), signature::OverrideError>(())
    /// ```
    pub fn split(url: &str) -> Result<(&str, Self), OverrideError> {
        let target = without_fragment(url);
        let fragment = url[target.len()..].strip_prefix('#').unwrap_or_default();
        let mut overrides = Self::default();
        if fragment.split('&').all(|pair| pair.find('=').is_some_and(|at| at > 0)) {
            for (key, value) in form_urlencoded::parse(fragment.as_bytes()) {
                overrides.apply(&key, &value)?;
            }
        }
        Ok((target, overrides))
    }

    fn apply(&mut self, key: &str, value: &str) -> Result<(), OverrideError> {
        match key {
            "ct" => set(&mut self.connect_timeout_ms, value, CONNECT_MS),
            "rt" => set(&mut self.read_timeout_ms, value, READ_MS),
            "tt" => set(&mut self.total_timeout_ms, value, TOTAL_MS),
            "rc" => set(&mut self.retry_count, value, RETRIES),
            "rp" => self.retry_policy = retry_policy(value)?,
            "e" => self.edges = edges(value)?,
            "sni" => {
                self.sni = match value {
                    "y" => Some(true),
                    "n" => Some(false),
                    _ => self.sni,
                };
            }
            _ => {}
        }
        Ok(())
    }
}

fn set(number: &mut u32, value: &str, range: RangeInclusive<u32>) {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits alone fail to parse only when they are too many, which is out of range as well.
        *number = value.parse().unwrap_or(u32::MAX).clamp(*range.start(), *range.end());
    }
}

fn retry_policy(value: &str) -> Result<RetryPolicy, OverrideError> {
    let mut policy = RetryPolicy::NONE;
    for name in value.split(',') {
        match name.trim() {
            "ct" => policy.connect = true,
            "rt" => policy.read = true,
            "4xx" => policy.client_error = true,
            "5xx" => policy.server_error = true,
            "all" => policy = RetryPolicy::ALL,
            _ => return Err(OverrideError::RetryPolicy(value.to_owned())),
        }
    }
    Ok(policy)
}

fn edges(value: &str) -> Result<Vec<Edge>, OverrideError> {
    let edges = value.split(',').map(|name| Edge::from_name(name.trim()));
    edges.collect::<Option<_>>().ok_or_else(|| OverrideError::Edge(value.to_owned()))
}

#[cfg(test)]
mod tests {
    //! Goal: every form of fragment reads as documented. Method: tables, then any string.
    use proptest::prelude::*;

    use super::*;

    fn read(fragment: &str) -> Overrides {
        let url = format!("https://a.example/x?y=1{fragment}");
        let (target, overrides) = Overrides::split(&url).unwrap();
        assert_eq!(target, "https://a.example/x?y=1");
        overrides
    }

    #[test]
    fn a_full_fragment_is_read() {
        let found = read("#ct=200&rt=4000&tt=9000&rc=3&rp=4xx,rt&e=dublin,sao-paulo&sni=y");
        let expected = Overrides {
            connect_timeout_ms: 200,
            read_timeout_ms: 4_000,
            total_timeout_ms: 9_000,
            retry_count: 3,
            retry_policy: RetryPolicy { read: true, client_error: true, ..RetryPolicy::NONE },
            edges: vec![Edge::Dublin, Edge::SaoPaulo],
            sni: Some(true),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn other_fragments_say_nothing() {
        for fragment in ["", "#", "#top", "#rc=3&top", "#&rc=3", "#=3", "#x=1&y=2", "#rc=-1&ct=x"] {
            assert_eq!(read(fragment), Overrides::default(), "{fragment}");
        }
    }

    #[test]
    fn numbers_are_clamped() {
        let table = [("0", 100, 100, 0), ("99999999999999999999", 10_000, 15_000, 5)];
        for (value, connect, read_ms, retries) in table {
            let found = read(&format!("#ct={value}&rt={value}&tt={value}&rc={value}"));
            assert_eq!(found.connect_timeout_ms, connect);
            assert_eq!((found.read_timeout_ms, found.total_timeout_ms), (read_ms, read_ms));
            assert_eq!(found.retry_count, retries);
        }
    }

    #[test]
    fn lists_may_be_percent_encoded() {
        let policy = read("#rp=ct%2C5xx").retry_policy;
        assert!(policy.connect && policy.server_error && !policy.read);
        assert_eq!(read("#rp=all").retry_policy, RetryPolicy::ALL);
    }

    #[test]
    fn names_that_do_not_exist_are_errors() {
        for (fragment, code) in [("#e=mars", 11240), ("#e=", 11240), ("#rp=6xx", 11243)] {
            let error = Overrides::split(fragment).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_url_is_split(url in any::<String>(), fragment in "#[a-z0-9=&,%é]{0,40}") {
            let url = url + &fragment;
            if let Ok((target, found)) = Overrides::split(&url) {
                prop_assert!(url.starts_with(target));
                prop_assert!(!target.contains('#'));
                prop_assert!(CONNECT_MS.contains(&found.connect_timeout_ms));
                prop_assert!(READ_MS.contains(&found.read_timeout_ms));
                prop_assert!(TOTAL_MS.contains(&found.total_timeout_ms));
                prop_assert!(RETRIES.contains(&found.retry_count));
            }
        }
    }
}
