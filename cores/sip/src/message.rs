//! Messages and their octets.

use std::fmt;

/// Octets of the start line and headers together.
pub const HEAD_OCTETS_MAX: usize = 32 * 1024;
/// Octets of a body.
pub const BODY_OCTETS_MAX: usize = 64 * 1024;
/// Headers of a message.
pub const HEADERS_MAX: usize = 200;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Info,
    Update,
    Prack,
    Refer,
    Notify,
    Other(String),
}

const METHODS: [(Method, &str); 11] = [
    (Method::Invite, "INVITE"),
    (Method::Ack, "ACK"),
    (Method::Bye, "BYE"),
    (Method::Cancel, "CANCEL"),
    (Method::Options, "OPTIONS"),
    (Method::Register, "REGISTER"),
    (Method::Info, "INFO"),
    (Method::Update, "UPDATE"),
    (Method::Prack, "PRACK"),
    (Method::Refer, "REFER"),
    (Method::Notify, "NOTIFY"),
];

impl Method {
    /// By its name, in which case counts.
    pub fn named(name: &str) -> Self {
        let known = METHODS.into_iter().find(|(_, known)| *known == name);
        known.map_or_else(|| Self::Other(name.to_owned()), |(method, _)| method)
    }

    pub fn as_str(&self) -> &str {
        if let Self::Other(name) = self {
            return name;
        }
        METHODS.iter().find(|(known, _)| known == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Headers in their order, by their long names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// Names that are written in one letter (RFC 3261 §7.3.3 and later).
const COMPACT: [(&str, &str); 15] = [
    ("v", "Via"),
    ("f", "From"),
    ("t", "To"),
    ("i", "Call-ID"),
    ("m", "Contact"),
    ("l", "Content-Length"),
    ("c", "Content-Type"),
    ("e", "Content-Encoding"),
    ("k", "Supported"),
    ("s", "Subject"),
    ("r", "Refer-To"),
    ("b", "Referred-By"),
    ("x", "Session-Expires"),
    ("o", "Event"),
    ("a", "Accept-Contact"),
];

impl Headers {
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The values of every header of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The elements of lists of this name, over all its headers.
    pub fn list<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.all(name).flat_map(|value| crate::uri::elements(value).into_iter())
    }

    /// Whether a list of this name has a token, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|element| element.eq_ignore_ascii_case(token))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds one after the others.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Adds one before the others.
    pub fn add_first(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(0, (name.to_owned(), value.into()));
    }

    /// The only one of its name from now on.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        let mut value = Some(value);
        self.0.retain_mut(|(known, old)| {
            if !known.eq_ignore_ascii_case(name) {
                return true;
            }
            match value.take() {
                Some(new) => {
                    *old = new;
                    true
                }
                None => false,
            }
        });
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number and method of `CSeq`.
    pub fn cseq(&self) -> Option<(u32, Method)> {
        let (number, method) = self.get("CSeq")?.split_once(|c: char| c.is_ascii_whitespace())?;
        let number: u32 = number.parse().ok().filter(|number| *number < 1 << 31)?;
        Some((number, Method::named(method.trim())))
    }

    pub fn call_id(&self) -> &str {
        self.get("Call-ID").unwrap_or_default()
    }

    /// The tag of `From` or `To`.
    pub fn tag(&self, name: &str) -> Option<String> {
        let address = crate::NameAddr::parse(self.get(name)?).ok()?;
        address.param("tag").filter(|tag| !tag.is_empty()).map(str::to_owned)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// As it came.
    pub uri: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub code: u16,
    pub reason: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    Response(Response),
}

/// Why octets are no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Nobody is told.
    Drop(&'static str),
    /// A request whose sender can be told: what could be read of it.
    Refuse(Box<Request>, u16, &'static str),
}

pub(crate) fn is_token(text: &str) -> bool {
    let other = |c: u8| b"-.!%*_+`'~".contains(&c);
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || other(c))
}

/// How many octets of a stream are its next message; `None` until its head is there.
///
/// # Errors
/// When what has come can be no message: the stream is of no more use.
pub fn frame(octets: &[u8]) -> Result<Option<usize>, ReadError> {
    let Some(head) = head_end(octets) else {
        return match octets.len() > HEAD_OCTETS_MAX {
            true => Err(ReadError::Drop("the head is too long")),
            false => Ok(None),
        };
    };
    let text = String::from_utf8_lossy(&octets[..head]);
    let lengths = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim();
        let is_length =
            name.eq_ignore_ascii_case("Content-Length") || name.eq_ignore_ascii_case("l");
        is_length.then(|| value.trim().parse::<usize>().ok())
    });
    let mut length = 0;
    for found in lengths {
        match found {
            Some(found) if found <= BODY_OCTETS_MAX => length = found,
            // What follows cannot be told from the body any more.
            _ => return Err(ReadError::Drop("the length is no length")),
        }
    }
    let end = head + length;
    Ok((octets.len() >= end).then_some(end))
}

/// Where the body begins.
fn head_end(octets: &[u8]) -> Option<usize> {
    let crlf = octets.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
    let lf = octets.windows(2).position(|window| window == b"\n\n").map(|at| at + 2);
    match (crlf, lf) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Reads one message: a datagram, or what [`frame`] cut out of a stream.
pub fn read(octets: &[u8]) -> Result<Message, ReadError> {
    let start = octets.iter().position(|c| !b"\r\n".contains(c));
    let octets = &octets[start.ok_or(ReadError::Drop("it is empty"))?..];
    let head = head_end(octets).unwrap_or(octets.len());
    if head > HEAD_OCTETS_MAX {
        return Err(ReadError::Drop("the head is too long"));
    }
    let text = String::from_utf8_lossy(&octets[..head]);
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    let (headers, fault) = headers(lines);
    let body = &octets[head..];
    if let Some(rest) = first.strip_prefix("SIP/2.0 ") {
        return response(rest, headers, fault.is_some(), body);
    }
    request(first, headers, fault, body)
}

fn response(
    rest: &str,
    headers: Headers,
    is_faulty: bool,
    body: &[u8],
) -> Result<Message, ReadError> {
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let code: u16 = code.parse().map_err(|_| ReadError::Drop("the status is no number"))?;
    if !(100..700).contains(&code) || is_faulty || headers.cseq().is_none() {
        return Err(ReadError::Drop("the response is malformed"));
    }
    let body = cut(&headers, body).map_err(|_| ReadError::Drop("the length is wrong"))?;
    let body = body.to_vec();
    Ok(Message::Response(Response { code, reason: reason.to_owned(), headers, body }))
}

fn request(
    first: &str,
    headers: Headers,
    fault: Option<&'static str>,
    body: &[u8],
) -> Result<Message, ReadError> {
    let mut words = first.split_ascii_whitespace();
    let method = words.next().filter(|word| is_token(word));
    let method = method.ok_or(ReadError::Drop("it is no request"))?;
    let version = words.next_back().unwrap_or_default();
    if !version.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/")) {
        return Err(ReadError::Drop("it is another protocol's"));
    }
    let uri = words.next().unwrap_or_default().to_owned();
    let mut request = Request { method: Method::named(method), uri, headers, body: Vec::new() };
    let refuse = |request, code, why| Err(ReadError::Refuse(Box::new(request), code, why));
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return refuse(request, 505, "Version Not Supported");
    }
    if first != format!("{method} {} {version}", request.uri) {
        return refuse(request, 400, "Malformed Request Line");
    }
    if let Some(why) = fault {
        return refuse(request, 400, why);
    }
    match cut(&request.headers, body) {
        Ok(body) => request.body = body.to_vec(),
        Err(why) => return refuse(request, 400, why),
    }
    Ok(Message::Request(request))
}

/// The body, as long as it says to be; of a datagram that does not say, all of it.
fn cut<'a>(headers: &Headers, body: &'a [u8]) -> Result<&'a [u8], &'static str> {
    let mut lengths = headers.all("Content-Length");
    let Some(length) = lengths.next() else {
        return body.get(..body.len().min(BODY_OCTETS_MAX)).ok_or("Bad Body");
    };
    if lengths.next().is_some() {
        return Err("Several Content-Length");
    }
    let length: usize = length.parse().map_err(|_| "Bad Content-Length")?;
    body.get(..length)
        .filter(|_| length <= BODY_OCTETS_MAX)
        .ok_or("Body Shorter Than Content-Length")
}

/// Headers of lines, folded ones made one; and what is wrong with them.
fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> (Headers, Option<&'static str>) {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut fault = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) {
            match found.last_mut() {
                Some((_, value)) => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                None => fault = fault.or(Some("Malformed Header")),
            }
            continue;
        }
        let parts = line.split_once(':').map(|(name, value)| (name.trim_end(), value.trim()));
        match parts.filter(|(name, _)| is_token(name)) {
            Some(_) if found.len() == HEADERS_MAX => fault = Some("Too Many Headers"),
            Some((name, value)) => found.push((long(name).to_owned(), value.to_owned())),
            None => fault = fault.or(Some("Malformed Header")),
        }
    }
    for (_, value) in &mut found {
        if value.ends_with(' ') {
            value.truncate(value.trim_end().len());
        }
    }
    (Headers(found), fault)
}

fn long(name: &str) -> &str {
    let known = COMPACT.iter().find(|(short, _)| short.eq_ignore_ascii_case(name));
    known.map_or(name, |(_, long)| long)
}

impl Headers {
    fn write(&self, body: &[u8], out: &mut Vec<u8>) {
        let mut line = |name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            // A line break in a value would begin another header.
            out.extend(value.bytes().map(|c| if matches!(c, b'\r' | b'\n') { b' ' } else { c }));
            out.extend_from_slice(b"\r\n");
        };
        for (name, value) in self.iter().filter(|(name, _)| *name != "Content-Length") {
            line(name, value);
        }
        line("Content-Length", &body.len().to_string());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
    }
}

impl Request {
    pub fn new(method: Method, uri: impl Into<String>) -> Self {
        Self { method, uri: uri.into(), headers: Headers::default(), body: Vec::new() }
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = format!("{} {} SIP/2.0\r\n", self.method, self.uri).into_bytes();
        self.headers.write(&self.body, &mut out);
        out
    }

    /// A response with what every response repeats (RFC 3261 §8.2.6); `tag` is ours, in `To`.
    pub fn response(&self, code: u16, reason: &str, tag: Option<&str>) -> Response {
        let mut headers = Headers::default();
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for value in self.headers.all(name) {
                match tag.filter(|_| name == "To" && self.headers.tag("To").is_none()) {
                    Some(tag) => headers.add(name, format!("{value};tag={tag}")),
                    None => headers.add(name, value),
                }
            }
        }
        if code == 100 {
            for value in self.headers.all("Timestamp") {
                headers.add("Timestamp", value);
            }
        }
        let reason = if reason.is_empty() { phrase(code) } else { reason };
        Response { code, reason: reason.to_owned(), headers, body: Vec::new() }
    }
}

impl Response {
    pub fn write(&self) -> Vec<u8> {
        let mut out = format!("SIP/2.0 {} {}\r\n", self.code, self.reason).into_bytes();
        self.headers.write(&self.body, &mut out);
        out
    }
}

/// The usual words for a status.
pub fn phrase(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        483 => "Too Many Hops",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "Version Not Supported",
        603 => "Decline",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_into_messages() {
        let one = b"OPTIONS sip:a@b SIP/2.0\r\nl: 3\r\n\r\nabc";
        let mut stream = one.to_vec();
        stream.extend_from_slice(b"BYE");
        assert_eq!(frame(&stream), Ok(Some(one.len())));
        assert_eq!(frame(&one[..one.len() - 1]), Ok(None));
        assert_eq!(frame(&one[..20]), Ok(None));
        assert!(frame(b"OPTIONS sip:a@b SIP/2.0\r\nl: -3\r\n\r\n").is_err());
        assert!(frame(b"OPTIONS sip:a@b SIP/2.0\r\nl: 99999999\r\n\r\n").is_err());
        assert!(frame(&vec![b'a'; HEAD_OCTETS_MAX + 1]).is_err());
    }

    #[test]
    fn a_value_cannot_become_a_header() {
        let mut request = Request::new(Method::Info, "sip:a@b");
        request.headers.add("X-Evil", "a\r\nContact: <sip:me@x>");
        let text = String::from_utf8(request.write()).unwrap();
        assert!(text.contains("X-Evil: a  Contact: <sip:me@x>\r\n"), "{text}");
    }

    #[test]
    fn a_response_repeats_what_it_must() {
        let text = "INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1\r\nf: <sip:x@y>;tag=1\r\n\
                    t: <sip:a@b>\r\ni: c\r\nCSeq: 7 INVITE\r\nTimestamp: 4\r\n\r\n";
        let Ok(Message::Request(request)) = read(text.as_bytes()) else { panic!() };
        assert_eq!(request.headers.cseq(), Some((7, Method::Invite)));
        let response = request.response(180, "", Some("t1"));
        assert_eq!(response.headers.get("To"), Some("<sip:a@b>;tag=t1"));
        assert_eq!(response.headers.tag("From").as_deref(), Some("1"));
        let Ok(Message::Response(again)) = read(&response.write()) else { panic!() };
        assert_eq!((again.code, again.reason.as_str()), (180, "Ringing"));
    }

    proptest::proptest! {
        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let _ = frame(&octets);
            if let Ok(Message::Request(request)) = read(&octets) {
                let _ = crate::check::check(&request);
            }
        }

        #[test]
        fn what_looks_like_a_request_does_not_panic(
            line in "INVITE [ -~]{0,40} SIP/2.0",
            headers in proptest::collection::vec("(Via|From|To|Contact|CSeq|f|v|m): [ -~]{0,60}", 0..8),
        ) {
            let text = format!("{line}\r\n{}\r\n\r\n", headers.join("\r\n"));
            if let Ok(Message::Request(request)) = read(text.as_bytes()) {
                let _ = crate::check::check(&request);
                proptest::prop_assert_eq!(read(&request.write()).map(|message| match message {
                    Message::Request(mut again) => {
                        again.headers.remove("Content-Length");
                        let mut request = request.clone();
                        request.headers.remove("Content-Length");
                        again == request
                    }
                    Message::Response(_) => false,
                }), Ok(true));
            }
        }
    }
}
