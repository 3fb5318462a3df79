//! `CONNECT` (RFC 9110 §9.3.6): the head of a request, and its answers.

use bytes::Bytes;

pub const HEAD_MAX: usize = 16 * 1024;

/// Exactly this: some clients read past any other reply, or past any header in it.
pub const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// What a client wants to be connected to.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    pub host: String,
    pub port: u16,
    pub user_agent: Option<String>,
}

/// `Ok(None)`: not a `CONNECT`. The error is a sentence for the client.
pub fn parse(head: &[u8]) -> Result<Option<Target>, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(_) => {}
        Err(error) if head.starts_with(b"CONNECT ") => {
            return Err(format!("the CONNECT cannot be read: {error}"));
        }
        Err(_) => return Ok(None),
    }
    if request.method != Some("CONNECT") {
        return Ok(None);
    }
    let (host, port) = authority(request.path.unwrap_or_default())?;
    let user_agent = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("user-agent"))
        .map(|header| String::from_utf8_lossy(header.value).into_owned());
    Ok(Some(Target { host, port, user_agent }))
}

/// `host:port`, with brackets around an IPv6 address.
fn authority(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("CONNECT needs host:port, not {text:?}");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().map_err(|_| wrong())?;
    match host {
        "" => Err(wrong()),
        host => Ok((host.to_ascii_lowercase(), port)),
    }
}

/// A refusal with its reason as text.
pub fn refusal(status: &str, why: &str) -> Bytes {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\noffhook: {why}\n",
        "offhook: \n".len() + why.len()
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let target = |head: &str| {
            parse(head.as_bytes()).map(|target| target.map(|t| (t.host, t.port, t.user_agent)))
        };
        assert_eq!(
            target("CONNECT Api.Twilio.com:443 HTTP/1.1\r\nHost: x\r\nuser-agent: Go\r\n\r\n"),
            Ok(Some(("api.twilio.com".into(), 443, Some("Go".into()))))
        );
        assert_eq!(target("CONNECT [::1]:80 HTTP/1.0\r\n\r\n"), Ok(Some(("::1".into(), 80, None))));
        assert_eq!(target("COPY / HTTP/1.1\r\n\r\n"), Ok(None));
        for wrong in ["api.twilio.com HTTP/1.1", ":443 HTTP/1.1", "a:99999 HTTP/1.1", "a:1", ""] {
            assert!(target(&format!("CONNECT {wrong}\r\n\r\n")).is_err(), "{wrong}");
        }
    }
}
