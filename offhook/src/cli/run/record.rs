//! What a run saw, and what is said of it at the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use door::{Seen, TlsFault, Watch};
use intercept::Mode;
use intercept::environment::file;

/// Of each kind, remembered by name; beyond, only counted.
const KEPT: usize = 32;

#[derive(Default)]
pub struct Record(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    /// Requests by host: all, and those with an error status.
    answered: BTreeMap<String, (u64, u64)>,
    passed: BTreeMap<String, u64>,
    refused: BTreeMap<String, String>,
    /// Host and program, and why.
    tls: BTreeMap<(String, String), TlsFault>,
    connections: u64,
}

fn note<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    if map.len() < KEPT || map.contains_key(&key) {
        map.insert(key, value);
    }
}

impl Watch for Record {
    fn saw(&self, seen: Seen<'_>) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen {
            Seen::Opened => notes.connections += 1,
            Seen::Closed => {}
            Seen::Answered { host, status } => {
                let (all, failed) = notes.answered.get(host).copied().unwrap_or_default();
                let failed = failed + u64::from(status >= 400);
                note(&mut notes.answered, host.to_owned(), (all + 1, failed));
            }
            Seen::Passed { host, port } => {
                let key = format!("{host}:{port}");
                let count = notes.passed.get(&key).copied().unwrap_or_default();
                note(&mut notes.passed, key, count + 1);
            }
            Seen::Refused { host, port, why } => {
                note(&mut notes.refused, format!("{host}:{port}"), why.to_owned());
            }
            Seen::TlsFailed { client, fault } => {
                let host = client.host.clone().unwrap_or_else(|| "an unnamed host".to_owned());
                let program = client.user_agent.clone().unwrap_or_default();
                note(&mut notes.tls, (host, program), fault.clone());
            }
        }
    }
}

impl Record {
    /// A program that refuses our certificate often ends right after it said so: its word may
    /// still be on the way.
    pub async fn settle(&self) {
        let nothing = {
            let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            notes.answered.is_empty() && notes.connections > 0
        };
        if nothing {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// One line of what was intercepted, and a line for each thing that went wrong.
    pub fn report(&self, mode: Mode, files: &str) -> Vec<String> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = vec![notes.summary(mode)];
        for ((host, program), fault) in &notes.tls {
            lines.push(tls_line(host, program, fault, files));
        }
        lines.extend(notes.refused.iter().map(|(place, why)| format!("{place}: {why}")));
        if notes.answered.is_empty() && lines.len() == 1 {
            lines.push(notes.nothing(mode));
        }
        lines
    }
}

impl Notes {
    fn summary(&self, mode: Mode) -> String {
        let all: u64 = self.answered.values().map(|(all, _)| all).sum();
        let failed: u64 = self.answered.values().map(|(_, failed)| failed).sum();
        if all == 0 {
            return format!("nothing was intercepted ({} mode)", name(mode));
        }
        let hosts: Vec<_> =
            self.answered.iter().map(|(host, (all, _))| format!("{host} {all}")).collect();
        let errors = match failed {
            0 => String::new(),
            _ => format!("; {failed} answered with an error"),
        };
        let requests = if all == 1 { "request" } else { "requests" };
        format!("intercepted {all} {requests}: {}{errors}", hosts.join(", "))
    }

    fn nothing(&self, mode: Mode) -> String {
        let passed: Vec<_> = self.passed.keys().take(5).map(String::as_str).collect();
        match mode {
            _ if !passed.is_empty() => {
                format!("the program reached other hosts only: {}", passed.join(", "))
            }
            Mode::Syscall => "the program asked for none of the intercepted hosts".to_owned(),
            Mode::Portable | Mode::Env => {
                "no connection came to the proxy: the program opened none, or heeds no proxy \
                 variable; --mode syscall (Linux) needs none"
                    .to_owned()
            }
        }
    }
}

fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Syscall => "syscall",
        Mode::Portable => "portable",
        Mode::Env => "env",
    }
}

/// How each kind of program learns of certificates: how its name begins, and what it reads.
const TRUST: [(&[&str], &str); 9] = [
    (&["python", "twilio-python", "gunicorn", "uvicorn"], "REQUESTS_CA_BUNDLE or SSL_CERT_FILE"),
    (&["node", "axios", "twilio-node", "npm"], "NODE_EXTRA_CA_CERTS"),
    (&["java", "apache-httpclient", "twilio-java"], "javax.net.ssl.trustStore (JAVA_TOOL_OPTIONS)"),
    (&["ruby", "faraday", "puma", "twilio-ruby"], "SSL_CERT_FILE"),
    (&["php", "apache2", "twilio-php"], "curl.cainfo and openssl.cafile (PHP_INI_SCAN_DIR)"),
    (&["curl"], "CURL_CA_BUNDLE"),
    (&["deno"], "DENO_CERT"),
    (&["bun"], "NODE_EXTRA_CA_CERTS"),
    (&["dotnet", "go", "twilio-go"], "SSL_CERT_FILE"),
];

fn tls_line(host: &str, program: &str, fault: &TlsFault, files: &str) -> String {
    let lower = program.to_ascii_lowercase();
    let reads = TRUST
        .iter()
        .find(|(names, _)| names.iter().any(|name| lower.starts_with(name)))
        .map_or("SSL_CERT_FILE on most systems", |(_, reads)| reads);
    let who = if program.is_empty() { "the program" } else { program };
    match fault {
        TlsFault::Untrusted(alert) => format!(
            "{host}: {who} does not trust the certificate ({alert}). It was told by {reads}: if it \
             pins certificates or has a trust store of its own, give it {files}/{}",
            file::EXTRA
        ),
        TlsFault::BrokenOff => format!(
            "{host}: {who} broke off at the certificate without a word, as programs do that pin \
             certificates or do not read {reads}"
        ),
        TlsFault::ForeignName => {
            format!("{host}: {who} sent TLS for a host that is not intercepted to the door")
        }
        TlsFault::Other(why) => format!("{host}: TLS with {who} failed: {why}"),
    }
}
