//! Whether a call or a registration is let in, and for whom (voice-api §13.3).

use std::sync::Arc;

use contracts::{CallDoor, InboundCall, SipPlace, SipPlaceKind, SipPurpose, Unavailable};
use kernel::Sid;
use sip::check::Fault;
use sip::digest::Claim;
use sip::message::Request;
use sip::transaction::Flow;
use sip::{NameAddr, Uri};

use crate::Sip;
use crate::wires::is_socket;

/// Characters of custom headers in all.
const CUSTOM_MAX: usize = 1024;

/// What becomes of an INVITE.
pub(crate) enum Admission {
    Refused(Fault),
    /// Whoever calls is to say a password: the values of the challenge.
    Challenged {
        status: u16,
        values: Vec<String>,
    },
    Taken {
        account: Sid,
        leg: Sid,
        door: Door,
        secure: bool,
    },
    /// It may take the place of a call by this door.
    Replaces {
        door: Door,
        secure: bool,
    },
}

/// By what a call came, or went: who passes it may take the call's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The host of a domain or trunk of an account, and its lists.
    Place(String),
    /// A trunk of the operator, by name, and its addresses.
    Trunk(String),
}

fn denied(code: u32, why: &str) -> Fault {
    Fault { code: 403, reason: "", header: Some(("X-Twilio-Error", format!("{code} {why}"))) }
}

fn unavailable(error: &Unavailable) -> Fault {
    tracing::warn!(%error, "a SIP request has to wait for another part");
    Fault { code: 503, reason: "", header: Some(("Retry-After", "5".to_owned())) }
}

/// Who is let in: nobody has to say a password, or the right one was said, or not.
pub(crate) enum Entry {
    Open,
    Known(String),
    Challenged(Vec<String>),
    Refused(Fault),
}

/// Checks the lists of a place: address and password, both where both are named.
pub(crate) async fn enter(
    sip: &Sip,
    place: &SipPlace,
    purpose: SipPurpose,
    request: &Request,
    flow: Flow,
) -> Entry {
    let access = match purpose {
        SipPurpose::Call => Some(&place.calls),
        SipPurpose::Registration => place.registrations.as_ref(),
    };
    let Some(access) = access else {
        return Entry::Refused(denied(32210, "Register not supported"));
    };
    if place.secure && !flow.transport.is_secure() {
        return Entry::Refused(denied(32209, "Secure transport required"));
    }
    if access.is_closed() {
        return Entry::Refused(denied(32200, "No access list is mapped"));
    }
    if !access.admits_address(flow.remote.ip()) {
        return Entry::Refused(denied(32201, "Source IP address not in ACL"));
    }
    if !access.needs_password {
        // A page of anybody's, in a browser at such an address, could connect.
        return match is_socket(flow.transport) {
            true => Entry::Refused(denied(32202, "A WebSocket needs a password")),
            false => Entry::Open,
        };
    }
    let headers = &request.headers;
    let now = sip.elapsed();
    let lock = || sip.challenger.lock().unwrap_or_else(|poison| poison.into_inner());
    let given = headers.all("Authorization").chain(headers.all("Proxy-Authorization"));
    let claim = lock().claim(given, now);
    let challenge = |stale| {
        let skipped = usize::from(!sip.config.digest_sha256);
        let all = lock().challenges(now, rand::random(), stale);
        Entry::Challenged(all.into_iter().skip(skipped).collect())
    };
    let claimed = match claim {
        Claim::Absent => return challenge(false),
        Claim::Stale => return challenge(true),
        Claim::Malformed => return Entry::Refused(Fault::new(400, "Malformed Credentials")),
        Claim::Made(claimed) => claimed,
    };
    let directory = &sip.ports().directory;
    let password = match directory.password(place, purpose, &claimed.username).await {
        Ok(password) => password,
        Err(error) => return Entry::Refused(unavailable(&error)),
    };
    // An unknown name takes as long as a wrong password.
    let (known, password) = (password.is_some(), password.unwrap_or_default());
    let method = request.method.as_str();
    let right = lock().verify(&claimed, &password, method, &request.body, now);
    match known && right {
        true => Entry::Known(claimed.username.clone()),
        false => Entry::Refused(denied(32202, "Bad user credentials")),
    }
}

/// Decides about an INVITE. With [`Admission::Taken`] Voice has the call.
pub(crate) async fn call(sip: Arc<Sip>, request: Request, flow: Flow) -> Admission {
    match try_call(&sip, &request, flow).await {
        Ok(admission) => admission,
        Err(error) => Admission::Refused(unavailable(&error)),
    }
}

/// Decides whether an INVITE may take the place of a call by this door: it has to pass it like that did.
pub(crate) async fn replace(sip: Arc<Sip>, door: Door, request: Request, flow: Flow) -> Admission {
    match try_replace(&sip, door, &request, flow).await {
        Ok(admission) => admission,
        Err(error) => Admission::Refused(unavailable(&error)),
    }
}

async fn try_replace(
    sip: &Sip,
    door: Door,
    request: &Request,
    flow: Flow,
) -> Result<Admission, Unavailable> {
    let refused = || Ok(Admission::Refused(denied(32201, "Source IP address not in ACL")));
    let (remote, directory) = (flow.remote.ip(), &sip.ports().directory);
    let host = match &door {
        Door::Trunk(name) if !is_socket(flow.transport) => {
            let trunk = sip.config.trunk_from(remote).filter(|trunk| trunk.name == *name);
            return match trunk {
                Some(trunk) if !trunk.secure || flow.transport.is_secure() => {
                    let secure = trunk.secure;
                    Ok(Admission::Replaces { door, secure })
                }
                _ => refused(),
            };
        }
        Door::Trunk(_) => return refused(),
        Door::Place(host) => host,
    };
    // A carrier that a customer brought is known by its address, like its calls.
    let mapped = directory.place_of_address(remote).await?.filter(|place| place.host == *host);
    let place = match mapped {
        Some(place) => Some(place),
        None => directory.place(host).await?,
    };
    let Some(place) = place else { return refused() };
    Ok(match enter(sip, &place, SipPurpose::Call, request, flow).await {
        Entry::Refused(fault) => Admission::Refused(fault),
        Entry::Challenged(values) => Admission::Challenged { status: 407, values },
        Entry::Open | Entry::Known(_) => Admission::Replaces { door, secure: place.secure },
    })
}

async fn try_call(sip: &Sip, request: &Request, flow: Flow) -> Result<Admission, Unavailable> {
    let Ok(uri) = Uri::parse(&request.uri) else {
        return Ok(Admission::Refused(Fault::new(400, "Malformed Request-URI")));
    };
    let ports = sip.ports();
    let place = ports.directory.place(&uri.host).await?;
    let mut secure = place.as_ref().is_some_and(|place| place.secure);
    let mut door = place.as_ref().map(|place| Door::Place(place.host.clone()));
    let call = match place {
        Some(place) => match enter(sip, &place, SipPurpose::Call, request, flow).await {
            Entry::Refused(fault) => return Ok(Admission::Refused(fault)),
            Entry::Challenged(values) => return Ok(Admission::Challenged { status: 407, values }),
            Entry::Open | Entry::Known(_) => to_place(sip, &place, &uri, request, flow),
        },
        None if is_socket(flow.transport) => {
            return Ok(Admission::Refused(denied(32002, "SIP domain not found")));
        }
        None => match sip.config.trunk_from(flow.remote.ip()) {
            Some(trunk) if trunk.secure && !flow.transport.is_secure() => {
                return Ok(Admission::Refused(denied(32209, "Secure transport required")));
            }
            Some(trunk) => {
                door = Some(Door::Trunk(trunk.name.clone()));
                to_number(sip, &uri, request, flow)
            }
            // A carrier that a customer brought: its address says whose domain is meant.
            None => match ports.directory.place_of_address(flow.remote.ip()).await? {
                Some(place) => match enter(sip, &place, SipPurpose::Call, request, flow).await {
                    Entry::Open | Entry::Known(_) => {
                        secure = place.secure;
                        door = Some(Door::Place(place.host.clone()));
                        to_place(sip, &place, &uri, request, flow)
                    }
                    Entry::Refused(fault) => return Ok(Admission::Refused(fault)),
                    Entry::Challenged(values) => {
                        return Ok(Admission::Challenged { status: 407, values });
                    }
                },
                None => {
                    return Ok(Admission::Refused(denied(32201, "Source IP address not in ACL")));
                }
            },
        },
    };
    let (Some(call), Some(door)) = (call, door) else {
        return Ok(Admission::Refused(Fault::new(404, "")));
    };
    Ok(match ports.sink.inbound(&call).await? {
        Some((account, leg)) => Admission::Taken { account, leg, door, secure },
        None => Admission::Refused(Fault::new(404, "")),
    })
}

fn display(request: &Request) -> Option<String> {
    NameAddr::parse(request.headers.get("From")?).ok()?.display
}

/// A call to a domain or the termination side of a trunk.
fn to_place(
    sip: &Sip,
    place: &SipPlace,
    uri: &Uri,
    request: &Request,
    flow: Flow,
) -> Option<InboundCall> {
    let name = uri.name()?;
    let mut params = custom(request);
    params.push(("SipCallId".to_owned(), request.headers.call_id().to_owned()));
    params.push(("SipSourceIp".to_owned(), flow.remote.ip().to_string()));
    let (to, from, door) = match place.kind {
        SipPlaceKind::Domain => {
            params.push(("SipDomain".to_owned(), place.host.clone()));
            params.push(("SipDomainSid".to_owned(), place.sid.to_string()));
            let from = NameAddr::parse(request.headers.get("From")?).ok()?.uri().ok()?;
            let from = format!("sip:{}@{}", from.user.clone().unwrap_or_default(), from.host);
            let to = format!("sip:{name}@{}", place.host);
            (to, from, CallDoor::SipDomain { account: place.account, domain: place.sid })
        }
        SipPlaceKind::Trunk => {
            let door = CallDoor::Trunk { account: place.account, trunk: place.sid };
            (number(&name)?, caller(request)?, door)
        }
    };
    Some(InboundCall { from, to, caller_name: display(request), at: sip.now(), door, params })
}

/// A call of a trunk of the operator.
fn to_number(sip: &Sip, uri: &Uri, request: &Request, flow: Flow) -> Option<InboundCall> {
    let mut params = vec![("SipCallId".to_owned(), request.headers.call_id().to_owned())];
    params.push(("SipSourceIp".to_owned(), flow.remote.ip().to_string()));
    let diverted = request
        .headers
        .list("Diversion")
        .next()
        .and_then(|text| number(&NameAddr::parse(text).ok()?.uri().ok()?.name()?));
    params.extend(diverted.map(|from| ("ForwardedFrom".to_owned(), from)));
    Some(InboundCall {
        from: caller(request)?,
        to: number(&uri.name()?)?,
        caller_name: display(request),
        at: sip.now(),
        door: CallDoor::Number,
        params,
    })
}

/// A telephone number in its normal form; what is none stays as it is said: `911`, `anonymous`.
fn number(text: &str) -> Option<String> {
    let name = text.split(';').next().unwrap_or_default();
    let plain: String = name.chars().filter(|c| !" -.()".contains(*c)).collect();
    let digits = plain.strip_prefix('+').unwrap_or(&plain);
    let looks = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
    let parsed = looks.then(|| numbering::E164::parse(&format!("+{digits}")).ok()).flatten();
    let parsed = parsed.filter(|number| number.is_valid());
    let text = parsed.map_or_else(|| plain.clone(), |number| number.to_string());
    (!text.is_empty()).then_some(text)
}

/// Who calls: what the network vouches for comes before what the telephone says (RFC 3325).
fn caller(request: &Request) -> Option<String> {
    let headers = &request.headers;
    let asserted = headers.list("P-Asserted-Identity").find_map(|text| {
        let address = NameAddr::parse(text).ok()?;
        match address.address.strip_prefix("tel:") {
            Some(number) => Some(number.to_owned()),
            None => address.uri().ok()?.name(),
        }
    });
    let stated = || NameAddr::parse(headers.get("From")?).ok()?.uri().ok()?.name();
    number(&asserted.or_else(stated).unwrap_or_else(|| "anonymous".to_owned()))
}

/// Custom headers as the application gets them.
fn custom(request: &Request) -> Vec<(String, String)> {
    let mut left = CUSTOM_MAX;
    let is_custom = |name: &str| {
        let name = name.to_ascii_lowercase();
        (name.starts_with("x-") && !name.starts_with("x-twilio")) || name == "user-to-user"
    };
    let mut found = Vec::new();
    for (name, value) in request.headers.iter().filter(|(name, _)| is_custom(name)) {
        let Some(rest) = left.checked_sub(name.len() + value.len()) else { break };
        left = rest;
        found.push((format!("SipHeader_{name}"), value.to_owned()));
    }
    found
}

#[cfg(test)]
mod tests {
    use sip::Method;

    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request {
        let mut request = Request::new(Method::Invite, "sip:x@y");
        headers.iter().for_each(|(name, value)| request.headers.add(name, *value));
        request
    }

    #[test]
    fn numbers_have_one_form() {
        for (text, expected) in [
            ("+14155550100", "+14155550100"),
            ("14155550100", "+14155550100"),
            ("+1-415-555-0100;phone-context=x", "+14155550100"),
            ("911", "911"),
            ("anonymous", "anonymous"),
        ] {
            assert_eq!(number(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(number(""), None);
    }

    #[test]
    fn what_the_network_vouches_for_comes_first() {
        let from = ("From", "\"A\" <sip:14155550100@x>;tag=1");
        assert_eq!(caller(&request(&[from])).as_deref(), Some("+14155550100"));
        let asserted = ("P-Asserted-Identity", "<sip:+14155550111@x>, <tel:+14155550112>");
        assert_eq!(caller(&request(&[from, asserted])).as_deref(), Some("+14155550111"));
        let asserted = ("P-Asserted-Identity", "<tel:+14155550112>");
        assert_eq!(caller(&request(&[from, asserted])).as_deref(), Some("+14155550112"));
    }

    #[test]
    fn only_custom_headers_are_passed_on() {
        let long = "v".repeat(900);
        let given = request(&[
            ("X-Order", "7"),
            ("x-twilio-error", "1"),
            ("User-to-User", "abc"),
            ("Subject", "no"),
            ("X-Long", &long),
            ("X-Too", &long),
        ]);
        let names: Vec<String> = custom(&given).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["SipHeader_X-Order", "SipHeader_User-to-User", "SipHeader_X-Long"]);
    }
}
