//! Why a simulated vetting says no: the reasons of the error table, and how a text asks for one.

use serde_json::{Value as Json, json};

/// Reasons against a campaign (compliance §5.4); the first is the one without a reason.
pub(super) const CAMPAIGN: &[u32] = &[
    30880, 30881, 30882, 30883, 30884, 30885, 30886, 30887, 30888, 30889, 30890, 30891, 30892,
    30893, 30894, 30895, 30896, 30897, 30898,
];

/// Reasons against a toll-free verification (compliance §6).
pub(super) const TOLL_FREE: &[u32] =
    &[30440, 30441, 30442, 30443, 30444, 30445, 30446, 30447, 30448, 30449];

/// The rejection that a text asks for: `Reject …` the first, `Reject 30886 …` that one.
pub(super) fn asked_for(text: &str, reasons: &[u32]) -> Option<u32> {
    let rest = text.strip_prefix("Reject")?;
    let code = rest.split_whitespace().next().and_then(|word| word.parse().ok());
    code.filter(|code| reasons.contains(code)).or(reasons.first().copied())
}

/// A text with a link of a public shortener, which carriers filter.
pub(super) fn has_shortened_link(text: &str) -> bool {
    const SHORTENERS: &[&str] =
        &["bit.ly/", "tinyurl.com/", "goo.gl/", "ow.ly/", "t.co/", "is.gd/", "buff.ly/"];
    let text = text.to_ascii_lowercase();
    let begins_host = |at: usize| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '.' && c != '-')
    };
    SHORTENERS.iter().any(|name| text.match_indices(name).any(|(at, _)| begins_host(at)))
}

/// What the table calls a reason.
pub(super) fn words(code: u32) -> &'static str {
    kernel::lookup(code).map_or("", |row| row.title)
}

/// An entry of a campaign's or brand's `errors`.
pub(super) fn error(code: Option<u32>, description: &str, fields: &[&str]) -> Json {
    let url = code.map(|code| format!("https://www.twilio.com/docs/api/errors/{code}"));
    json!({"error_code": code, "description": description, "fields": fields, "url": url})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_asks_for_a_reason() {
        for (text, code) in [
            ("Reject", Some(30880)),
            ("Reject 30886 please", Some(30886)),
            ("Reject 30446", Some(30880)),
            ("Reject this", Some(30880)),
            ("reject", None),
            ("We reject spam", None),
        ] {
            assert_eq!(asked_for(text, CAMPAIGN), code, "{text}");
        }
    }

    #[test]
    fn only_shorteners_are_shorteners() {
        for (text, found) in [
            ("Read https://bit.ly/abc", true),
            ("TinyURL.com/x", true),
            ("https://mybit.ly/abc", false),
            ("https://rabbit.ly.example/", false),
            ("https://support.co/x", false),
            ("no link", false),
        ] {
            assert_eq!(has_shortened_link(text), found, "{text}");
        }
    }

    #[test]
    fn every_reason_has_words() {
        for code in CAMPAIGN.iter().chain(TOLL_FREE) {
            assert!(!words(*code).is_empty(), "{code}");
        }
    }
}
