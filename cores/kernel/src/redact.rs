//! What may be shown of a personal or secret value in a log.

use std::fmt;

use serde::Deserialize;

/// Prints only the last four characters of a number or address: `…5309`.
pub struct Redacted<'a>(pub &'a str);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keep = self.0.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
        write!(f, "…{}", &self.0[if self.0.chars().count() <= 4 { self.0.len() } else { keep }..])
    }
}

/// A password or token of the configuration; it does not print itself.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// In place of what is secret.
pub const HIDDEN: &str = "***";

/// True when a field, parameter or header of this name holds a secret, in whichever spelling:
/// `AuthToken`, `auth_token`, `X-Twilio-Signature`.
pub fn is_secret(name: &str) -> bool {
    const WORDS: [&str; 10] = [
        "token",
        "secret",
        "password",
        "passphrase",
        "authorization",
        "apikey",
        "privatekey",
        "signature",
        "cookie",
        "writekey",
    ];
    // Named so, but made to be compared, or about a secret.
    const OPEN: [&str; 2] = ["idempotencytoken", "tokenttl"];
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let name: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    WORDS.iter().any(|word| name.contains(word)) && !OPEN.iter().any(|open| name.contains(open))
}

/// A URL without the password in its userinfo; other text as it is.
pub fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host)))
    {
        Some((user, host)) => format!("{scheme}://{user}:{HIDDEN}@{host}{tail}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for (name, secret) in [
            ("AuthToken", true),
            ("auth_token", true),
            ("X-Twilio-Signature", true),
            ("Api-Key", true),
            ("Set-Cookie", true),
            ("I-Twilio-Idempotency-Token", false),
            ("friendly_name", false),
            ("sms_url", false),
        ] {
            assert_eq!(is_secret(name), secret, "{name}");
        }
    }

    #[test]
    fn urls_lose_their_password_only() {
        for (url, shown) in [
            ("https://u:p@x.example/a?b=c@d:e", "https://u:***@x.example/a?b=c@d:e"),
            ("https://u@x.example/", "https://u@x.example/"),
            ("https://x.example/?mail=a:b@c", "https://x.example/?mail=a:b@c"),
            ("a note: me@example.com", "a note: me@example.com"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn keeps_four_characters_at_most() {
        for (value, shown) in
            [("+14155550100", "…0100"), ("1234", "…"), ("", "…"), ("äöüßé", "…öüßé")]
        {
            assert_eq!(Redacted(value).to_string(), shown);
        }
    }
}
