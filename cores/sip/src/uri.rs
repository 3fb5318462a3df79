//! Addresses, the names before them, lists and Via (RFC 3261 §19.1, §20).

use std::fmt;
use std::net::IpAddr;

use crate::message::is_token;

/// A name with, or without, a value.
pub type Param = (String, Option<String>);

/// Something that does not have the form it must have: what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormError(pub &'static str);

/// Elements of a comma-separated list; commas in quotes and in `<…>` do not count.
pub fn elements(value: &str) -> Vec<&str> {
    split(value, b',').into_iter().map(str::trim).filter(|element| !element.is_empty()).collect()
}

/// Parts between separators that are outside of quotes and `<…>`.
fn split(value: &str, separator: u8) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped, mut inside) = (0, false, false, false);
    for (at, c) in value.bytes().enumerate() {
        match c {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'<' if !quoted => inside = true,
            b'>' if !quoted => inside = false,
            _ if c == separator && !quoted && !inside => {
                parts.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&value[start..]);
    parts
}

/// `;name=value;name`, from the first semicolon on.
fn params(text: &str) -> Result<Vec<Param>, FormError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let rest = text.strip_prefix(';').ok_or(FormError("parameters begin with a semicolon"))?;
    let param = |part: &str| {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (part.trim(), None),
        };
        match is_token(name) {
            true => Ok((name.to_owned(), value.map(unquoted))),
            false => Err(FormError("a parameter has no name")),
        }
    };
    split(rest, b';').into_iter().map(param).collect()
}

fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else { return text.to_owned() };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    out
}

fn find<'a>(params: &'a [Param], name: &str) -> Option<&'a str> {
    let found = params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_deref().unwrap_or_default())
}

fn write_params(params: &[Param], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (name, value) in params {
        write!(f, ";{name}")?;
        if let Some(value) = value {
            let is_plain = value.bytes().all(|c| c.is_ascii_graphic() && !b"\",;\\<>".contains(&c));
            match is_plain {
                true => write!(f, "={value}")?,
                false => write!(f, "=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?,
            }
        }
    }
    Ok(())
}

/// `%41` made `A`. What is no escape stays.
pub fn unescaped(text: &str) -> String {
    let octets = text.as_bytes();
    let mut out = Vec::with_capacity(octets.len());
    let mut at = 0;
    while at < octets.len() {
        let code = octets.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.filter(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()));
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(code) if octets[at] == b'%' => {
                out.push(code);
                at += 3;
            }
            _ => {
                out.push(octets[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A `sip:` or `sips:` address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    pub secure: bool,
    /// As written, with escapes.
    pub user: Option<String>,
    /// Without the brackets of IPv6, in lower case.
    pub host: String,
    pub port: Option<u16>,
    pub params: Vec<Param>,
    /// After the question mark, as written.
    pub headers: Option<String>,
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriError {
    /// It may be an address, but not of SIP.
    Scheme,
    Form(&'static str),
}

impl Uri {
    pub fn new(user: Option<&str>, host: &str, port: Option<u16>) -> Self {
        Self {
            secure: false,
            user: user.map(str::to_owned),
            host: host.to_ascii_lowercase(),
            port,
            params: Vec::new(),
            headers: None,
        }
    }

    pub fn parse(text: &str) -> Result<Self, UriError> {
        let form = |why| Err(UriError::Form(why));
        if !text.bytes().all(|c| c.is_ascii_graphic()) || text.contains(['<', '>', '"', '\\']) {
            return form("an address has no spaces, quotes or brackets");
        }
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Form("it has no scheme"))?;
        let secure = match () {
            () if scheme.eq_ignore_ascii_case("sip") => false,
            () if scheme.eq_ignore_ascii_case("sips") => true,
            () if is_token(scheme) && scheme.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                return Err(UriError::Scheme);
            }
            () => return form("it has no scheme"),
        };
        let (user, rest) = match rest.split_once('@') {
            Some(("", _)) => return form("the user is empty"),
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers.to_owned())),
            None => (rest, None),
        };
        let at = rest.find(';').unwrap_or(rest.len());
        let (host, port) = host_port(&rest[..at]).map_err(|FormError(why)| UriError::Form(why))?;
        let params = params(&rest[at..]).map_err(|FormError(why)| UriError::Form(why))?;
        Ok(Self { secure, user, host, port, params, headers })
    }

    /// The user's name without escapes and password.
    pub fn name(&self) -> Option<String> {
        let user = self.user.as_deref()?;
        Some(unescaped(user.split_once(':').map_or(user, |(name, _)| name)))
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        find(&self.params, name)
    }

    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Self {
        self.params.push((name.to_owned(), value.map(str::to_owned)));
        self
    }

    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write_params(&self.params, f)?;
        match &self.headers {
            Some(headers) => write!(f, "?{headers}"),
            None => Ok(()),
        }
    }
}

fn host_port(text: &str) -> Result<(String, Option<u16>), FormError> {
    let bad = FormError("the host or port is none");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(bad)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| bad)?;
            let port = rest.trim();
            (host, (!port.is_empty()).then_some(port.strip_prefix(':').ok_or(bad)?))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host.trim(), Some(port)),
            None => (text.trim(), None),
        },
    };
    let is_name = |host: &str| {
        let fits = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
        !host.is_empty() && host.bytes().all(fits)
    };
    if !host.contains(':') && !is_name(host) {
        return Err(bad);
    }
    let port = port.map(|port| port.trim().parse().map_err(|_| bad)).transpose()?;
    Ok((host.to_ascii_lowercase(), port))
}

/// An address with what stands before and behind it: `"Ann" <sip:ann@b>;tag=1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    pub display: Option<String>,
    /// As written: it may be of another scheme.
    pub address: String,
    pub params: Vec<Param>,
}

impl NameAddr {
    pub fn parse(text: &str) -> Result<Self, FormError> {
        let text = text.trim();
        let Some(open) = open_bracket(text)? else {
            let at = text.find(';').unwrap_or(text.len());
            let address = text[..at].trim();
            // Such an address has to stand in brackets.
            if address.is_empty() || address.contains([',', '?', ' ', '"']) {
                return Err(FormError("the address is none"));
            }
            return Ok(Self {
                display: None,
                address: address.to_owned(),
                params: params(&text[at..])?,
            });
        };
        let (address, rest) =
            text[open + 1..].split_once('>').ok_or(FormError("a bracket is not closed"))?;
        let display = text[..open].trim();
        let is_quoted = display.len() >= 2 && display.starts_with('"') && display.ends_with('"');
        if !is_quoted && !display.split_ascii_whitespace().all(is_word) {
            return Err(FormError("the name has to be quoted"));
        }
        Ok(Self {
            display: (!display.is_empty()).then(|| unquoted(display)),
            address: address.trim().to_owned(),
            params: params(rest)?,
        })
    }

    pub fn uri(&self) -> Result<Uri, UriError> {
        Uri::parse(&self.address)
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        find(&self.params, name)
    }
}

/// Tokens, and letters beyond ASCII, which many send unquoted.
fn is_word(word: &str) -> bool {
    is_token(&word.replace(|c: char| !c.is_ascii(), "a"))
}

/// Where `<` is, outside of quotes.
fn open_bracket(text: &str) -> Result<Option<usize>, FormError> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.bytes().enumerate() {
        match c {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'<' if !quoted => return Ok(Some(at)),
            _ => {}
        }
    }
    if quoted { Err(FormError("a quote is not closed")) } else { Ok(None) }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "\"{}\" ", display.replace('\\', "\\\\").replace('"', "\\\""))?;
        }
        write!(f, "<{}>", self.address)?;
        write_params(&self.params, f)
    }
}

/// One hop of a message's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, `TLS` …
    pub transport: String,
    pub host: String,
    pub port: Option<u16>,
    pub params: Vec<Param>,
}

impl Via {
    pub fn parse(text: &str) -> Result<Self, FormError> {
        let bad = FormError("Via is malformed");
        let mut parts = text.splitn(3, '/');
        let protocol = parts.next().unwrap_or_default().trim();
        let version = parts.next().unwrap_or_default().trim();
        if !protocol.eq_ignore_ascii_case("SIP") || version != "2.0" {
            return Err(bad);
        }
        let rest = parts.next().ok_or(bad)?.trim();
        let (transport, rest) = rest.split_once(|c: char| c.is_whitespace()).ok_or(bad)?;
        if !is_token(transport) {
            return Err(bad);
        }
        let at = rest.find(';').unwrap_or(rest.len());
        let (host, port) = host_port(rest[..at].trim())?;
        let params = params(&rest[at..])?;
        Ok(Self { transport: transport.to_ascii_uppercase(), host, port, params })
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        find(&self.params, name)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.params.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.params.push((name.to_owned(), Some(value.to_owned())));
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} ", self.transport)?;
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write_params(&self.params, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in [
            "sip:+14155550100@acme.sip.twilio.com",
            "sips:ann:secret@[2001:db8::1]:5061;transport=tls;lr",
            "sip:a@b?X-Order=7&X-B=%20",
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
        ] {
            assert_eq!(Uri::parse(text).unwrap().to_string(), text);
        }
        let uri = Uri::parse("sip:a%6e%6e:pw@H.example;user=phone?X-A=1").unwrap();
        assert_eq!((uri.name().as_deref(), uri.host.as_str()), (Some("ann"), "h.example"));
        assert_eq!((uri.param("user"), uri.headers.as_deref()), (Some("phone"), Some("X-A=1")));
        assert_eq!(Uri::parse("tel:+1415"), Err(UriError::Scheme));
        for text in ["sip:", "sip:@b", "sip:a b@c", "<sip:a@b>", "sip:a@b:99999", "sip:a@b;;x", "x"]
        {
            assert!(matches!(Uri::parse(text), Err(UriError::Form(_))), "{text}");
        }
    }

    #[test]
    fn names_stand_before_addresses() {
        let ann = NameAddr::parse("\"Ann \\\"A\\\", Lee\" <sip:a@b;x=1>;tag=7").unwrap();
        assert_eq!(ann.display.as_deref(), Some("Ann \"A\", Lee"));
        assert_eq!((ann.address.as_str(), ann.param("tag")), ("sip:a@b;x=1", Some("7")));
        assert_eq!(NameAddr::parse(&ann.to_string()).unwrap(), ann);
        let plain = NameAddr::parse("sip:a@b;tag=7").unwrap();
        assert_eq!((plain.address.as_str(), plain.param("tag")), ("sip:a@b", Some("7")));
        for text in ["\"a <sip:a@b>", "Bell, A <sip:a@b>", "<sip:a@b", "sip:a@b?x=1", ""] {
            assert!(NameAddr::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_are_split_outside_of_quotes() {
        assert_eq!(
            elements("\"a,b\" <sip:a,b@c>, <sip:d@e> ,"),
            ["\"a,b\" <sip:a,b@c>", "<sip:d@e>"]
        );
        let via =
            Via::parse("SIP / 2.0 / udp  h.example : 5070 ; branch = z9hG4bK1 ;rport").unwrap();
        assert_eq!(via.to_string(), "SIP/2.0/UDP h.example:5070;branch=z9hG4bK1;rport");
        assert!(Via::parse("SIP/2.0/UDP 192.0.2.15;;").is_err());
    }
}
