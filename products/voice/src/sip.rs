//! What calls over SIP have beyond others: credentials, custom headers, doors of their own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::{CallDoor, CallExtras, CallRoute, InboundCall, Unavailable};
use kernel::{ApiError, Sid};
use rest::Ctx;
use serde::{Deserialize, Serialize};
use twiml::voice::{Element, Source};

use crate::Voice;
use crate::call::{Call, Hook, Setup};
use crate::conference::method;
use crate::lifecycle::Status;

/// What goes along with a call over SIP. The password rests sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SipSetup {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed_password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk: Option<Sid>,
}

/// Whether somebody is called by SIP.
pub(crate) fn is_address(text: &str) -> bool {
    let scheme = text.split(':').next().unwrap_or_default();
    text.contains(':')
        && (scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips"))
}

/// A SIP address that can be called: with its parameters and headers as they are.
pub(crate) fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let text = if is_address(text) { text.to_owned() } else { format!("sip:{text}") };
    let is_short = text.len() <= 1024;
    (is_short && sip::Uri::parse(&text).is_ok()).then_some(text)
}

impl Voice {
    fn sealed(&self, password: &str) -> String {
        STANDARD.encode(self.parts.sealer.seal(password))
    }

    /// `SipAuthUsername`, `SipAuthPassword` and `Byoc` of a request.
    ///
    /// # Errors
    /// 21300 / 400 of a trunk that the account does not have.
    pub(crate) async fn sip_of_form(&self, ctx: &Ctx) -> Result<Option<SipSetup>, ApiError> {
        let username = ctx.form.text("SipAuthUsername").map(str::to_owned);
        let password = ctx.form.text("SipAuthPassword").filter(|_| username.is_some());
        let trunk = ctx.form.sid("Byoc");
        if let Some(trunk) = trunk {
            let known = self.parts.sip.has_trunk(ctx.account, trunk).await;
            if !known.map_err(crate::create::unavailable)? {
                let why = format!("Byoc {trunk} is no BYOC trunk of this account");
                return Err(ApiError::new(21300, why));
            }
        }
        let sealed_password = password.map(|password| self.sealed(password));
        let has_any = username.is_some() || trunk.is_some();
        Ok(has_any.then_some(SipSetup { username, sealed_password, trunk }))
    }

    /// `username`, `password` and `byoc` of a noun.
    pub(crate) fn sip_of_noun(&self, noun: &Element) -> Option<SipSetup> {
        let username = noun.get("username").map(str::to_owned);
        let password = noun.get("password").filter(|_| username.is_some());
        let trunk = noun.get("byoc").and_then(|sid| sid.parse().ok());
        let sealed_password = password.map(|password| self.sealed(password));
        let has_any = username.is_some() || trunk.is_some();
        has_any.then_some(SipSetup { username, sealed_password, trunk })
    }

    /// What a call takes along, with its password still sealed: it rests in a job first.
    pub(crate) fn sealed_extras(call: &Call) -> CallExtras {
        let sip = call.setup.sip.clone().unwrap_or_default();
        CallExtras {
            caller_name: call.setup.caller_name.clone(),
            username: sip.username,
            password: sip.sealed_password,
            headers: call.setup.parameters.clone(),
            trunk: sip.trunk,
        }
    }

    /// Opens the password for the carrier. One that cannot be opened is none: the other side's
    /// challenge stays unanswered.
    pub(crate) fn open_extras(&self, mut extras: CallExtras) -> CallExtras {
        extras.password = extras.password.and_then(|sealed| {
            let octets = STANDARD.decode(sealed).ok()?;
            self.parts.sealer.open(&octets).ok()
        });
        extras
    }

    /// Whose call it is that comes in by a door, and what it is told to do; `None`: nobody's.
    pub(crate) async fn taken(&self, call: &InboundCall) -> Result<Option<Taken>, Unavailable> {
        match &call.door {
            CallDoor::Number => self.taken_by_number(call).await,
            CallDoor::SipDomain { account, domain } => {
                let route = self.parts.sip.instructions(*account, *domain).await?;
                Ok(route.filter(|route| route.url.is_some()).map(|route| Taken {
                    account: *account,
                    number: None,
                    direction: "inbound",
                    setup: setup_of(route),
                }))
            }
            CallDoor::Application { account, application } => {
                let route =
                    self.parts.numbers.application_call_route(*account, *application).await?;
                Ok(route.map(|route| Taken {
                    account: *account,
                    number: None,
                    direction: "inbound",
                    setup: setup_of(route),
                }))
            }
            CallDoor::Trunk { account, trunk } => {
                let document = onward(&call.from, &call.to, None);
                let source = Some(Source::Inline(document));
                Ok(Some(Taken {
                    account: *account,
                    number: None,
                    direction: "trunking-terminating",
                    setup: Setup { source, trunk: Some(*trunk), ..Setup::default() },
                }))
            }
        }
    }

    async fn taken_by_number(&self, call: &InboundCall) -> Result<Option<Taken>, Unavailable> {
        let Some(owner) = self.parts.numbers.owner(&call.to).await? else { return Ok(None) };
        if owner.sid.prefix() != "PN" {
            return Ok(None);
        }
        let account = owner.account;
        if let Some(trunk) = self.parts.sip.trunk_of(account, &call.to).await? {
            let is_empty = self.parts.sip.targets(account, trunk).await?.is_empty();
            let recovery = self.parts.sip.recovery_route(account, trunk).await?;
            let recovery = recovery.and_then(|route| setup_of(route).source);
            let document = onward(&call.from, &call.to, Some(trunk));
            let (source, recovery) = match (is_empty, recovery) {
                (true, None) => return Ok(None),
                (true, recovery) => (recovery, None),
                (false, recovery) => (Some(Source::Inline(document)), recovery),
            };
            return Ok(Some(Taken {
                account,
                number: Some(owner.sid),
                direction: "trunking-originating",
                setup: Setup { source, recovery, trunk: Some(trunk), ..Setup::default() },
            }));
        }
        let route = self.parts.numbers.call_route(account, owner.sid).await?;
        let (number, direction) = (Some(owner.sid), "inbound");
        Ok(Some(Taken { account, number, direction, setup: setup_of(route) }))
    }

    /// The row of a call that is taken.
    pub(crate) fn made(&self, call: &InboundCall, taken: Taken) -> Call {
        let sid = self.parts.clock.sid("CA");
        let mut made =
            Call::new(sid, taken.direction, Status::Queued, &call.from, &call.to, call.at);
        made.number = taken.number;
        made.setup = taken.setup;
        made.setup.caller_name = call.caller_name.clone();
        made.setup.network = call.params.clone();
        made
    }
}

/// A call that somebody takes.
pub(crate) struct Taken {
    pub account: Sid,
    number: Option<Sid>,
    direction: &'static str,
    setup: Setup,
}

fn setup_of(route: CallRoute) -> Setup {
    let hook = |url: Option<String>, how: &str| {
        url.map(|url| Hook { url, method: method(Some(how)), events: Vec::new() })
    };
    Setup {
        source: route.url.map(|url| Source::Url { url, method: method(Some(&route.method)) }),
        fallback: hook(route.fallback_url, &route.fallback_method),
        status_callback: hook(route.status_callback, &route.status_callback_method),
        application: route.application,
        ..Setup::default()
    }
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// The document of a call that only goes on: to the number, by the trunk that takes its calls.
fn onward(from: &str, number: &str, trunk: Option<Sid>) -> String {
    let (caller, number) = (escaped(from), escaped(number));
    let by = trunk.map(|trunk| format!(" byoc=\"{trunk}\"")).unwrap_or_default();
    format!(
        "<Response><Dial answerOnBridge=\"true\" callerId=\"{caller}\">\
         <Number{by}>{number}</Number></Dial></Response>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sip_addresses_are_told_from_numbers() {
        for text in ["sip:a@b", "SIPS:a@b", "sip:a@b:5070;transport=tcp?X-A=1"] {
            assert!(is_address(text) && address(text).is_some(), "{text}");
        }
        assert!(!is_address("+14155550100") && !is_address("client:a"));
        assert_eq!(address(" ann@h ").as_deref(), Some("sip:ann@h"));
        assert_eq!(address("sip:a b@c"), None);
        assert_eq!(address(&format!("sip:{}@b", "a".repeat(1024))), None);
    }

    #[test]
    fn a_trunks_call_goes_on() {
        let trunk = Sid::from_parts("TK", 1);
        let document = onward("sip:a&b", "+1415", Some(trunk));
        let expected = format!("callerId=\"sip:a&amp;b\"><Number byoc=\"{trunk}\">+1415</Number>");
        assert!(document.contains(&expected), "{document}");
        assert!(onward("+1", "+1415", None).contains("<Number>+1415</Number>"));
    }
}
