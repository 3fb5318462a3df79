//! The URL that is signed: built up for GET and JSON, taken apart no more than needed.

use std::fmt::Write;

use aws_lc_rs::digest;
use form_urlencoded::byte_serialize;

/// Adds `params` to the query of a GET webhook, keeping their order and the query already there.
/// Names and values are form-encoded: a space is `+`, `*-._` stay, the rest is UTF-8 in upper-case
/// percent escapes. A fragment is dropped.
///
/// ```
/// let url = signature::with_query("https://a.example/sms?x=1", &[("Body", "Hi there")]);
/// assert_eq!(url, "https://a.example/sms?x=1&Body=Hi+there");
/// ```
pub fn with_query<K: AsRef<str>, V: AsRef<str>>(url: &str, params: &[(K, V)]) -> String {
    let mut url = without_fragment(url).to_owned();
    for (name, value) in params {
        url.push(separator(&url));
        url.extend(byte_serialize(name.as_ref().as_bytes()));
        url.push('=');
        url.extend(byte_serialize(value.as_ref().as_bytes()));
    }
    url
}

/// Adds `bodySHA256` to the URL of a JSON webhook: what to request and, alone, what to sign. A
/// fragment is dropped.
pub fn with_body_hash(url: &str, body: &[u8]) -> String {
    let url = without_fragment(url);
    format!("{url}{}bodySHA256={}", separator(url), body_hash(body))
}

/// SHA-256 of a request body in 64 lower-case hexadecimal digits.
pub fn body_hash(body: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in digest::digest(&digest::SHA256, body).as_ref() {
        write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
    }
    hex
}

/// The URL up to its fragment: what is requested and signed.
pub fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(url, _)| url)
}

fn separator(url: &str) -> char {
    if url.contains('?') { '&' } else { '?' }
}

/// A URL cut at its port, so that `before + port + after` is the URL. `port` has its colon or is
/// empty.
pub(crate) struct Ported<'a> {
    pub before: &'a str,
    pub port: &'a str,
    pub after: &'a str,
}

impl<'a> Ported<'a> {
    /// Understands userinfo and bracketed IPv6. `None` when there is no `scheme://`.
    pub fn parse(url: &'a str) -> Option<Self> {
        let authority = url.find("://")? + 3;
        let path = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
        let host = url[..path].rfind('@').map_or(authority, |at| authority.max(at + 1));
        let host_end = url[host..path].rfind(']').map_or(host, |at| host + at);
        let port = url[host_end..path].rfind(':').map_or(path, |at| host_end + at);
        Some(Self { before: &url[..port], port: &url[port..path], after: &url[path..] })
    }

    /// The port the scheme implies, with its colon; empty when it implies none.
    pub fn default_port(&self) -> &'static str {
        match self.before.split("://").next() {
            Some("https" | "wss") => ":443",
            Some("http" | "ws") => ":80",
            _ => "",
        }
    }

    pub fn with_port(&self, port: &str) -> String {
        [self.before, port, self.after].concat()
    }
}

#[cfg(test)]
mod tests {
    //! Goal: a URL is cut where it should be. Method: tables.
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_port_is_found() {
        let table = [
            ("https://a.example/x", "https://a.example", "", "/x"),
            ("https://a.example", "https://a.example", "", ""),
            ("https://a.example:8443?y=:1", "https://a.example", ":8443", "?y=:1"),
            ("https://u:p@a.example/x:1", "https://u:p@a.example", "", "/x:1"),
            ("https://u:p@a.example:1/@", "https://u:p@a.example", ":1", "/@"),
            ("http://[::1]/sms", "http://[::1]", "", "/sms"),
            ("http://[::1]:9000/sms", "http://[::1]", ":9000", "/sms"),
        ];
        for (url, before, port, after) in table {
            let found = Ported::parse(url).unwrap();
            assert_eq!((found.before, found.port, found.after), (before, port, after), "{url}");
        }
        assert!(Ported::parse("a.example:80/x").is_none());
    }

    #[test]
    fn a_query_is_begun_or_continued() {
        let params = [("From", "+1 é"), ("A*", "")];
        let table = [
            ("https://a.example", "https://a.example?From=%2B1+%C3%A9&A*="),
            ("https://a.example/?x#rc=1", "https://a.example/?x&From=%2B1+%C3%A9&A*="),
        ];
        for (url, expected) in table {
            assert_eq!(with_query(url, &params), expected);
        }
    }

    #[test]
    fn the_body_hash_is_lower_case_hexadecimal() {
        assert_eq!(
            body_hash(br#"{"property": "value", "boolean": true}"#),
            "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
        );
        assert!(with_body_hash("https://a.example#e=x", b"").starts_with("https://a.example?body"));
    }

    proptest! {
        #[test]
        fn cutting_loses_nothing(url in "[a-z]{0,3}(://)?[a:@/?#\\[\\]é]{0,12}") {
            if let Some(found) = Ported::parse(&url) {
                prop_assert_eq!(found.with_port(found.port), url);
            }
        }
    }
}
