//! Telephones that register, and where they are (RFC 3261 §10). Bindings are kept durably.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contracts::{CarrierNotes, NotesError, SipPlaceKind, SipPurpose, Unavailable};
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};
use sip::check::Fault;
use sip::message::{Request, Response};
use sip::transaction::{Flow, Id, Transport};
use sip::{NameAddr, Uri};

use crate::Sip;
use crate::admission::{self, Entry};
use crate::agent::{Agent, token};
use crate::input::Input;
use crate::outbound::Target;
use crate::wires::is_socket;

/// Seconds that a binding lasts at least and at most.
const EXPIRES: (u64, u64) = (600, 3600);
const BINDINGS_MAX: usize = 10;
/// Registrations per second of one telephone, and telephones that are counted.
const PER_SECOND: u32 = 5;
const COUNTED_MAX: usize = 20_000;

/// One place where a telephone is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Binding {
    pub contact: String,
    pub call_id: String,
    pub cseq: u32,
    pub transport: String,
    /// Where it registered from: its own idea of its address may be one behind a NAT.
    pub address: String,
    pub expires: Timestamp,
    /// The node that it spoke to, as a home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

impl Binding {
    pub(crate) fn target(&self, secure: bool) -> Option<Target> {
        let transport = match self.transport.as_str() {
            "UDP" => Transport::Udp,
            "TCP" => Transport::Tcp,
            "TLS" => Transport::Tls,
            "WS" => Transport::Ws,
            "WSS" => Transport::Wss,
            _ => return None,
        };
        let flow = Flow { transport, remote: self.address.parse().ok()?, connection: 0 };
        let uri = Uri::parse(&self.contact).ok()?;
        let web = is_socket(transport);
        Some(Target { uri: uri.to_string(), flow, credentials: None, secure, web, tls_name: None })
    }
}

/// Changes that a registration asks for: of each contact, its seconds; `None`: of all, none.
type Changes = Vec<(Uri, u64)>;

/// What a REGISTER wants.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    /// To know what there is.
    Ask,
    ForgetAll,
    Change(Changes),
}

fn wish(request: &Request) -> Result<Wish, Fault> {
    let bad = || Fault::new(400, "Malformed Contact");
    let headers = &request.headers;
    let common = headers.get("Expires").and_then(|text| text.parse::<u64>().ok());
    let contacts: Vec<&str> = headers.list("Contact").collect();
    if contacts.is_empty() {
        return Ok(Wish::Ask);
    }
    if contacts.contains(&"*") {
        return if contacts.len() == 1 && common == Some(0) {
            Ok(Wish::ForgetAll)
        } else {
            Err(bad())
        };
    }
    let change = |text: &&str| {
        let contact = NameAddr::parse(text).map_err(|_| bad())?;
        let own = contact.param("expires").and_then(|text| text.parse::<u64>().ok());
        let seconds = match own.or(common).unwrap_or(EXPIRES.1) {
            0 => 0,
            asked => asked.clamp(EXPIRES.0, EXPIRES.1),
        };
        Ok((contact.uri().map_err(|_| bad())?, seconds))
    };
    contacts.iter().map(change).collect::<Result<_, _>>().map(Wish::Change)
}

/// What a registration makes of bindings (RFC 3261 §10.3); `Err` when it may not.
fn apply(
    mut bindings: Vec<Binding>,
    wish: &Wish,
    request: &Request,
    (flow, home): (Flow, Option<&str>),
    now: Timestamp,
) -> Result<Vec<Binding>, Fault> {
    bindings.retain(|binding| binding.expires > now);
    let (call_id, cseq) =
        (request.headers.call_id(), request.headers.cseq().map_or(0, |(number, _)| number));
    let old = |binding: &Binding| binding.call_id == call_id && binding.cseq >= cseq;
    match wish {
        Wish::Ask => {}
        Wish::ForgetAll => bindings.clear(),
        Wish::Change(changes) => {
            for (uri, seconds) in changes {
                let contact = uri.to_string();
                let known = bindings.iter().position(|binding| binding.contact == contact);
                if known.is_some_and(|at| old(&bindings[at])) {
                    return Err(Fault::new(500, "Out Of Order"));
                }
                if let Some(at) = known {
                    bindings.remove(at);
                }
                if *seconds == 0 {
                    continue;
                }
                bindings.push(Binding {
                    contact,
                    call_id: call_id.to_owned(),
                    cseq,
                    transport: flow.transport.as_str().to_owned(),
                    address: flow.remote.to_string(),
                    expires: now + Duration::from_secs(*seconds),
                    home: home.map(str::to_owned),
                });
            }
        }
    }
    if bindings.len() > BINDINGS_MAX {
        let error = "32007 Too many bindings for the address of record".to_owned();
        return Err(Fault { code: 403, reason: "", header: Some(("X-Twilio-Error", error)) });
    }
    Ok(bindings)
}

/// Bindings, and how often telephones register.
pub(crate) struct Registrar {
    notes: Arc<dyn CarrierNotes>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    home: Option<String>,
    /// Registrations of a second.
    counts: Mutex<(u64, HashMap<String, u32>)>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

fn key(domain: Sid, user: &str) -> String {
    format!("bind/{domain}/{user}")
}

impl Registrar {
    pub(crate) fn new(
        notes: Arc<dyn CarrierNotes>,
        now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        home: Option<String>,
    ) -> Self {
        Self { notes, now, home, counts: Mutex::default(), changing: tokio::sync::Mutex::default() }
    }

    async fn read(&self, domain: Sid, user: &str) -> Result<Vec<Binding>, NotesError> {
        let text = self.notes.get(&key(domain, user)).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Where a telephone is now.
    pub(crate) async fn bindings(
        &self,
        domain: Sid,
        user: &str,
    ) -> Result<Vec<Binding>, Unavailable> {
        let all = self.read(domain, user).await.map_err(|error| Unavailable(error.0))?;
        let now = (self.now)();
        Ok(all.into_iter().filter(|binding| binding.expires > now).collect())
    }

    /// Whether a telephone registers too often.
    fn is_too_often(&self, who: String, now: Duration) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(|poison| poison.into_inner());
        if counts.0 != now.as_secs() || counts.1.len() >= COUNTED_MAX {
            *counts = (now.as_secs(), HashMap::new());
        }
        let count = counts.1.entry(who).or_default();
        *count += 1;
        *count > PER_SECOND
    }

    async fn change(
        &self,
        domain: Sid,
        user: &str,
        request: &Request,
        flow: Flow,
    ) -> Result<Vec<Binding>, Fault> {
        let broken = |error: NotesError| {
            tracing::warn!(%error, "a registration cannot be kept");
            Fault { code: 503, reason: "", header: Some(("Retry-After", "5".to_owned())) }
        };
        let wish = wish(request)?;
        let _guard = self.changing.lock().await;
        let key = key(domain, user);
        // Nor on another node.
        let _turn = self.notes.turn(&key).await.map_err(broken)?;
        let old = self.read(domain, user).await.map_err(broken)?;
        let new = apply(old.clone(), &wish, request, (flow, self.home.as_deref()), (self.now)())?;
        let done = match () {
            () if new == old => Ok(()),
            () if new.is_empty() => self.notes.delete(&key).await,
            () => {
                let text = serde_json::to_string(&new).expect("bindings are plain data");
                self.notes.put(&key, text).await
            }
        };
        done.map_err(broken)?;
        Ok(new)
    }
}

impl Agent {
    pub(crate) async fn on_register(&mut self, id: Id, flow: Flow, request: Request) {
        let sip = self.sip.clone();
        tokio::spawn(async move {
            let response = match register(&sip, &request, flow).await {
                Ok(response) => response,
                Err(fault) => fault.response(&request, &token()),
            };
            // Without an agent nobody is answered.
            let _ = sip.inputs.send(Input::Respond { id, response: Box::new(response) }).await;
        });
    }
}

async fn register(sip: &Sip, request: &Request, flow: Flow) -> Result<Response, Fault> {
    let denied = |code: u32, why: &str| Fault {
        code: 403,
        reason: "",
        header: Some(("X-Twilio-Error", format!("{code} {why}"))),
    };
    let to = NameAddr::parse(request.headers.get("To").unwrap_or_default());
    let uri = to.ok().and_then(|to| to.uri().ok());
    let uri = uri.ok_or_else(|| Fault::new(404, "Unknown Address Of Record"))?;
    let host = Uri::parse(&request.uri).map_or_else(|_| uri.host.clone(), |uri| uri.host);
    let place = sip.ports().directory.place(&host).await;
    let place = place.map_err(|_| Fault::new(503, ""))?;
    let place = place.filter(|place| place.kind == SipPlaceKind::Domain);
    let place = place.ok_or_else(|| denied(32002, "SIP domain not found"))?;
    let user = uri.name().ok_or_else(|| Fault::new(404, "Unknown Address Of Record"))?;
    if sip.registrar.is_too_often(format!("{user}@{}", place.host), sip.elapsed()) {
        let error = "32008 Registration per second limit reached".to_owned();
        return Err(Fault { code: 503, reason: "", header: Some(("X-Twilio-Error", error)) });
    }
    match admission::enter(sip, &place, SipPurpose::Registration, request, flow).await {
        Entry::Refused(fault) => return Err(fault),
        Entry::Challenged(values) => {
            let mut response = request.response(401, "", Some(&token()));
            values.iter().for_each(|v| response.headers.add("WWW-Authenticate", v.as_str()));
            return Ok(response);
        }
        // A name of its own only: a password for one telephone is none for another.
        Entry::Known(name) if name != user => {
            return Err(denied(32212, "Registration is of another user"));
        }
        Entry::Open | Entry::Known(_) => {}
    }
    let bindings = sip.registrar.change(place.sid, &user, request, flow).await?;
    let mut response = request.response(200, "", Some(&token()));
    let now = sip.now();
    for binding in bindings {
        let seconds = binding.expires.since(now).as_secs();
        response.headers.add("Contact", format!("<{}>;expires={seconds}", binding.contact));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use sip::Method;

    use super::*;

    fn register(contacts: &[&str], expires: Option<&str>, cseq: u32) -> Request {
        let mut request = Request::new(Method::Register, "sip:d");
        request.headers.add("Call-ID", "c");
        request.headers.add("CSeq", format!("{cseq} REGISTER"));
        contacts.iter().for_each(|contact| request.headers.add("Contact", *contact));
        expires.into_iter().for_each(|seconds| request.headers.add("Expires", seconds));
        request
    }

    fn flow() -> Flow {
        let remote = "192.0.2.1:5062".parse().unwrap();
        Flow { transport: Transport::Udp, remote, connection: 0 }
    }

    const NOW: Timestamp = Timestamp::from_seconds(1000);

    fn after(bindings: Vec<Binding>, request: &Request) -> Result<Vec<Binding>, u16> {
        let wish = wish(request).map_err(|fault| fault.code)?;
        apply(bindings, &wish, request, (flow(), Some("node/1")), NOW).map_err(|fault| fault.code)
    }

    #[test]
    fn expiry_is_brought_into_bounds() {
        for (contact, expires, seconds) in [
            ("<sip:a@h>;expires=60", None, 600),
            ("<sip:a@h>", Some("1200"), 1200),
            ("<sip:a@h>;expires=86400", Some("60"), 3600),
            ("<sip:a@h>", None, 3600),
        ] {
            let bound = after(Vec::new(), &register(&[contact], expires, 1)).unwrap();
            assert_eq!(bound[0].expires, NOW + Duration::from_secs(seconds), "{contact}");
            assert_eq!(bound[0].target(false).unwrap().flow, flow());
            assert_eq!(bound[0].home.as_deref(), Some("node/1"));
        }
    }

    #[test]
    fn bindings_come_and_go() {
        let one = after(Vec::new(), &register(&["<sip:a@h>"], None, 1)).unwrap();
        let two = after(one.clone(), &register(&["<sip:a@i>"], None, 2)).unwrap();
        assert_eq!(two.len(), 2);
        assert_eq!(after(two.clone(), &register(&[], None, 3)).unwrap(), two);
        assert_eq!(
            after(two.clone(), &register(&["<sip:a@h>;expires=0"], None, 4)).unwrap().len(),
            1
        );
        assert_eq!(after(two.clone(), &register(&["<sip:a@h>"], None, 1)), Err(500), "an old one");
        assert_eq!(after(two.clone(), &register(&["*"], Some("0"), 5)).unwrap(), []);
        assert_eq!(after(two.clone(), &register(&["*"], None, 5)), Err(400));
        let many: Vec<String> = (0..11).map(|at| format!("<sip:a@h{at}>")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(after(Vec::new(), &register(&many, None, 1)), Err(403));
        assert_eq!(after(Vec::new(), &register(&many[..10], None, 1)).unwrap().len(), 10);
    }
}
