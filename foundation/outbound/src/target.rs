//! A URL as an application wrote it, split into what is connected to, sent and signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use crate::fault::Fault;

/// The longest URL that is fetched, in bytes. The wire's limit for a URL parameter is
/// 4,000 characters; the rest is room for the parameters of a GET.
const URL_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct Target {
    url: Url,
    /// What is sent, byte for byte as configured: no fragment, no normalisation.
    text: String,
    /// Where the request target (path and query) begins in `text`.
    path_at: usize,
}

impl Target {
    /// Reads an absolute `http` or `https` URL; the fragment is dropped.
    ///
    /// The host comes from the URL standard's parser, path and query from the text
    /// itself, because the signature covers the bytes the application will see. Bytes
    /// that HTTP cannot carry are percent-encoded first, so both sides agree.
    ///
    /// Errors: 11100 for anything else.
    pub(crate) fn parse(configured: &str) -> Result<Self, Fault> {
        let wrong = |why: &str| Fault::new(11100, format!("URL has a wrong format: {why}"));
        let trimmed = configured.trim();
        let text = escape(trimmed.split_once('#').map_or(trimmed, |(head, _)| head));
        if text.len() > URL_BYTES_MAX {
            return Err(wrong("too long"));
        }
        let url = Url::parse(&text).map_err(|why| wrong(&why.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("only http and https are fetched"));
        }
        let after_scheme = url.scheme().len();
        let rest = text[after_scheme..].strip_prefix("://").ok_or_else(|| wrong("no host"))?;
        let authority = rest.find(['/', '?']).map_or(rest, |end| &rest[..end]);
        if authority.is_empty() || authority.contains('\\') || url.host_str().is_none() {
            return Err(wrong("no host"));
        }
        let path_at = after_scheme + "://".len() + authority.len();
        Ok(Self { url, path_at, text })
    }

    /// The target of a `Location` header: absolute as it stands, else resolved (RFC 3986 §5).
    pub(crate) fn redirect(&self, location: &str) -> Result<Self, Fault> {
        let location = location.trim();
        if Url::parse(location).is_ok() {
            return Self::parse(location);
        }
        let joined = self.url.join(location);
        Self::parse(joined.map_err(|why| Fault::new(11100, format!("Location: {why}")))?.as_str())
    }

    /// The URL as sent, without fragment, with userinfo: what is signed.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL with the password replaced, for records and messages.
    pub(crate) fn redacted(&self) -> String {
        // Cut from the text: the parser may spell the password differently.
        let (head, tail) = self.text.split_at(self.path_at);
        let Some((userinfo, host)) = head.rsplit_once('@') else { return self.text.clone() };
        let name_at = self.url.scheme().len() + "://".len();
        match userinfo[name_at..].find(':') {
            Some(colon) => format!("{}:***@{host}{tail}", &userinfo[..name_at + colon]),
            None => self.text.clone(),
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(crate) fn host(&self) -> url::Host<&str> {
        self.url.host().expect("parse refuses a URL without a host")
    }

    /// Host name or address without brackets.
    pub(crate) fn host_name(&self) -> String {
        match self.host() {
            url::Host::Domain(name) => name.to_owned(),
            url::Host::Ipv4(v4) => v4.to_string(),
            url::Host::Ipv6(v6) => v6.to_string(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// The `Host` header: the port only when it is not the scheme's own.
    pub(crate) fn host_header(&self) -> String {
        let host = self.host().to_string();
        self.url.port().map_or(host.clone(), |port| format!("{host}:{port}"))
    }

    /// Path and query as configured; `/` when there is no path.
    pub(crate) fn request_target(&self) -> String {
        let tail = &self.text[self.path_at..];
        if tail.starts_with('/') { tail.to_owned() } else { format!("/{tail}") }
    }

    /// The path, for cookies.
    pub(crate) fn path(&self) -> String {
        let target = self.request_target();
        target.split_once('?').map_or(target.clone(), |(path, _)| path.to_owned())
    }

    /// The value of an `Authorization` header, when the URL names a user (RFC 7617).
    pub(crate) fn basic_authorization(&self) -> Option<String> {
        if self.url.username().is_empty() && self.url.password().is_none() {
            return None;
        }
        let mut plain = percent_decode(self.url.username());
        plain.push(b':');
        plain.extend(percent_decode(self.url.password().unwrap_or_default()));
        Some(format!("Basic {}", STANDARD.encode(plain)))
    }
}

/// Percent-encodes what a request line cannot carry; leaves everything else alone.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let is_carried =
            character.is_ascii_graphic() && !matches!(character, '"' | '<' | '>' | '`' | '{' | '}');
        if is_carried {
            escaped.push(character);
        } else {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    escaped
}

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        decoded.push(hex.unwrap_or(bytes[at]));
        at += if hex.is_some() { 3 } else { 1 };
    }
    decoded
}

/// Encodes form parameters as Twilio does: space is `+`, `*-._` and alphanumerics stay,
/// the rest is UTF-8 in upper-case hex.
///
/// ```
/// let pairs = [("Body".to_owned(), "Hi *there*".to_owned()), ("To".to_owned(), "+1".to_owned())];
/// assert_eq!(outbound::encode_form(&pairs), "Body=Hi+*there*&To=%2B1");
/// ```
pub fn encode_form(params: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_sent_and_signed_as_configured() {
        let target = Target::parse("HTTP://Example.com:80/a/../b%7e?q=it's+ok#rc=2").unwrap();
        assert_eq!(target.as_str(), "HTTP://Example.com:80/a/../b%7e?q=it's+ok");
        assert_eq!(target.request_target(), "/a/../b%7e?q=it's+ok");
        assert_eq!(target.host_header(), "example.com");
        let bare = Target::parse("https://h.example?x=1").unwrap();
        assert_eq!((bare.as_str(), &*bare.request_target()), ("https://h.example?x=1", "/?x=1"));
    }

    #[test]
    fn what_http_cannot_carry_is_encoded_before_it_is_signed() {
        let target = Target::parse("http://h.example/caf\u{e9} bar?x={y}").unwrap();
        assert_eq!(target.as_str(), "http://h.example/caf%C3%A9%20bar?x=%7By%7D");
    }

    #[test]
    fn credentials_are_decoded_for_basic_and_hidden_in_records() {
        let target = Target::parse("http://us%40er:p%3Aw@h/a").unwrap();
        assert_eq!(
            target.basic_authorization().unwrap(),
            format!("Basic {}", STANDARD.encode("us@er:p:w"))
        );
        for (url, redacted) in [
            ("http://us%40er:p%3Aw@h/a", "http://us%40er:***@h/a"),
            ("http://u:p'|^@[::1]:80/a?b@c:d@", "http://u:***@[::1]:80/a?b@c:d@"),
            ("http://u:p@q:r@h", "http://u:***@h"),
            ("http://u@h:80/", "http://u@h:80/"),
            ("http://h/a:b@c", "http://h/a:b@c"),
        ] {
            assert_eq!(Target::parse(url).unwrap().redacted(), redacted);
        }
        assert_eq!(Target::parse("http://h/a").unwrap().basic_authorization(), None);
    }

    #[test]
    fn decimal_hosts_are_addresses_and_odd_urls_are_refused() {
        assert_eq!(Target::parse("http://2130706433/").unwrap().host_name(), "127.0.0.1");
        for wrong in [
            "",
            "sms",
            "/relative",
            "ftp://h/",
            "http:/h/a",
            "http:h",
            "http:///h",
            "http://",
            "http://good.example\\@evil.example/",
            "http://h:99999/",
            "javascript:alert(1)",
        ] {
            assert_eq!(Target::parse(wrong).unwrap_err().code, 11100, "{wrong:?}");
        }
    }
}
