//! What a run saw, and what is said of it at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use door::{Seen, TlsFault, Watch};
use intercept::Mode;
use intercept::environment::file;
use supervisor::{Facts, Refused, Supervised};

/// Of each kind, remembered by name; beyond, only counted.
const KEPT: usize = 32;

#[derive(Default)]
pub struct Record {
    notes: Mutex<Notes>,
    /// In syscall mode: who knows which program a connection is of.
    supervised: OnceLock<Arc<Supervised>>,
}

#[derive(Default)]
struct Notes {
    /// Requests by host.
    answered: BTreeMap<String, u64>,
    /// All requests, and those with an error status: also of hosts beyond those kept.
    requests: u64,
    failed: u64,
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
        let mut notes = self.notes();
        match seen {
            Seen::Opened => notes.connections += 1,
            Seen::Closed => {}
            Seen::Answered { host, status } => {
                notes.requests += 1;
                notes.failed += u64::from(status >= 400);
                let count = notes.answered.get(host).copied().unwrap_or_default();
                note(&mut notes.answered, host.to_owned(), count + 1);
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
                drop(notes);
                let caller = self.supervised.get().and_then(|all| all.behind(client.peer.port()));
                let (program, host) = caller.map(|caller| (caller.program, caller.host)).unzip();
                let host = client.host.clone().or(host);
                let host = host.unwrap_or_else(|| "an unnamed host".to_owned());
                let program = program.or_else(|| client.user_agent.clone()).unwrap_or_default();
                note(&mut self.notes().tls, (host, program), fault.clone());
            }
        }
    }
}

impl Record {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the programs behind connections are known.
    pub fn observe(&self, supervised: Arc<Supervised>) {
        // A run has one program.
        let _ = self.supervised.set(supervised);
    }

    /// A program that refuses our certificate often ends right after it said so: its word may
    /// still be on the way.
    pub async fn settle(&self) {
        let nothing = {
            let notes = self.notes();
            notes.answered.is_empty() && notes.connections > 0
        };
        if nothing {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// One line of what was intercepted, and a line for each thing that went wrong.
    pub fn report(&self, mode: Mode, facts: Option<&Facts>, files: &str) -> Vec<String> {
        let notes = self.notes();
        let mail = facts.and_then(mail_line);
        let is_mail_alone = notes.requests == 0 && mail.is_some();
        let mut lines = if is_mail_alone { Vec::new() } else { vec![notes.summary(mode)] };
        lines.extend(mail);
        for ((host, program), fault) in &notes.tls {
            lines.push(tls_line(host, program, fault, files));
        }
        lines.extend(notes.refused.iter().map(|(place, why)| format!("{place}: {why}")));
        lines.extend(facts.into_iter().flat_map(past_us));
        if notes.answered.is_empty() && lines.len() == 1 && !is_mail_alone {
            lines.push(notes.nothing(facts));
        }
        lines
    }
}

impl Notes {
    fn summary(&self, mode: Mode) -> String {
        let Self { requests: all, failed, .. } = *self;
        if all == 0 {
            return format!("nothing was intercepted ({} mode)", name(mode));
        }
        let hosts: Vec<_> =
            self.answered.iter().map(|(host, count)| format!("{host} {count}")).collect();
        let errors = match failed {
            0 => String::new(),
            _ => format!("; {failed} answered with an error"),
        };
        let requests = if all == 1 { "request" } else { "requests" };
        format!("intercepted {all} {requests}: {}{errors}", hosts.join(", "))
    }

    /// Why nothing was: as far as it was seen.
    fn nothing(&self, facts: Option<&Facts>) -> String {
        let passed = self.passed.keys().cloned();
        let names = facts.map(|facts| facts.foreign_names.entries.clone()).unwrap_or_default();
        let others: Vec<_> = passed.chain(names).take(5).collect();
        match (others.as_slice(), facts) {
            ([_, ..], _) => {
                format!("the program reached for other hosts only: {}", others.join(", "))
            }
            ([], None) => "no connection came to the proxy: the program opened none, or heeds no \
                           proxy variable; --mode syscall (Linux) needs none"
                .to_owned(),
            ([], Some(facts)) if facts.connects == 0 => {
                "the program opened no connection".to_owned()
            }
            ([], Some(facts)) if !facts.foreign_tls.entries.is_empty() => {
                let foreign = &facts.foreign_tls.entries[0];
                format!(
                    "{} connected to {}:443 without asking for its name: it has the address from \
                     its configuration, a cache or DNS over HTTPS",
                    foreign.program, foreign.address
                )
            }
            ([], Some(facts)) => format!(
                "the program asked for none of the intercepted hosts in {} connections",
                facts.connects
            ),
        }
    }
}

/// What was led to the listener for mail.
fn mail_line(facts: &Facts) -> Option<String> {
    let all: u64 = facts.mail.values().sum();
    let hosts: Vec<_> = facts.mail.iter().map(|(host, count)| format!("{host} {count}")).collect();
    let connections = if all == 1 { "connection" } else { "connections" };
    (all > 0).then(|| format!("led {all} {connections} for mail: {}", hosts.join(", ")))
}

/// What a supervisor saw go wrong or go past.
fn past_us(facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    for refused in &facts.refused.entries {
        let Refused { host, port, program } = refused;
        lines.push(match intercept::is_intercepted(host) {
            true => format!(
                "{host}:{port}: refused ({program}): nothing is served for that host on this port"
            ),
            false => format!(
                "{host}:{port}: refused ({program}): it is public, and this run is --offline"
            ),
        });
    }
    for program in &facts.own_resolver.entries {
        lines.push(format!(
            "{program} asks name servers by itself, as static musl programs do: its calls go past \
             this mode; use --mode portable"
        ));
    }
    // io_uring is told only where something may have gone past by it.
    if facts.redirected == 0 {
        lines.extend(facts.io_uring.entries.iter().map(|program| {
            format!(
                "{program} uses io_uring, through which connections go unseen; use --mode portable"
            )
        }));
    }
    lines.extend(facts.unreadable.entries.iter().map(|program| {
        format!("{program} may not be looked into (set-uid or protected): its calls went past")
    }));
    lines
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(record: &Record, host: &str, status: u16) {
        record.saw(Seen::Answered { host, status });
    }

    #[test]
    fn one_line_says_what_was_intercepted() {
        let record = Record::default();
        answered(&record, "api.twilio.com", 201);
        assert_eq!(
            record.report(Mode::Portable, None, "/f"),
            ["intercepted 1 request: api.twilio.com 1"]
        );
        answered(&record, "verify.twilio.com", 404);
        answered(&record, "api.twilio.com", 200);
        assert_eq!(
            record.report(Mode::Portable, None, "/f"),
            [
                "intercepted 3 requests: api.twilio.com 2, verify.twilio.com 1; 1 answered with an error"
            ]
        );
    }

    #[test]
    fn silence_is_explained() {
        let record = Record::default();
        let last = |facts: Option<&Facts>| record.report(Mode::Syscall, facts, "/f").pop().unwrap();
        assert!(last(None).contains("no connection came to the proxy"));
        let mut facts = Facts::default();
        assert_eq!(last(Some(&facts)), "the program opened no connection");
        facts.connects = 2;
        assert!(last(Some(&facts)).contains("none of the intercepted hosts in 2 connections"));
        facts.foreign_names.entries.push("example.org".into());
        assert!(last(Some(&facts)).ends_with("other hosts only: example.org"));
        facts.own_resolver.entries.push("app".into());
        assert!(last(Some(&facts)).contains("app asks name servers by itself"));
        facts.refused.entries.push(Refused {
            host: "smtp.sendgrid.net".into(),
            port: 587,
            program: "app".into(),
        });
        let lines = record.report(Mode::Syscall, Some(&facts), "/f").join("\n");
        assert!(lines.contains("smtp.sendgrid.net:587: refused (app)"), "{lines}");
    }

    #[test]
    fn a_program_that_trusts_others_is_told_what_it_reads() {
        let fault = TlsFault::Untrusted("UnknownCA".into());
        let line = |program| tls_line("api.twilio.com", program, &fault, "/f");
        assert!(line("python3.11").contains("REQUESTS_CA_BUNDLE or SSL_CERT_FILE"));
        assert!(
            line("node").contains("NODE_EXTRA_CA_CERTS") && line("node").contains("/f/extra.pem")
        );
        assert!(line("myapp").contains("SSL_CERT_FILE on most systems"));
    }

    #[test]
    fn a_program_cannot_make_it_grow() {
        let record = Record::default();
        for number in 0..1000 {
            answered(&record, &format!("{number}.twilio.com"), 200);
        }
        assert_eq!(record.notes().answered.len(), KEPT);
        assert!(record.report(Mode::Env, None, "/f")[0].starts_with("intercepted 1000 requests"));
    }
}
