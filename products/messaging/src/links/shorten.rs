//! Finding the links of a text, and writing shorter ones. Pure.

use std::ops::Range;

/// Endings by which a host without a scheme is recognised.
// Differs: which hosts without a scheme Twilio recognises is not documented.
const ENDINGS: [&str; 24] = [
    "app", "au", "biz", "br", "ca", "co", "com", "de", "dev", "edu", "es", "eu", "fr", "gov", "in",
    "info", "io", "it", "jp", "me", "net", "nl", "org", "uk",
];
/// What ends a sentence rather than a link.
const CLOSING: &[char] = &['.', ',', ';', ':', '!', '?', ')', ']', '}', '"', '\'', '>', '…'];

/// A link in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub range: Range<usize>,
    /// Where it leads, with its scheme.
    pub url: String,
}

/// The links of a text, in their order.
pub(crate) fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    let mut at = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        if let Some(link) = link_in(word) {
            found.push(Link { range: at + link.range.start..at + link.range.end, url: link.url });
        }
        at += word.len();
    }
    found
}

/// The link of one word.
fn link_in(word: &str) -> Option<Link> {
    let lower = word.to_ascii_lowercase();
    let scheme = ["https://", "http://"].iter().filter_map(|scheme| lower.find(scheme)).min();
    let opening = word.len() - word.trim_start_matches(['(', '[', '<', '"', '\'']).len();
    let start = scheme.unwrap_or(opening);
    let text = word[start..].trim_end().trim_end_matches(CLOSING);
    let url = match scheme {
        Some(_) => text.to_owned(),
        None if is_recognised(text) => format!("https://{text}"),
        None => return None,
    };
    let parsed = url::Url::parse(&url).ok()?;
    parsed.host_str().filter(|host| host.contains('.') || scheme.is_some())?;
    Some(Link { range: start..start + text.len(), url })
}

/// A host with one of the endings, and perhaps a path: `example.com/a`; no address of a mailbox.
fn is_recognised(text: &str) -> bool {
    let host = text.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((name, ending)) = host.rsplit_once('.') else { return false };
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.split('.').all(is_label) && ENDINGS.contains(&ending.to_ascii_lowercase().as_str())
}

/// The text with each link replaced by what `shorter` makes of its URL; `None` leaves it.
pub(crate) fn replace(text: &str, mut shorter: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for link in links(text) {
        let Some(short) = shorter(&link.url) else { continue };
        out.push_str(&text[at..link.range.start]);
        out.push_str(&short);
        at = link.range.end;
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_where_people_write_them() {
        for (text, expected) in [
            ("no link here", ""),
            ("See https://example.com/a?b=c#d.", "See <https://example.com/a?b=c#d>."),
            ("(http://example.com/x)", "(<http://example.com/x>)"),
            ("see:https://example.com", "see:<https://example.com>"),
            ("HTTPS://EXAMPLE.COM/Q now", "<HTTPS://EXAMPLE.COM/Q> now"),
            (
                "go to example.com/sale, or www.example.org!",
                "go to <https://example.com/sale>, or <https://www.example.org>!",
            ),
            ("mail me@example.com", ""),
            ("Done.Then e.g. 3.5 or v1.2", ""),
            (
                "two\nhttps://a.example/1\nhttps://b.example/2",
                "two\n<https://a.example/1>\n<https://b.example/2>",
            ),
            ("https://", ""),
            ("http://localhost:5000/x", "<http://localhost:5000/x>"),
            ("ünïcode → https://example.com/ü …", "ünïcode → <https://example.com/ü> …"),
        ] {
            let marked = replace(text, |url| Some(format!("<{url}>")));
            let expected = if expected.is_empty() { text } else { expected };
            assert_eq!(marked, expected);
            assert_eq!(replace(text, |_| None), text);
        }
    }
}
