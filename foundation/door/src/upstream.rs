//! The proxy that was configured before us: foreign traffic still goes through it.

use std::io;
use std::net::IpAddr;

use base64::Engine;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use url::Url;

use crate::connect::HEAD_MAX;
use crate::stream::Stream;

/// An HTTP proxy, and the hosts that are reached without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    host: String,
    port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<String>,
    bypass: Vec<String>,
}

/// The proxy variable cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError(pub String);

impl std::fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UpstreamError {}

impl Upstream {
    /// From the values of `HTTPS_PROXY` (or the like) and `NO_PROXY`. The scheme may be left
    /// out; only `http` proxies can be chained.
    pub fn parse(proxy: &str, no_proxy: &str) -> Result<Self, UpstreamError> {
        let wrong = |why: &str| UpstreamError(format!("the proxy {} {why}", without_login(proxy)));
        let text = if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") };
        let url = Url::parse(&text).map_err(|_| wrong("is not a URL"))?;
        if url.scheme() != "http" {
            return Err(wrong("cannot be chained: only http:// proxies can"));
        }
        let host = url.host_str().ok_or_else(|| wrong("names no host"))?;
        let authorization = (!url.username().is_empty()).then(|| {
            let decode = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy();
            let login = format!(
                "{}:{}",
                decode(url.username()),
                decode(url.password().unwrap_or_default())
            );
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login))
        });
        let bypass = no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase());
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(80),
            authorization,
            bypass: bypass.filter(|entry| !entry.is_empty()).collect(),
        })
    }

    /// Whether `host` goes through this proxy. Loopback never does.
    pub fn carries(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let is_loopback = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        !is_loopback && !self.bypass.iter().any(|entry| bypasses(entry, &host))
    }

    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    pub(crate) async fn dial(&self) -> io::Result<TcpStream> {
        TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| {
            let Self { host, port, .. } = self;
            io::Error::new(
                error.kind(),
                format!("the proxy {host}:{port} cannot be reached: {error}"),
            )
        })
    }

    /// A tunnel through the proxy.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> io::Result<Stream> {
        let mut stream = Stream::new("", self.dial().await?);
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut head =
            format!("CONNECT {bracketed}:{port} HTTP/1.1\r\nHost: {bracketed}:{port}\r\n");
        if let Some(authorization) = &self.authorization {
            head.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await?;
        let failed =
            |why: String| io::Error::other(format!("the proxy {}:{} {why}", self.host, self.port));
        let answer = stream.until(b"\r\n\r\n", HEAD_MAX).await?;
        let answer = answer.ok_or_else(|| failed("gave no answer".into()))?;
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&answer).map(|_| response.code) {
            Ok(Some(200..=299)) => Ok(stream),
            Ok(Some(code)) => Err(failed(format!("answered {code}"))),
            _ => Err(failed("did not answer in HTTP".into())),
        }
    }
}

/// `NO_PROXY` entries: `*`, a domain with or without leading dot or `*.`, an address, each
/// with or without port.
fn bypasses(entry: &str, host: &str) -> bool {
    if entry == "*" || entry == host {
        return true;
    }
    let domain = entry.trim_start_matches('*').trim_start_matches('.');
    let domain = match domain.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() && !name.contains(':') => name,
        _ => domain,
    };
    !domain.is_empty()
        && (host == domain || host.strip_suffix(domain).is_some_and(|head| head.ends_with('.')))
}

fn without_login(proxy: &str) -> &str {
    proxy.rsplit_once('@').map_or(proxy, |(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_as_programs_read_them() {
        let proxy = Upstream::parse("http://me:p%40ss@proxy.corp:3128", "").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.corp", 3128));
        assert_eq!(proxy.authorization(), Some("Basic bWU6cEBzcw=="));
        assert_eq!(Upstream::parse("proxy:8080", "").unwrap().port, 8080);
        let wrong = Upstream::parse("socks5h://me:secret@proxy:1080", "").unwrap_err().0;
        assert!(wrong.contains("proxy:1080") && !wrong.contains("secret"), "{wrong}");
    }

    #[test]
    fn no_proxy_is_honoured() {
        let no_proxy = "corp.example, .dot.example,*.star.example,10.0.0.7,port.example:443";
        let proxy = Upstream::parse("proxy:1", no_proxy).unwrap();
        for direct in [
            "corp.example",
            "a.corp.example",
            "x.dot.example",
            "y.star.example",
            "10.0.0.7",
            "port.example",
            "localhost",
            "127.0.0.1",
            "::1",
        ] {
            assert!(!proxy.carries(direct), "{direct}");
        }
        for carried in ["example.org", "notcorp.example", "10.0.0.8"] {
            assert!(proxy.carries(carried), "{carried}");
        }
        assert!(!Upstream::parse("proxy:1", "*").unwrap().carries("example.org"));
    }
}
