//! The one server of a matrix run, and what is asked of it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run;

/// A running server; stopped when dropped.
pub struct Server {
    child: Child,
    pub url: String,
    /// The main account.
    pub login: Login,
}

/// An account and its number.
#[derive(Clone)]
pub struct Login {
    pub sid: String,
    pub token: String,
    pub number: String,
}

impl Server {
    /// Starts `offhook up` on a free loopback port, its data and state below `folder`.
    pub fn start(offhook: &Path, folder: &Path, log: &Path) -> Result<Self, String> {
        let port = free_port()?;
        let file = std::fs::File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = file.map_err(|error| format!("{}: {error}", log.display()))?;
        let child = Command::new(offhook)
            .args(["up", "--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(folder.join("data"))
            .env("OFFHOOK_STATE", folder.join("state"))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|error| format!("{}: {error}", offhook.display()))?;
        let url = format!("http://127.0.0.1:{port}");
        let login = Login { sid: String::new(), token: String::new(), number: String::new() };
        let mut server = Self { child, url, login };
        wait_for(Duration::from_secs(20), || server.get("/healthz").ok().map(drop))
            .ok_or_else(|| format!("the server did not come up, see {}", log.display()))?;
        let env = server.get("/_offhook/v1/env")?;
        let text = |name: &str| env[name].as_str().unwrap_or_default().to_owned();
        server.login = Login {
            sid: text("account_sid"),
            token: text("auth_token"),
            number: text("phone_number"),
        };
        Ok(server)
    }

    /// What our own API answers to a GET.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        json(&http(&[&format!("{}{path}", self.url)])?)
    }

    /// Posts JSON to our own API.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        json(&http(&["--json", &body.to_string(), &format!("{}{path}", self.url)])?)
    }

    /// Asks the REST API of an account: `path` stands below the account; with a
    /// form it is a POST.
    pub fn rest(&self, login: &Login, path: &str, form: &[&str]) -> Result<Value, String> {
        let user = format!("{}:{}", login.sid, login.token);
        let address = format!("{}/2010-04-01/Accounts/{}/{path}", self.url, login.sid);
        let mut args = vec!["-u", &user, &address];
        for field in form {
            args.extend(["--data-urlencode", field]);
        }
        json(&http(&args)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The answer to a request: its status and body.
pub fn http(args: &[&str]) -> Result<(u16, String), String> {
    let fixed = ["-sS", "--noproxy", "*", "--max-time", "20", "-w", "\n%{http_code}"];
    let text = run::output("curl", &[&fixed[..], args].concat())
        .ok_or_else(|| format!("no answer from {}", args.last().unwrap_or(&"")))?;
    let (body, status) = text.rsplit_once('\n').unwrap_or_default();
    Ok((status.parse().unwrap_or(0), body.to_owned()))
}

fn json((status, body): &(u16, String)) -> Result<Value, String> {
    match status {
        200..=299 => Ok(serde_json::from_str(body).unwrap_or(Value::Null)),
        _ => Err(format!("{status} {body}")),
    }
}

/// A port that nobody listens on.
pub fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(listener.map_err(|error| format!("no free port: {error}"))?.port())
}

/// Asks until there is something, or the time is over.
pub fn wait_for<T>(bound: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = ask() {
            return Some(found);
        }
        if started.elapsed() > bound {
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
