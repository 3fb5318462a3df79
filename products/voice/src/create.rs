//! Deciding whether a call is placed (voice-api §2.1), and taking those that come in.

use contracts::{BoxFuture, DialingRisk, InboundCall, LegEvent, LegReport, Unavailable};
use jobs::Failure;
use kernel::{ApiError, Sid, Timestamp};
use numbering::E164;
use rest::{Ctx, Reply};
use store::AccountStore;
use twiml::voice::{Element, Source};

use crate::act::retry;
use crate::call::{Call, Detection, Hook, Setup, Thresholds};
use crate::conference::method;
use crate::letter::{Letter, What};
use crate::lifecycle::Status;
use crate::recording::RecordSetup;
use crate::{Voice, magic, sip};

/// Characters of an inline document.
pub(crate) const TWIML_CHARS_MAX: usize = 4000;
const EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];

/// Why a number may not be the caller, for documents: a code and a sentence.
pub(crate) struct CallerError {
    pub code: u32,
    pub why: String,
}

/// A telephone number in its normal form.
pub(crate) fn number(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !" -.()".contains(*c)).collect();
    E164::parse(&plain).ok().filter(|number| number.is_valid()).map(|number| number.to_string())
}

/// Whoever is called, in the normal form.
fn called(text: &str) -> Result<String, ApiError> {
    if let Some(identity) = text.strip_prefix("client:") {
        if identity.is_empty() || identity.chars().count() > 256 {
            return Err(ApiError::new(21211, "The 'To' client has no identity, or a long one"));
        }
        return Ok(text.to_owned());
    }
    if sip::is_address(text) {
        let why = format!("The 'To' address {text} is no SIP address: use sip:user@host");
        return sip::address(text).ok_or_else(|| ApiError::new(21211, why));
    }
    number(text).ok_or_else(|| ApiError::new(21211, no_number("To", text)))
}

/// What is wrong with a number, and how to put it right.
fn no_number(param: &str, text: &str) -> String {
    // A form decodes a bare plus sign as a space.
    match text.strip_prefix(' ') {
        Some(rest) => format!(
            "The '{param}' number '{text}' begins with a space: send the plus sign of +{rest} as %2B"
        ),
        None => format!("The '{param}' number {text} is not a valid phone number: use E.164"),
    }
}

/// A hook of a form: URL, method and events.
fn hook(ctx: &Ctx, url: &str, how: &str, events: Option<&str>) -> Option<Hook> {
    let given = events.map(|events| ctx.form.list(events)).unwrap_or_default();
    let events = given.iter().flat_map(|text| text.split([' ', ',']));
    Some(Hook {
        url: ctx.form.text(url)?.to_owned(),
        method: method(ctx.form.text(how)),
        events: events.filter(|event| !event.is_empty()).map(str::to_owned).collect(),
    })
}

/// Where the call's document comes from: `Url`, `Twiml` or an application.
async fn source(voice: &Voice, ctx: &Ctx, setup: &mut Setup) -> Result<(), ApiError> {
    let form = &ctx.form;
    if let Some(sid) = form.sid("ApplicationSid") {
        let route = voice.parts.numbers.application_call_route(ctx.account, sid).await;
        let route = route.map_err(unavailable)?.ok_or_else(|| {
            ApiError::new(21218, format!("ApplicationSid {sid} is no application of this account"))
        })?;
        let url = route
            .url
            .ok_or_else(|| ApiError::new(21218, format!("Application {sid} has no VoiceUrl")))?;
        setup.source = Some(Source::Url { url, method: method(Some(&route.method)) });
        setup.fallback = route.fallback_url.map(|url| Hook {
            url,
            method: method(Some(&route.fallback_method)),
            events: Vec::new(),
        });
        setup.status_callback = route.status_callback.map(|url| Hook {
            url,
            method: method(Some(&route.status_callback_method)),
            events: Vec::new(),
        });
        setup.application = Some(sid);
        return Ok(());
    }
    setup.source = match (form.text("Url"), form.text("Twiml")) {
        (Some(url), _) => {
            Some(Source::Url { url: url.to_owned(), method: method(form.text("Method")) })
        }
        (None, Some(twiml)) => Some(inline(twiml)?),
        (None, None) => {
            let why = "A 'Url', a 'Twiml' or an 'ApplicationSid' parameter is required";
            return Err(ApiError::new(21205, why));
        }
    };
    setup.fallback = hook(ctx, "FallbackUrl", "FallbackMethod", None);
    Ok(())
}

/// An inline document: 32018 when it is too long.
pub(crate) fn inline(twiml: &str) -> Result<Source, ApiError> {
    let length = twiml.chars().count();
    if length > TWIML_CHARS_MAX {
        let why = format!("'Twiml' has {length} characters; at most {TWIML_CHARS_MAX} are allowed");
        return Err(ApiError::new(32018, why));
    }
    Ok(Source::Inline(twiml.to_owned()))
}

/// What a call is made with, beside its document.
///
/// Differs: silence is not trimmed off recordings, `CallReason`, `CallToken` and
/// `ClientNotificationUrl` reach nobody.
fn wishes(ctx: &Ctx, setup: &mut Setup) -> Result<(), ApiError> {
    let form = &ctx.form;
    if setup.status_callback.is_none() {
        setup.status_callback =
            hook(ctx, "StatusCallback", "StatusCallbackMethod", Some("StatusCallbackEvent"));
    }
    if let Some(hook) = &setup.status_callback
        && let Some(stray) = hook.events.iter().find(|event| !EVENTS.contains(&event.as_str()))
    {
        let why = format!("StatusCallbackEvent '{stray}' is none of {}", EVENTS.join(", "));
        return Err(ApiError::new(20001, why));
    }
    let positive = |name: &str| form.integer(name).and_then(|value| u64::try_from(value).ok());
    setup.timeout_seconds = positive("Timeout");
    setup.time_limit_seconds = positive("TimeLimit");
    if let Some(digits) = form.text("SendDigits") {
        if !digits.chars().all(|key| "0123456789ABCDabcd*#wW".contains(key)) {
            let why = format!("SendDigits '{digits}' has what is no key: 0-9, A-D, *, #, w or W");
            return Err(ApiError::new(21206, why));
        }
        setup.send_digits = Some(digits.to_owned());
    }
    setup.caller_id = form.text("CallerId").map(str::to_owned);
    // Digits that are sent at once would disturb it.
    if let Some(kind) = form.text("MachineDetection").filter(|_| setup.send_digits.is_none()) {
        let message_end = match kind {
            "Enable" => false,
            "DetectMessageEnd" => true,
            _ => {
                let why =
                    format!("MachineDetection '{kind}' is neither Enable nor DetectMessageEnd");
                return Err(ApiError::new(21234, why));
            }
        };
        let in_background = form.text("AsyncAmd") == Some("true")
            || ctx.table.name == crate::conference::PARTICIPANT;
        let async_hook = hook(ctx, "AsyncAmdStatusCallback", "AsyncAmdStatusCallbackMethod", None);
        let callback =
            async_hook.or(hook(ctx, "AmdStatusCallback", "AmdStatusCallbackMethod", None));
        if in_background && callback.is_none() {
            let why = "AsyncAmd needs an 'AsyncAmdStatusCallback', which is told the verdict";
            return Err(ApiError::new(21262, why));
        }
        setup.detection = Some(Detection {
            message_end,
            in_background,
            callback,
            timeout_seconds: positive("MachineDetectionTimeout").unwrap_or(30),
            thresholds: Some(thresholds(ctx)),
        });
    }
    if form.boolean("Record") == Some(true) {
        setup.record = Some(RecordSetup {
            source: "OutboundAPI".into(),
            dual: form.text("RecordingChannels") == Some("dual"),
            track: form.text("RecordingTrack").unwrap_or("both").to_owned(),
            callback: hook(
                ctx,
                "RecordingStatusCallback",
                "RecordingStatusCallbackMethod",
                Some("RecordingStatusCallbackEvent"),
            ),
            transcribe_callback: None,
            transcribe: false,
            conference: None,
        });
    }
    Ok(())
}

/// `POST /Calls`.
pub(crate) async fn create(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let mut setup = Setup::default();
    if ctx.is_test() {
        let (from, to) = (ctx.form.text("From"), ctx.form.text("To"));
        let to = called(to.unwrap_or_default())?;
        magic::check(from.unwrap_or_default(), &to)?;
        wishes(ctx, &mut setup)?;
        let sid = ctx.clock.sid("CA");
        let from = from.unwrap_or_default();
        let call = Call::new(sid, "outbound-api", Status::Queued, from, &to, ctx.now);
        return Ok(Reply::Record(call.record(ctx)));
    }
    let (from, to, number) = voice.parties(ctx).await?;
    setup.sip = voice.sip_of_form(ctx).await?;
    source(voice, ctx, &mut setup).await?;
    wishes(ctx, &mut setup)?;
    let call = voice.insert(ctx, from, to, number, setup).await?;
    Ok(Reply::Record(call.record(ctx)))
}

impl Voice {
    /// A call that joins a conference when it is answered; its SID.
    pub(crate) async fn place_for_conference(
        &self,
        ctx: &Ctx,
        noun: Element,
    ) -> Result<Sid, ApiError> {
        let (from, to, number) = self.parties(ctx).await?;
        let sip = self.sip_of_form(ctx).await?;
        let mut setup = Setup { conference: Some(noun), sip, ..Setup::default() };
        wishes(ctx, &mut setup)?;
        Ok(self.insert(ctx, from, to, number, setup).await?.sid)
    }

    /// Who calls, who is called, and the SID of the caller's number.
    async fn parties(&self, ctx: &Ctx) -> Result<(String, String, Option<Sid>), ApiError> {
        let to = called(ctx.form.text("To").unwrap_or_default())?;
        if let Some(why) = self.refusal(ctx.account, &to).await.map_err(unavailable)? {
            return Err(ApiError::new(21215, why));
        }
        let from = ctx.form.text("From").unwrap_or_default();
        // Networks that show whatever the caller says to be.
        let is_client = to.starts_with("client:") || sip::is_address(&to);
        let parsed = match number(from) {
            Some(parsed) => parsed,
            None if is_client => return Ok((from.to_owned(), to, None)),
            None => {
                return Err(ApiError::new(21212, no_number("From", from)));
            }
        };
        if parsed == to {
            return Err(ApiError::new(21211, format!("'To' and 'From' are both {to}")));
        }
        match self.may_call_from(&ctx.store, &parsed).await {
            Err(Failure::Retry(why)) => Err(unavailable(Unavailable(why))),
            Err(_) => Err(ctx.not_found()),
            Ok(Ok((sid, adopted))) => {
                if let Some(adopted) = adopted {
                    ctx.announce_adoption(&adopted);
                }
                Ok((parsed, to, sid))
            }
            Ok(Err(_)) if is_client => Ok((parsed, to, None)),
            Ok(Err(CallerError { code, why })) => Err(ApiError::new(code, why)),
        }
    }

    /// Whether the account may show `number`: its own or verified; the SID of its own, and what
    /// came into being (development profile).
    #[allow(
        clippy::type_complexity,
        reason = "a failure, a refusal, or what is known of the number"
    )]
    pub(crate) async fn may_call_from(
        &self,
        store: &AccountStore,
        number: &str,
    ) -> Result<Result<(Option<Sid>, Option<String>), CallerError>, Failure> {
        let numbers = &self.parts.numbers;
        let account = store.account();
        if let Some(owner) = numbers.owner(number).await.map_err(retry)?
            && owner.account == account
        {
            return Ok(Ok((Some(owner.sid), None)));
        }
        if numbers.is_caller_id(account, number).await.map_err(retry)? {
            return Ok(Ok((None, None)));
        }
        if self.parts.development
            && let Some(owner) = numbers.adopt(account, number).await.map_err(retry)?
            && owner.account == account
        {
            return Ok(Ok((Some(owner.sid), Some(owner.sid.to_string()))));
        }
        let why = format!("'From' {number} is neither a number nor a verified caller id of yours");
        Ok(Err(CallerError { code: 21210, why }))
    }

    /// Why the account's dialing permissions do not let it call somebody.
    pub(crate) async fn refusal(
        &self,
        account: Sid,
        to: &str,
    ) -> Result<Option<String>, Unavailable> {
        let refused = self.parts.permissions.refusal(account, to).await?;
        Ok(refused.map(|risk| {
            let what = match risk {
                DialingRisk::Low => "numbers of that country",
                DialingRisk::HighRiskSpecial => "high-risk special numbers of that country",
                DialingRisk::HighRiskTollfraud => "numbers there, which toll fraud is done with",
            };
            format!(
                "Account not authorized to call {to}: its dialing permissions do not allow {what}"
            )
        }))
    }

    async fn insert(
        &self,
        ctx: &Ctx,
        from: String,
        to: String,
        number: Option<Sid>,
        setup: Setup,
    ) -> Result<Call, ApiError> {
        let sid = ctx.clock.sid("CA");
        let mut call = Call::new(sid, "outbound-api", Status::Queued, &from, &to, ctx.now);
        call.number = number;
        call.setup = setup;
        let mut batch = ctx.store.batch();
        call.insert(&mut batch);
        self.send(&mut batch, Letter { call: sid, at: ctx.now, what: What::Place });
        ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
        Ok(call)
    }
}

pub(crate) fn unavailable(error: Unavailable) -> ApiError {
    tracing::error!(%error, "voice could not ask another part");
    ApiError::new(20503, "The service is overloaded or stopping; try again")
}

/// When speech is a machine's.
fn thresholds(ctx: &Ctx) -> Thresholds {
    let millis = |name: &str, default: u64| {
        let given = ctx.form.integer(name).and_then(|millis| u64::try_from(millis).ok());
        given.unwrap_or(default)
    };
    let usual = Thresholds::default();
    Thresholds {
        speech: millis("MachineDetectionSpeechThreshold", usual.speech),
        speech_end: millis("MachineDetectionSpeechEndThreshold", usual.speech_end),
        silence: millis("MachineDetectionSilenceTimeout", usual.silence),
    }
}

impl contracts::VoiceSink for Voice {
    fn report<'a>(&'a self, report: &'a LegReport) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            if report.leg.prefix() != "CA" {
                return self.report_notice(report).await;
            }
            let store = self.parts.store.account(report.account);
            let mut batch = store.batch();
            // Keys may be those of a card: they rest sealed.
            let what = match &report.event {
                LegEvent::Digits(keys) => What::Keys { sealed: self.seal(keys) },
                event => What::Leg(event.clone()),
            };
            self.send(&mut batch, Letter { call: report.leg, at: report.at, what });
            let done = store.commit(batch).await;
            done.map(|_| ()).map_err(|error| Unavailable(error.to_string()))
        })
    }

    /// Differs: who may call in is not checked against anything; there is no caller-name lookup.
    fn inbound<'a>(
        &'a self,
        call: &'a InboundCall,
    ) -> BoxFuture<'a, Result<Option<(Sid, Sid)>, Unavailable>> {
        Box::pin(async move {
            let Some(taken) = self.taken(call).await? else { return Ok(None) };
            let account = taken.account;
            let facts = self.parts.accounts.facts(account).await?;
            if !facts.is_some_and(|facts| facts.is_active) {
                return Ok(None);
            }
            let made = self.made(call, taken);
            let store = self.parts.store.account(account);
            let mut batch = store.batch();
            made.insert(&mut batch);
            let done = store.commit(batch).await;
            done.map_err(|error| Unavailable(error.to_string()))?;
            Ok(Some((account, made.sid)))
        })
    }

    fn keep_sound(&self, file: Vec<u8>) -> BoxFuture<'_, Result<String, Unavailable>> {
        Box::pin(async move {
            let kept = self.parts.blobs.put(&file).await;
            kept.map_err(|error| Unavailable(error.to_string()))
        })
    }

    fn ring(
        &self,
        account: Sid,
        leg: Sid,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let store = self.parts.store.account(account);
            let mut batch = store.batch();
            self.send(&mut batch, Letter { call: leg, at, what: What::Ring });
            let done = store.commit(batch).await;
            done.map(|_| ()).map_err(|error| Unavailable(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_brought_into_one_form() {
        assert_eq!(number("+1 (415) 555-0100").as_deref(), Some("+14155550100"));
        assert_eq!(number("415"), None);
        assert_eq!(called("sip:a@b").unwrap(), "sip:a@b");
        assert!(matches!(called("sip:a b"), Err(error) if error.code == 21211));
        assert!(matches!(called("nobody"), Err(error) if error.code == 21211));
        assert_eq!(called("client:ann").unwrap(), "client:ann");
        assert_eq!(method(None), twiml::Method::Post);
    }
}
