//! Digest authentication of both sides (RFC 2617, RFC 7616, RFC 8760): MD5 and SHA-256, with and
//! without `qop`, `auth` and `auth-int`.
//!
//! Nonces carry their time and a mark of who made them, so the challenging side keeps nothing until
//! one is used; then it remembers the highest count of each, so that no answer counts twice.

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::{digest as sha, hmac};
use md5::{Digest as _, Md5};

/// How long a nonce is good for.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(300);
/// Nonces whose use is remembered.
const USED_MAX: usize = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    pub fn named(name: &str) -> Option<Self> {
        match () {
            () if name.eq_ignore_ascii_case("MD5") => Some(Self::Md5),
            () if name.eq_ignore_ascii_case("SHA-256") => Some(Self::Sha256),
            () => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn hash(self, text: &[u8]) -> String {
        match self {
            Self::Md5 => data_encoding::HEXLOWER.encode(&Md5::digest(text)),
            Self::Sha256 => {
                data_encoding::HEXLOWER.encode(sha::digest(&sha::SHA256, text).as_ref())
            }
        }
    }
}

/// The named values of a challenge or of credentials; `None` for another scheme than Digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(Vec<(String, String)>);

impl Values {
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(|c: char| c.is_ascii_whitespace())?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let values = crate::uri::elements(rest).into_iter().filter_map(|element| {
            let (name, value) = element.split_once('=')?;
            let value = value.trim();
            let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let value = inner.map_or_else(|| value.to_owned(), |inner| inner.replace('\\', ""));
            Some((name.trim().to_ascii_lowercase(), value))
        });
        Some(Self(values.collect()))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What an answer is computed of.
struct Question<'a> {
    algorithm: Algorithm,
    username: &'a str,
    realm: &'a str,
    password: &'a str,
    method: &'a str,
    uri: &'a str,
    nonce: &'a str,
    /// `qop`, `nc` and `cnonce`.
    quality: Option<(&'a str, &'a str, &'a str)>,
    body: &'a [u8],
}

impl Question<'_> {
    fn answer(&self) -> String {
        let hash = |text: String| self.algorithm.hash(text.as_bytes());
        let who = hash(format!("{}:{}:{}", self.username, self.realm, self.password));
        let what = match self.quality {
            Some(("auth-int", ..)) => {
                let body = self.algorithm.hash(self.body);
                hash(format!("{}:{}:{body}", self.method, self.uri))
            }
            _ => hash(format!("{}:{}", self.method, self.uri)),
        };
        match self.quality {
            Some((qop, nc, cnonce)) => {
                hash(format!("{who}:{}:{nc}:{cnonce}:{qop}:{what}", self.nonce))
            }
            None => hash(format!("{who}:{}:{what}", self.nonce)),
        }
    }
}

/// What is known of a request's credentials before its password is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// There are none of ours.
    Absent,
    /// Ours and well-formed, but with a nonce that has had its time, or was used already.
    Stale,
    /// They can never be right.
    Malformed,
    Made(Box<Claimed>),
}

/// Credentials that are right if the password is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub username: String,
    values: Values,
    algorithm: Algorithm,
}

/// Makes challenges and weighs what answers them.
pub struct Challenger {
    realm: String,
    key: hmac::Key,
    /// The highest count of a nonce, and when the nonce was made.
    used: HashMap<String, (u32, Duration)>,
}

impl Challenger {
    /// `secret` is random and nobody else's.
    pub fn new(realm: &str, secret: &[u8; 32]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self { realm: realm.to_owned(), key, used: HashMap::new() }
    }

    fn nonce(&self, at: Duration, random: u64) -> String {
        let head = format!("{:012x}{random:016x}", at.as_millis());
        let mark = hmac::sign(&self.key, head.as_bytes());
        format!("{head}{}", data_encoding::HEXLOWER.encode(&mark.as_ref()[..8]))
    }

    /// When a nonce of ours was made.
    fn made(&self, nonce: &str) -> Option<Duration> {
        let (head, mark) = nonce.split_at_checked(28)?;
        let whole = hmac::sign(&self.key, head.as_bytes());
        let ours = data_encoding::HEXLOWER.encode(&whole.as_ref()[..8]);
        let same =
            aws_lc_rs::constant_time::verify_slices_are_equal(ours.as_bytes(), mark.as_bytes());
        same.ok()?;
        u64::from_str_radix(&head[..12], 16).ok().map(Duration::from_millis)
    }

    /// The values of the challenge headers, best first.
    pub fn challenges(&self, now: Duration, random: u64, stale: bool) -> [String; 2] {
        let nonce = self.nonce(now, random);
        let stale = if stale { ", stale=true" } else { "" };
        [Algorithm::Sha256, Algorithm::Md5].map(|algorithm| {
            format!(
                "Digest realm=\"{}\", nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}",
                self.realm,
                algorithm.as_str()
            )
        })
    }

    /// Reads credentials; `headers` are the values of `Authorization` or `Proxy-Authorization`.
    pub fn claim<'a>(&mut self, headers: impl Iterator<Item = &'a str>, now: Duration) -> Claim {
        let ours = headers
            .filter_map(Values::parse)
            .find(|values| values.get("realm") == Some(self.realm.as_str()));
        let Some(values) = ours else { return Claim::Absent };
        let algorithm = Algorithm::named(values.get("algorithm").unwrap_or("MD5"));
        let (Some(username), Some(nonce), Some(_), Some(_), Some(algorithm)) = (
            values.get("username"),
            values.get("nonce"),
            values.get("response"),
            values.get("uri"),
            algorithm,
        ) else {
            return Claim::Malformed;
        };
        let count = match (values.get("qop"), values.get("nc"), values.get("cnonce")) {
            (Some("auth" | "auth-int"), Some(nc), Some(_)) => match u32::from_str_radix(nc, 16) {
                Ok(count) if nc.len() == 8 && count > 0 => Some(count),
                _ => return Claim::Malformed,
            },
            (None, None, _) => None,
            _ => return Claim::Malformed,
        };
        match self.made(nonce) {
            Some(made) if now.saturating_sub(made) <= NONCE_LIFETIME => {
                let last = self.used.get(nonce).map(|(last, _)| *last);
                // Without a count a nonce is good once.
                if last.is_some_and(|last| count.is_none_or(|count| count <= last)) {
                    return Claim::Stale;
                }
            }
            _ => return Claim::Stale,
        }
        let username = username.to_owned();
        Claim::Made(Box::new(Claimed { username, values, algorithm }))
    }

    /// Whether the password is right. A nonce's count is used up only then, so that a stranger
    /// cannot use up somebody's nonce.
    pub fn verify(
        &mut self,
        claimed: &Claimed,
        password: &str,
        method: &str,
        body: &[u8],
        now: Duration,
    ) -> bool {
        let get = |name| claimed.values.get(name).unwrap_or_default();
        let nonce = get("nonce");
        let quality = claimed.values.get("qop").map(|qop| (qop, get("nc"), get("cnonce")));
        let question = Question {
            algorithm: claimed.algorithm,
            username: &claimed.username,
            realm: &self.realm,
            password,
            method,
            uri: get("uri"),
            nonce,
            quality,
            body,
        };
        let given = get("response").to_ascii_lowercase();
        let right = question.answer();
        let same =
            aws_lc_rs::constant_time::verify_slices_are_equal(right.as_bytes(), given.as_bytes());
        if same.is_err() {
            return false;
        }
        let count = quality.map_or(u32::MAX, |(_, nc, _)| u32::from_str_radix(nc, 16).unwrap_or(0));
        if self.used.get(nonce).is_some_and(|(last, _)| count <= *last) {
            return false;
        }
        if self.used.len() >= USED_MAX {
            self.used.retain(|_, (_, made)| now.saturating_sub(*made) <= NONCE_LIFETIME);
            if self.used.len() >= USED_MAX {
                self.used.clear();
            }
        }
        self.used.insert(nonce.to_owned(), (count, now));
        true
    }
}

/// Answers a challenge: the value of `Authorization` or `Proxy-Authorization`. `None` when it asks
/// for what nobody here can do.
pub struct Reply<'a> {
    pub username: &'a str,
    pub password: &'a str,
    pub method: &'a str,
    pub uri: &'a str,
    pub body: &'a [u8],
    pub cnonce: &'a str,
    pub count: u32,
}

impl Reply<'_> {
    pub fn to(&self, challenge: &str) -> Option<String> {
        let values = Values::parse(challenge)?;
        let algorithm = Algorithm::named(values.get("algorithm").unwrap_or("MD5"))?;
        let (realm, nonce) = (values.get("realm")?, values.get("nonce")?);
        let offered =
            values.get("qop").map(|qop| qop.split(',').map(str::trim).collect::<Vec<_>>());
        let qop = match &offered {
            None => None,
            Some(all) if all.contains(&"auth") => Some("auth"),
            Some(all) if all.contains(&"auth-int") => Some("auth-int"),
            Some(_) => return None,
        };
        let count = format!("{:08x}", self.count);
        let question = Question {
            algorithm,
            username: self.username,
            realm,
            password: self.password,
            method: self.method,
            uri: self.uri,
            nonce,
            quality: qop.map(|qop| (qop, count.as_str(), self.cnonce)),
            body: self.body,
        };
        let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut out = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{}\", algorithm={}",
            quote(self.username),
            quote(realm),
            quote(nonce),
            self.uri,
            question.answer(),
            algorithm.as_str()
        );
        if let Some(qop) = qop {
            out.push_str(&format!(", qop={qop}, nc={count}, cnonce=\"{}\"", self.cnonce));
        }
        if let Some(opaque) = values.get("opaque") {
            out.push_str(&format!(", opaque=\"{}\"", quote(opaque)));
        }
        Some(out)
    }

    /// The strongest of several challenges that can be answered.
    pub fn to_any<'c>(&self, challenges: impl Iterator<Item = &'c str>) -> Option<String> {
        let mut all: Vec<&str> = challenges.collect();
        all.sort_by_key(|challenge| !challenge.to_ascii_uppercase().contains("SHA-256"));
        all.into_iter().find_map(|challenge| self.to(challenge))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply<'a>(password: &'a str, count: u32) -> Reply<'a> {
        Reply {
            username: "ann",
            password,
            method: "INVITE",
            uri: "sip:a@b",
            body: b"v=0",
            cnonce: "c1",
            count,
        }
    }

    const NOW: Duration = Duration::from_secs(1000);

    #[test]
    fn the_examples_of_the_standards_come_out() {
        // RFC 7616 §3.9.1, both algorithms; RFC 2617 §3.5 has the same first answer's form.
        let question = |algorithm| Question {
            algorithm,
            username: "Mufasa",
            realm: "http-auth@example.org",
            password: "Circle of Life",
            method: "GET",
            uri: "/dir/index.html",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            quality: Some(("auth", "00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")),
            body: b"",
        };
        assert_eq!(question(Algorithm::Md5).answer(), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(
            question(Algorithm::Sha256).answer(),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    #[test]
    fn an_answer_counts_once() {
        let mut ours = Challenger::new("sip.example", &[7; 32]);
        let [strong, weak] = ours.challenges(NOW, 5, false);
        assert!(strong.contains("SHA-256"));
        let given = reply("pw", 1).to_any([weak.as_str(), strong.as_str()].into_iter()).unwrap();
        assert!(given.contains("algorithm=SHA-256"));
        let Claim::Made(claimed) = ours.claim([given.as_str()].into_iter(), NOW) else { panic!() };
        assert_eq!(claimed.username, "ann");
        assert!(!ours.verify(&claimed, "other", "INVITE", b"v=0", NOW));
        assert!(!ours.verify(&claimed, "pw", "REGISTER", b"v=0", NOW));
        assert!(ours.verify(&claimed, "pw", "INVITE", b"v=0", NOW));
        assert!(!ours.verify(&claimed, "pw", "INVITE", b"v=0", NOW), "the same again");
        assert_eq!(ours.claim([given.as_str()].into_iter(), NOW), Claim::Stale);
        let second = reply("pw", 2).to(&weak).unwrap();
        assert!(matches!(ours.claim([second.as_str()].into_iter(), NOW), Claim::Made(_)));
        let late = NOW + NONCE_LIFETIME + Duration::from_secs(1);
        assert_eq!(ours.claim([second.as_str()].into_iter(), late), Claim::Stale);
    }

    #[test]
    fn credentials_that_cannot_be_right_are_told_from_absent_ones() {
        let mut ours = Challenger::new("r", &[1; 32]);
        let [_, weak] = ours.challenges(NOW, 5, false);
        let good = reply("pw", 1).to(&weak).unwrap();
        let claim = |ours: &mut Challenger, text: &str| ours.claim([text].into_iter(), NOW);
        assert_eq!(claim(&mut ours, "NoOneKnowsThisScheme opaque-data=x"), Claim::Absent);
        assert_eq!(claim(&mut ours, "Digest realm=\"other\", username=\"a\""), Claim::Absent);
        // qop without nc and cnonce.
        let cut = good.split(", nc=").next().unwrap();
        assert_eq!(claim(&mut ours, cut), Claim::Malformed);
        assert_eq!(claim(&mut ours, &good.replace("MD5", "MD4")), Claim::Malformed);
        assert_eq!(claim(&mut ours, &good.replace("nc=00000001", "nc=1")), Claim::Malformed);
        // A nonce that somebody else made.
        let foreign = Challenger::new("r", &[2; 32]).challenges(NOW, 5, false);
        let foreign = reply("pw", 1).to(&foreign[1]).unwrap();
        assert_eq!(claim(&mut ours, &foreign), Claim::Stale);
    }

    #[test]
    fn the_body_counts_where_it_is_asked_for() {
        let challenge = "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\", algorithm=SHA-256";
        let one = reply("pw", 1).to(challenge).unwrap();
        let two = Reply { body: b"other", ..reply("pw", 1) }.to(challenge).unwrap();
        assert_ne!(one, two);
        assert!(one.contains("qop=auth-int"));
        assert_eq!(reply("pw", 1).to("Digest realm=\"r\", nonce=\"n\", qop=\"x\""), None);
        let old = reply("pw", 1).to("Digest realm=\"r\", nonce=\"n\", opaque=\"o\"").unwrap();
        assert!(!old.contains("qop") && old.contains("opaque=\"o\""));
    }
}
