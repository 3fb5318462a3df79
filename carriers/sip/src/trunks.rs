//! Registrations of ours at the trunks of the operator.

use std::time::Duration;

use sip::digest::Reply;
use sip::message::{Request, Response};
use sip::transaction::{Flow, Id};
use sip::{Method, NameAddr, Uri};

use crate::agent::{Agent, token};
use crate::config::Config;
use crate::input::{Asked, Input};
use crate::outbound::Target;
use crate::state::TrunkState;
use crate::targets::resolve_by_operator;

/// Seconds that are asked for, and until another try after a failure.
const ASKED: u64 = 600;
const RETRY: Duration = Duration::from_secs(30);

struct Registration {
    call_id: String,
    tag: String,
    number: u32,
    due: Duration,
    expires: u64,
    /// A challenge was answered and not yet judged.
    answering: bool,
    target: Option<Target>,
}

/// One for each trunk of the configuration that registers.
pub(crate) struct Registrations(Vec<Option<Registration>>);

impl Registrations {
    pub(crate) fn new(config: &Config) -> Self {
        let made = config.trunks.iter().map(|trunk| {
            trunk.register.then(|| Registration {
                call_id: format!("{}@offhook", token()),
                tag: token(),
                number: 0,
                due: Duration::ZERO,
                expires: ASKED,
                answering: false,
                target: None,
            })
        });
        Self(made.collect())
    }

    fn failed(&mut self, trunk: usize, now: Duration) {
        if let Some(Some(registration)) = self.0.get_mut(trunk) {
            registration.due = now + RETRY;
            registration.answering = false;
        }
    }
}

impl Agent {
    /// Registers, or registers again, where it is time: as soon as it is known where the trunk is.
    pub(crate) fn register_trunks(&mut self) {
        let now = self.now();
        for (trunk, registration) in self.registrations.0.iter_mut().enumerate() {
            let Some(registration) = registration.as_mut().filter(|r| r.due <= now) else {
                continue;
            };
            // Whatever becomes of this one, the next is not before.
            registration.due = now + RETRY;
            let sip = self.sip.clone();
            tokio::spawn(async move {
                let config = &sip.config.trunks[trunk];
                let host = config.hosts.first().map(String::as_str).unwrap_or_default();
                let Ok(mut uri) = Uri::parse(&format!("sip:{host}")) else { return };
                uri.secure |= config.secure;
                match resolve_by_operator(uri, None).await {
                    Ok(target) => {
                        let target = Box::new(target);
                        // Without an agent nobody registers.
                        let _ = sip.inputs.send(Input::Found { trunk, target }).await;
                    }
                    Err(miss) => {
                        sip.note_trunk(&config.name, TrunkState::Silent);
                        tracing::warn!(trunk = config.name, ?miss, "a SIP trunk is unknown");
                    }
                }
            });
        }
    }

    /// It said nothing.
    pub(crate) fn register_failed(&mut self, trunk: usize) {
        self.registrations.failed(trunk, self.sip.elapsed());
        if let Some(config) = self.sip.config.trunks.get(trunk) {
            self.sip.note_trunk(&config.name, TrunkState::Silent);
        }
    }

    pub(crate) async fn register_at(&mut self, trunk: usize, target: Target) {
        if let Some(host) = &target.tls_name {
            self.wires.name(target.flow.remote, host);
        }
        if let Some(registration) = &mut self.registrations.0[trunk] {
            registration.target = Some(target);
        }
        self.register_trunk(trunk, None).await;
    }

    async fn register_trunk(&mut self, trunk: usize, answer: Option<(&str, String)>) {
        let config = &self.sip.config.trunks[trunk];
        let (Some(host), Some(username)) = (config.hosts.first(), config.username.clone()) else {
            return;
        };
        let Ok(uri) = Uri::parse(&format!("sip:{host}")) else { return };
        let known = self.registrations.0[trunk].as_ref();
        let Some(target) = known.and_then(|registration| registration.target.clone()) else {
            return;
        };
        let contact = self.contact(target.flow, &username);
        let Some(registration) = &mut self.registrations.0[trunk] else { return };
        registration.number += 1;
        let plain = Uri::new(None, &uri.host, None);
        let own = Uri::new(Some(&username), &uri.host, None);
        let mut request = Request::new(Method::Register, plain.to_string());
        let from = NameAddr {
            display: None,
            address: own.to_string(),
            params: vec![("tag".to_owned(), Some(registration.tag.clone()))],
        };
        let headers = &mut request.headers;
        headers.add("Max-Forwards", "70");
        headers.add("From", from.to_string());
        headers.add("To", format!("<{own}>"));
        headers.add("Call-ID", registration.call_id.as_str());
        headers.add("CSeq", format!("{} REGISTER", registration.number));
        headers.add("Contact", contact);
        headers.add("Expires", registration.expires.to_string());
        if let Some((name, value)) = answer {
            headers.add(name, value);
        }
        self.send(target.flow, request, Asked::Register { trunk }).await;
    }

    pub(crate) async fn on_register_response(
        &mut self,
        trunk: usize,
        _: Id,
        _: Flow,
        response: &Response,
    ) {
        let now = self.now();
        let config = &self.sip.config.trunks[trunk];
        let (name, host) = (config.name.clone(), config.hosts.first().cloned().unwrap_or_default());
        let credentials =
            config.username.clone().zip(config.password.as_ref().map(|secret| secret.0.clone()));
        let Some(registration) = &mut self.registrations.0[trunk] else { return };
        match (response.code, credentials) {
            (200..300, _) => {
                let own = response.headers.list("Contact").filter_map(|c| NameAddr::parse(c).ok());
                let given = own.filter_map(|c| c.param("expires")?.parse::<u64>().ok()).max();
                let expires = response.headers.get("Expires").and_then(|text| text.parse().ok());
                let seconds = given.or(expires).unwrap_or(registration.expires).max(60);
                registration.answering = false;
                registration.due = now + Duration::from_secs(seconds) * 4 / 5;
                self.sip.note_registered(&name, seconds);
                tracing::info!(trunk = name, seconds, "registered at a SIP trunk");
            }
            (401 | 407, Some((username, password))) if !registration.answering => {
                registration.answering = true;
                let (asks, answers) = match response.code {
                    401 => ("WWW-Authenticate", "Authorization"),
                    _ => ("Proxy-Authenticate", "Proxy-Authorization"),
                };
                let host = Uri::parse(&format!("sip:{host}")).map_or(host, |uri| uri.host);
                let uri = Uri::new(None, &host, None).to_string();
                let cnonce = token();
                let reply = Reply {
                    username: &username,
                    password: &password,
                    method: "REGISTER",
                    uri: &uri,
                    body: b"",
                    cnonce: &cnonce,
                    count: 1,
                };
                if let Some(value) = reply.to_any(response.headers.all(asks)) {
                    self.register_trunk(trunk, Some((answers, value))).await;
                }
            }
            (423, _) => {
                let least = response.headers.get("Min-Expires").and_then(|text| text.parse().ok());
                registration.expires = least.unwrap_or(3600);
                registration.due = now;
            }
            (code, _) => {
                registration.answering = false;
                registration.due = now + RETRY;
                self.sip.note_trunk(&name, TrunkState::Refused(code));
                tracing::warn!(trunk = name, code, "a SIP trunk refuses the registration");
            }
        }
    }
}
