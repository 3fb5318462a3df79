//! Talking to a running instance.

use std::path::Path;

use base64::Engine;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::Failure;
use crate::server::Env;

/// File in the data directory that holds the URL of the instance running on it.
pub const URL_FILE: &str = "url";

/// One instance.
pub struct Client {
    /// `127.0.0.1:4010`.
    authority: String,
    /// Base64 of SID and token, for an instance that is not on loopback.
    basic: Option<String>,
}

impl Client {
    /// The instance at `url`, or the one whose state is in `data`.
    pub fn find(url: Option<&str>, data: &Path) -> Result<Self, Failure> {
        let url = match url {
            Some(url) => url.to_owned(),
            None => match std::fs::read_to_string(data.join(URL_FILE)) {
                Ok(url) => url.trim().to_owned(),
                Err(_) => {
                    let why = format!(
                        "no instance runs on {}; start one with `offhook up`, or name one with --url",
                        data.display()
                    );
                    return Err(Failure(why));
                }
            },
        };
        let parsed = url::Url::parse(&url)
            .map_err(|error| Failure(format!("the URL {url} is not valid: {error}")))?;
        if parsed.scheme() != "http" {
            return Err(Failure(format!("{url}: only http:// is supported")));
        }
        let host = parsed.host_str().unwrap_or("127.0.0.1");
        let authority = format!("{host}:{}", parsed.port().unwrap_or(80));
        let basic = (!parsed.username().is_empty())
            .then(|| basic(parsed.username(), parsed.password().unwrap_or_default()));
        Ok(Self { authority, basic })
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// A request to our own API.
    pub async fn own(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = self.request(method, &format!("/_offhook/v1{path}"), self.basic.as_deref());
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(body))?;
        read_json(self.send(request).await?).await
    }

    /// A request to the REST API as the main account; `path` begins behind the account.
    pub async fn rest(
        &self,
        method: Method,
        path: &str,
        form: &[(&str, String)],
    ) -> Result<Value, Failure> {
        let env = self.env().await?;
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(form);
        let encoded = encoded.finish();
        let mut path = format!("/2010-04-01/Accounts/{}{path}", env.account_sid);
        let mut body = Bytes::new();
        if method == Method::GET && !encoded.is_empty() {
            path = format!("{path}?{encoded}");
        } else {
            body = Bytes::from(encoded);
        }
        let login = basic(&env.account_sid, &env.auth_token);
        let request = self.request(method, &path, Some(&login));
        let request = request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(body))?;
        read_json(self.send(request).await?).await
    }

    pub async fn env(&self) -> Result<Env, Failure> {
        Ok(serde_json::from_value(self.own(Method::GET, "/env", None).await?)?)
    }

    /// Status and JSON of a page beside our API, whatever the status.
    pub async fn page(&self, path: &str) -> Result<(http::StatusCode, Value), Failure> {
        let request = self.request(Method::GET, path, self.basic.as_deref());
        let response = self.send(request.body(Full::new(Bytes::new()))?).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    /// A response whose body goes on and on.
    pub async fn stream(&self, path: &str) -> Result<http::Response<Incoming>, Failure> {
        let path = format!("/_offhook/v1{path}");
        let request = self.request(Method::GET, &path, self.basic.as_deref());
        let response = self.send(request.body(Full::new(Bytes::new()))?).await?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    fn request(&self, method: Method, path: &str, basic: Option<&str>) -> http::request::Builder {
        let builder = Request::builder().method(method).uri(path).header(HOST, &self.authority);
        match basic {
            Some(basic) => builder.header(AUTHORIZATION, format!("Basic {basic}")),
            None => builder,
        }
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<http::Response<Incoming>, Failure> {
        let stream = TcpStream::connect(&self.authority).await.map_err(|error| {
            Failure(format!("nothing answers at http://{}: {error}; is it up?", self.authority))
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }
}

fn basic(user: &str, password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
}

async fn read_json(response: http::Response<Incoming>) -> Result<Value, Failure> {
    if !response.status().is_success() {
        return Err(refusal(response).await);
    }
    let bytes = response.into_body().collect().await?.to_bytes();
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    Ok(serde_json::from_slice(&bytes)?)
}

/// The error body in one line.
async fn refusal(response: http::Response<Incoming>) -> Failure {
    let status = response.status();
    let bytes = response.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(json) if json["message"].is_string() => {
            Failure(format!("{} (code {})", json["message"].as_str().unwrap_or(""), json["code"]))
        }
        _ => Failure(format!("the instance answered {status}")),
    }
}
