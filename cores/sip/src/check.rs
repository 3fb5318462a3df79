//! Whether a request can be taken (RFC 3261 §8.2), and what refuses it.

use crate::message::{Method, Request, Response};
use crate::uri::{NameAddr, Uri, UriError, Via};

/// Methods that are answered, as `Allow` says them.
pub const ALLOW: &str =
    "INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, INFO, UPDATE, PRACK, REGISTER";
/// Extensions, as `Supported` says them.
pub const SUPPORTED: &str = "timer, 100rel, replaces";
const EXTENSIONS: [&str; 3] = ["timer", "100rel", "replaces"];
/// Headers of which there is one at most.
const SINGLE: [&str; 7] =
    ["From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type", "Expires"];

/// Why a request is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: u16,
    pub reason: &'static str,
    /// What the response says beside.
    pub header: Option<(&'static str, String)>,
}

impl Fault {
    pub fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason, header: None }
    }

    pub fn response(&self, request: &Request, tag: &str) -> Response {
        let mut response = request.response(self.code, self.reason, Some(tag));
        if let Some((name, value)) = &self.header {
            response.headers.add(name, value.clone());
        }
        response
    }
}

/// The form of a request: everything that every request must have.
pub fn check(request: &Request) -> Result<(), Fault> {
    let bad = |reason| Err(Fault::new(400, reason));
    let headers = &request.headers;
    for name in SINGLE {
        if headers.all(name).count() > 1 {
            return bad("Several Of A Single Header");
        }
    }
    for name in ["From", "To"] {
        let Some(value) = headers.get(name) else { return bad("Missing From Or To") };
        if NameAddr::parse(value).is_err() {
            return bad("Malformed From Or To");
        }
    }
    if headers.get("Call-ID").is_none_or(str::is_empty) {
        return bad("Missing Call-ID");
    }
    match headers.cseq() {
        Some((_, method)) if method == request.method => {}
        Some(_) => return bad("CSeq Is Of Another Method"),
        None => return bad("Malformed CSeq"),
    }
    if headers.get("Via").is_none() {
        return bad("Missing Via");
    }
    for value in headers.all("Via") {
        if value.split(',').any(|via| via.trim().is_empty()) {
            return bad("Malformed Via");
        }
    }
    if headers.list("Via").any(|via| Via::parse(via).is_err()) {
        return bad("Malformed Via");
    }
    let whole = |value: &str| value.parse::<u32>().is_ok();
    if headers.get("Max-Forwards").is_some_and(|hops| hops.parse::<u8>().is_err()) {
        return bad("Malformed Max-Forwards");
    }
    if headers.get("Expires").is_some_and(|seconds| !whole(seconds)) {
        return bad("Malformed Expires");
    }
    for contact in headers.list("Contact").filter(|contact| *contact != "*") {
        let Ok(parsed) = NameAddr::parse(contact) else { return bad("Malformed Contact") };
        if parsed.param("expires").is_some_and(|seconds| !whole(seconds)) {
            return bad("Malformed Contact");
        }
    }
    match Uri::parse(&request.uri) {
        Ok(_) => Ok(()),
        Err(UriError::Scheme) => Err(Fault::new(416, "Unsupported URI Scheme")),
        Err(UriError::Form(_)) => bad("Malformed Request-URI"),
    }
}

/// What the request asks for beyond its form.
pub fn admit(request: &Request) -> Result<(), Fault> {
    let headers = &request.headers;
    if matches!(request.method, Method::Other(_)) {
        let known = ["SUBSCRIBE", "PUBLISH", "MESSAGE"].contains(&request.method.as_str());
        let (code, reason) =
            if known { (405, "Method Not Allowed") } else { (501, "Not Implemented") };
        return Err(Fault { code, reason, header: Some(("Allow", ALLOW.to_owned())) });
    }
    if !matches!(request.method, Method::Ack | Method::Cancel) {
        let is_known = |tag: &&str| EXTENSIONS.iter().any(|known| tag.eq_ignore_ascii_case(known));
        let unknown: Vec<&str> = headers.list("Require").filter(|tag| !is_known(tag)).collect();
        if !unknown.is_empty() {
            let header = Some(("Unsupported", unknown.join(", ")));
            return Err(Fault { code: 420, reason: "Bad Extension", header });
        }
    }
    if request.method != Method::Invite {
        return Ok(());
    }
    let kind = headers.get("Content-Type").unwrap_or_default();
    if !request.body.is_empty() && !is_session(kind) {
        let header = Some(("Accept", "application/sdp".to_owned()));
        return Err(Fault { code: 415, reason: "Unsupported Media Type", header });
    }
    let encoding =
        headers.get("Content-Encoding").filter(|how| !how.eq_ignore_ascii_case("identity"));
    if !request.body.is_empty() && encoding.is_some() {
        let header = Some(("Accept-Encoding", "identity".to_owned()));
        return Err(Fault { code: 415, reason: "Unsupported Media Type", header });
    }
    let mut accepted = headers.list("Accept").peekable();
    let takes_session = |range: &str| {
        let range = range.split(';').next().unwrap_or_default().trim();
        ["application/sdp", "application/*", "*/*"].iter().any(|k| range.eq_ignore_ascii_case(k))
    };
    if accepted.peek().is_some() && !accepted.any(takes_session) {
        return Err(Fault::new(406, "Not Acceptable"));
    }
    Ok(())
}

fn is_session(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/sdp")
        || kind.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"))
}

/// The session description of a body, which may be one part of several (RFC 5621).
pub fn session<'a>(kind: &str, body: &'a [u8]) -> Option<&'a [u8]> {
    if body.is_empty() {
        return None;
    }
    let mut parts = kind.split(';');
    let name = parts.next().unwrap_or_default().trim();
    if !name.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/")) {
        return Some(body);
    }
    let boundary = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    let mark = format!("--{boundary}");
    let found = |from: usize| {
        let rest = &body[from..];
        rest.windows(mark.len()).position(|w| w == mark.as_bytes()).map(|at| from + at)
    };
    let mut at = found(0)?;
    while let Some(end) = found(at + mark.len()) {
        let part = &body[at + mark.len()..end];
        let head = part.windows(4).position(|w| w == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&part[..head]).to_ascii_lowercase();
            if text.contains("application/sdp") {
                return Some(part[head + 4..].strip_suffix(b"\r\n").unwrap_or(&part[head + 4..]));
            }
        }
        at = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_among_parts() {
        let body = b"--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x\r\nContent-Type: application/SDP\r\n\r\nv=0\r\n\r\n--x--\r\n";
        assert_eq!(session("multipart/mixed;boundary=\"x\"", body), Some(&b"v=0\r\n"[..]));
        assert_eq!(session("multipart/mixed", body), None);
        assert_eq!(session("application/sdp", b"v=0"), Some(&b"v=0"[..]));
        assert_eq!(session("application/sdp", b""), None);
    }
}
