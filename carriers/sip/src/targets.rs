//! Where a placed call goes to: telephones that registered, trunks, anybody's address.

use std::collections::VecDeque;
use std::net::SocketAddr;

use contracts::{OutboundCall, SipPlaceKind, Unavailable};
use sip::Uri;
use sip::transaction::{Flow, Transport};

use crate::admission::Door;
use crate::config::Trunk;
use crate::outbound::{Miss, Plan, Target};
use crate::{Sip, is_address};

/// Targets that ring at once, and that are tried one after the other.
const AT_ONCE_MAX: usize = 10;
const AFTER_MAX: usize = 10;

/// Decides where a call goes; what cannot be is a plan too.
pub(crate) async fn plan(sip: &Sip, call: &OutboundCall) -> Plan {
    let mut plan = Plan::new(call);
    match groups(sip, call, &mut plan).await {
        Ok(groups) => plan.groups = groups,
        Err(miss) => plan.miss = Some(miss),
    }
    plan
}

fn unavailable(error: Unavailable) -> Miss {
    tracing::warn!(%error, "a SIP call could not be routed");
    Miss { code: 503, alert: None }
}

async fn groups(
    sip: &Sip,
    call: &OutboundCall,
    plan: &mut Plan,
) -> Result<VecDeque<Vec<Target>>, Miss> {
    let credentials = call.extras.username.clone().zip(call.extras.password.clone());
    if let Some(trunk) = call.extras.trunk {
        let targets = sip.ports().directory.targets(call.account, trunk).await;
        let targets = targets.map_err(unavailable)?;
        let mut found = VecDeque::new();
        for target in targets.into_iter().take(AFTER_MAX) {
            let Ok(mut uri) = Uri::parse(&target.uri) else { continue };
            uri.user = Some(user_part(&call.to));
            if let Ok(target) = resolve(sip, uri, credentials.clone()).await {
                found.push_back(vec![target]);
            }
        }
        let none = || Miss::new(503, 32010, "no origination URI of the trunk can be reached");
        return (!found.is_empty()).then_some(found).ok_or_else(none);
    }
    if !is_address(&call.to) {
        let trunk = sip.config.trunk_to(&call.to);
        let trunk = trunk.ok_or_else(|| Miss::new(404, 13224, "no trunk leads to the number"))?;
        plan.door = Some(Door::Trunk(trunk.name.clone()));
        return by_trunk(sip, trunk, &call.to).await;
    }
    let malformed = || Miss::new(484, 32110, "the SIP address is malformed");
    let mut uri = Uri::parse(&call.to).map_err(|_| malformed())?;
    let headers = uri.headers.take().unwrap_or_default();
    plan.headers.extend(uri_headers(&headers));
    uri.params.retain(|(name, _)| !["edge", "region", "secure"].contains(&name.as_str()));
    if Uri::parse(&call.to).is_ok_and(|uri| uri.param("secure") == Some("true")) {
        uri.secure = true;
    }
    let place = sip.ports().directory.place(&uri.host).await.map_err(unavailable)?;
    if let Some(place) = place.filter(|place| place.kind == SipPlaceKind::Domain) {
        plan.host = Some(place.host.clone());
        plan.door = Some(Door::Place(place.host.clone()));
        let why = "the user is not registered with the SIP domain";
        let none = || Miss::new(480, 32009, why);
        if place.registrations.is_none() {
            return Err(none());
        }
        let user = uri.name().ok_or_else(|| {
            Miss::new(480, 32223, "the address of a registered telephone needs a user")
        })?;
        let bindings = sip.registrar.bindings(place.sid, &user).await;
        let mut found = Vec::new();
        for binding in bindings.map_err(unavailable)?.into_iter().take(AT_ONCE_MAX) {
            found.extend(binding.target(place.secure));
        }
        return if found.is_empty() { Err(none()) } else { Ok(VecDeque::from([found])) };
    }
    let target = resolve(sip, uri, credentials).await?;
    Ok(VecDeque::from([vec![target]]))
}

/// The node that reaches a registered telephone.
pub(crate) async fn home(sip: &Sip, call: &OutboundCall) -> Result<Option<String>, Unavailable> {
    if sip.parts.home.is_none() || call.extras.trunk.is_some() || !is_address(&call.to) {
        return Ok(None);
    }
    let Ok(uri) = Uri::parse(&call.to) else { return Ok(None) };
    let place = sip.ports().directory.place(&uri.host).await?;
    let Some(place) = place.filter(|place| place.kind == SipPlaceKind::Domain) else {
        return Ok(None);
    };
    let Some(user) = uri.name() else { return Ok(None) };
    // What changes goes to the end.
    let latest = sip.registrar.bindings(place.sid, &user).await?.pop();
    Ok(latest.and_then(|binding| binding.home))
}

fn user_part(to: &str) -> String {
    Uri::parse(to).ok().and_then(|uri| uri.user).unwrap_or_else(|| to.to_owned())
}

async fn by_trunk(sip: &Sip, trunk: &Trunk, number: &str) -> Result<VecDeque<Vec<Target>>, Miss> {
    let password = trunk.password.as_ref().map(|password| password.0.clone());
    let credentials = trunk.username.clone().zip(password);
    let mut found = VecDeque::new();
    for host in sip.hosts(trunk).into_iter().take(AFTER_MAX) {
        let Ok(mut uri) = Uri::parse(&format!("sip:{host}")) else { continue };
        uri.user = Some(number.to_owned());
        uri.secure |= trunk.secure;
        match resolve_by_operator(uri, credentials.clone()).await {
            Ok(target) => found.push_back(vec![target]),
            Err(miss) => tracing::warn!(trunk = trunk.name, host, ?miss, "a SIP trunk's host"),
        }
    }
    let none = || Miss::new(503, 32011, "no host of the trunk can be reached");
    if found.is_empty() { Err(none()) } else { Ok(found) }
}

fn transport_of(uri: &Uri) -> Result<Transport, Miss> {
    match uri.param("transport").map(str::to_ascii_lowercase).as_deref() {
        _ if uri.secure => Ok(Transport::Tls),
        None | Some("udp") => Ok(Transport::Udp),
        Some("tcp") => Ok(Transport::Tcp),
        Some("tls") => Ok(Transport::Tls),
        Some(_) => Err(Miss::new(484, 32114, "the transport is none of udp, tcp and tls")),
    }
}

async fn addresses(uri: &Uri, transport: Transport) -> Vec<SocketAddr> {
    let usual = if transport.is_secure() { 5061 } else { 5060 };
    let port = uri.port.unwrap_or(usual);
    if let Some(address) = uri.ip() {
        return vec![SocketAddr::new(address, port)];
    }
    let found = tokio::net::lookup_host((uri.host.as_str(), port)).await;
    let mut all: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
    all.sort_by_key(SocketAddr::is_ipv6);
    all
}

fn target(
    uri: &Uri,
    remote: SocketAddr,
    transport: Transport,
    credentials: Option<(String, String)>,
) -> Target {
    let flow = Flow { transport, remote, connection: 0 };
    let is_ip = uri.ip().is_some();
    let tls_name = (transport.is_secure() && !is_ip).then(|| uri.host.clone());
    let secure = uri.secure;
    Target { uri: uri.to_string(), flow, credentials, secure, web: false, tls_name }
}

/// Anybody's address: only where the network policy lets one go.
async fn resolve(
    sip: &Sip,
    uri: Uri,
    credentials: Option<(String, String)>,
) -> Result<Target, Miss> {
    let transport = transport_of(&uri)?;
    let all = addresses(&uri, transport).await;
    if all.is_empty() {
        return Err(Miss::new(480, 32011, "the host of the SIP address is unknown"));
    }
    let allowed = all.into_iter().find(|a| sip.parts.policy.allows(&uri.host, a.ip()));
    let remote = allowed.ok_or_else(|| {
        Miss::new(403, 32216, "the host of the SIP address is where nobody may be called")
    })?;
    Ok(target(&uri, remote, transport, credentials))
}

/// Where a host redirects a call to: to itself, to the trunk that it belongs to, or to anybody's
/// address. Only its own addresses get its credentials.
pub(crate) async fn resolve_redirect(sip: &Sip, uri: Uri, from: &Target) -> Result<Target, Miss> {
    let transport = transport_of(&uri)?;
    let origin = from.flow.remote.ip();
    let trunk = sip.config.trunk_from(origin);
    let is_its = |address: &SocketAddr| {
        let of_trunk = || sip.config.trunk_from(address.ip()).map(|trunk| &trunk.name);
        address.ip() == origin || trunk.is_some_and(|trunk| of_trunk() == Some(&trunk.name))
    };
    match addresses(&uri, transport).await.into_iter().find(is_its) {
        Some(remote) => Ok(target(&uri, remote, transport, from.credentials.clone())),
        None => resolve(sip, uri, None).await,
    }
}

/// An address of the operator's configuration, wherever it is.
pub(crate) async fn resolve_by_operator(
    uri: Uri,
    credentials: Option<(String, String)>,
) -> Result<Target, Miss> {
    let transport = transport_of(&uri)?;
    let remote = addresses(&uri, transport).await.into_iter().next();
    let remote = remote.ok_or_else(|| Miss::new(503, 32011, "the host of the trunk is unknown"))?;
    Ok(target(&uri, remote, transport, credentials))
}

/// `X-Order=7&User-to-User=a`: custom headers of an address; others are left out.
fn uri_headers(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let named = pairs.map(|(name, value)| (sip::uri::unescaped(name), sip::uri::unescaped(value)));
    named.filter(|(name, _)| is_custom(name)).collect()
}

/// Headers that an application may set.
pub(crate) fn is_custom(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    let is_own = lower.starts_with("x-") && !lower.starts_with("x-twilio");
    name.bytes().all(fits) && (is_own || lower == "user-to-user")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_custom_headers_leave() {
        let found =
            uri_headers("X-Order=7%208&Route=%3Csip:evil%3E&x-twilio-CallSid=1&User-to-User=a");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found, [pair("X-Order", "7 8"), pair("User-to-User", "a")]);
        assert!(!is_custom("X-A\r\nVia") && !is_custom("From"));
    }

    #[tokio::test]
    async fn nobody_is_called_where_nobody_may_go() {
        let transport = |text: &str| transport_of(&Uri::parse(text).unwrap()).map_err(|m| m.code);
        assert_eq!(transport("sip:a@b;transport=TCP"), Ok(Transport::Tcp));
        assert_eq!(transport("sips:a@b"), Ok(Transport::Tls));
        assert_eq!(transport("sip:a@b;transport=sctp"), Err(484));
        let uri = Uri::parse("sip:a@192.0.2.1").unwrap();
        let all = addresses(&uri, Transport::Udp).await;
        assert_eq!(all, ["192.0.2.1:5060".parse().unwrap()]);
    }
}
