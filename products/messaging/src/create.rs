//! Deciding whether a message is accepted (messaging §1).
//!
//! Order of checks: sender given, recipient's form, channel, sender's ownership,
//! opt-out, content. The first fault is the answer.

use std::sync::Arc;
use std::time::Duration;

use contracts::{NumberOwner, Unavailable};
use jobs::{Lane, NewJob};
use kernel::{ApiError, Sid, Timestamp};
use numbering::{Address, AddressError, AlphaSender, E164, Kind};
use rest::{Ctx, Reply};
use serde::{Deserialize, Serialize};
use store::{AccountBatch, AccountStore, StoreError};

use crate::lifecycle::Status;
use crate::message::{Extra, Message};
use crate::sandbox::SANDBOX;
use crate::service::{Need, Service, no_service, select};
use crate::{Messaging, content, magic, opt_out};

/// Queue of messages that wait for their carrier.
pub(crate) const DISPATCH: &str = "message.dispatch";
/// How far ahead a message may be scheduled (messaging §13).
const SCHEDULE_LEAST: Duration = Duration::from_secs(300);
const SCHEDULE_MOST: Duration = Duration::from_secs(35 * 24 * 60 * 60);
pub(crate) const BODY_CHARS_MAX: usize = 1600;
pub(crate) const MEDIA_MAX: usize = 10;

/// The job behind a message.
#[derive(Serialize, Deserialize)]
pub(crate) struct Dispatch {
    pub sid: Sid,
}

/// A message somebody wants sent.
pub(crate) struct Wish<'a> {
    pub direction: &'static str,
    /// `None`: the service chooses.
    pub from: Option<&'a str>,
    pub service: Option<Arc<Service>>,
    /// Not now, but then; needs a service.
    pub send_at: Option<Timestamp>,
    pub to: &'a str,
    pub body: &'a str,
    pub media_urls: Vec<String>,
    pub as_mms: bool,
    pub smart_encoded: bool,
    pub status_callback: Option<String>,
    pub extra: Extra,
}

/// An accepted message that is not yet written.
pub(crate) struct Accepted {
    pub message: Message,
    /// By which it leaves, when its sender is known and paced.
    pub lane: Option<Lane>,
    /// The sender came into being with it (development profile).
    pub adopted: Option<String>,
}

/// A sender that was named and may send.
#[derive(Default)]
struct Checked {
    address: Option<Address>,
    /// `PN…` or `SC…`.
    number: Option<Sid>,
    /// The sender came into being with the message (development profile).
    adopted: Option<String>,
}

/// `POST /Messages`.
pub(crate) async fn create(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let form = &ctx.form;
    let (from, service) = sender_of(messaging, ctx).await?;
    let send_at = check_schedule(ctx)?;
    let content = messaging.content_of(ctx).await?;
    let media_urls = match &content {
        Some(content) => content.media.clone(),
        None => form.list("MediaUrl").into_iter().map(str::to_owned).collect(),
    };
    if media_urls.len() > MEDIA_MAX {
        let why =
            format!("{} 'MediaUrl' parameters; at most {MEDIA_MAX} are allowed", media_urls.len());
        return Err(ApiError::new(21623, why));
    }
    let shorten_urls = form.boolean("ShortenUrls").unwrap_or(false);
    if shorten_urls {
        messaging.check_shortening(ctx, service.as_deref()).await?;
    }
    let smart_encoded = form
        .boolean("SmartEncoded")
        .unwrap_or(service.as_ref().is_some_and(|service| service.smart_encoding));
    let extra = Extra {
        // Rendered again when it leaves: by a service, or on a channel with its window.
        content: (service.is_some() || form.text("To").is_some_and(|to| to.contains(':')))
            .then(|| content::use_of(ctx, smart_encoded))
            .flatten(),
        media_urls: media_urls.clone(),
        risk_check_off: form.text("RiskCheck") == Some("disable"),
        provide_feedback: form.boolean("ProvideFeedback").unwrap_or(false),
        validity_seconds: form
            .integer("ValidityPeriod")
            .or(service.as_ref().and_then(|service| service.validity_seconds)),
        obfuscate: form.text("AddressRetention") == Some("obfuscate"),
        shorten_urls,
        marketing: match form.text("MessageIntent") {
            Some(intent) => intent == "marketing",
            None => service.as_ref().is_some_and(|service| service.is_marketing),
        },
        send_at,
        ..Extra::default()
    };
    let wish = Wish {
        direction: "outbound-api",
        from,
        send_at,
        to: form.text("To").unwrap_or_default(),
        body: match &content {
            Some(content) => &content.body,
            None => form.raw("Body").unwrap_or_default(),
        },
        media_urls,
        as_mms: form.boolean("SendAsMms").unwrap_or(false),
        smart_encoded,
        status_callback: messaging.status_callback(ctx, service.as_deref()).await?,
        extra,
        service,
    };
    if ctx.is_test() {
        let to = recipient(wish.to);
        let magic_to = to.as_ref().map_or(wish.to.to_owned(), ToString::to_string);
        magic::check(wish.from.unwrap_or_default(), &magic_to)?;
        let to = to?.to_string();
        check_content(&wish)?;
        return Ok(Reply::Record(new_message(ctx.now, ctx.clock.sid("SM"), &wish, to).record(ctx)));
    }
    let accepted = messaging.accept(&ctx.store, &wish).await?;
    if let Some(adopted) = &accepted.adopted {
        ctx.announce_adoption(adopted);
    }
    let mut batch = ctx.store.batch();
    messaging.queue(&accepted.message, accepted.lane, &mut batch);
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Record(accepted.message.record(ctx)))
}

/// The sender and the service that a request names; at least one of them.
async fn sender_of<'a>(
    messaging: &Messaging,
    ctx: &'a Ctx,
) -> Result<(Option<&'a str>, Option<Arc<Service>>), ApiError> {
    // A service may be named as the sender.
    let from = ctx.form.text("From");
    let (from, service) = match ctx.form.text("MessagingServiceSid") {
        Some(service) => (from, Some(service)),
        None if from.is_some_and(|from| Sid::is_form("MG", from)) => (None, from),
        None => (from, None),
    };
    let Some(service) = service else {
        return match from {
            Some(_) => Ok((from, None)),
            None => {
                Err(ApiError::new(21603, "A 'From' or 'MessagingServiceSid' parameter is required"))
            }
        };
    };
    if !Sid::is_form("MG", service) {
        let why = format!("MessagingServiceSid '{service}' is not a SID that begins with MG");
        return Err(ApiError::new(21705, why));
    }
    let found = messaging.service(&ctx.store, service).await.map_err(store_failed)?;
    Ok((from, Some(found.ok_or_else(|| no_service(service))?)))
}

/// When to send: more than five minutes and at most 35 days ahead, with a service (35118).
fn check_schedule(ctx: &Ctx) -> Result<Option<Timestamp>, ApiError> {
    let Some(at) = ctx.form.time("SendAt") else {
        if ctx.form.text("ScheduleType").is_some() {
            let why = "A 'SendAt' parameter is required with 'ScheduleType'";
            return Err(ApiError::new(35111, why));
        }
        return Ok(None);
    };
    if ctx.form.text("ScheduleType").is_none() {
        let why = "A 'ScheduleType' of 'fixed' is required with 'SendAt'";
        return Err(ApiError::new(35112, why));
    }
    let has_service = ctx.form.text("MessagingServiceSid").is_some()
        || ctx.form.text("From").is_some_and(|from| Sid::is_form("MG", from));
    if !has_service {
        let why = "A 'MessagingServiceSid' is required to schedule a message";
        return Err(ApiError::new(35118, why));
    }
    if at <= ctx.now + SCHEDULE_LEAST || at > ctx.now + SCHEDULE_MOST {
        let why = "'SendAt' must be more than 300 seconds and at most 35 days ahead";
        return Err(ApiError::new(35114, why));
    }
    Ok(Some(at))
}

impl Messaging {
    /// The URL that status posts go to: the message's own, else its application's, else its
    /// service's.
    async fn status_callback(
        &self,
        ctx: &Ctx,
        service: Option<&Service>,
    ) -> Result<Option<String>, ApiError> {
        if let Some(url) = ctx.form.text("StatusCallback") {
            return Ok(Some(url.to_owned()));
        }
        let Some(application) = ctx.form.sid("ApplicationSid") else {
            return Ok(service.and_then(|service| service.status_callback.clone()));
        };
        let url = self.parts.numbers.application_status_url(ctx.account, application).await;
        url.map_err(unavailable)
    }

    /// Decides; writes nothing but an adopted sender.
    pub(crate) async fn accept(
        &self,
        store: &AccountStore,
        wish: &Wish<'_>,
    ) -> Result<Accepted, ApiError> {
        let to = recipient(wish.to)?;
        let wants_mms = wish.as_mms || !wish.media_urls.is_empty();
        let checked = match wish.from {
            Some(from) => self.check_from(store, from, &to, wish, wants_mms).await?,
            None => Checked::default(),
        };
        if let Some(number) = to.number() {
            self.check_geo(store, number).await.map_err(store_failed)??;
        }
        let clock = &self.parts.clock;
        let sid = clock.sid(if wants_mms { "MM" } else { "SM" });
        let scope = match &wish.service {
            Some(service) => {
                check_pool(service, &checked, &to, wants_mms)?;
                Some(service.sid.clone())
            }
            None => self.scope(store, &checked).await.map_err(store_failed)?,
        };
        let to_text = to.to_string();
        if let Some(scope) = scope
            && opt_out::is_opted_out(store, &scope, &to_text).await.map_err(store_failed)?
        {
            let why = format!("The recipient {to_text} has unsubscribed from {scope}");
            return Err(ApiError::new(21610, why));
        }
        check_content(wish)?;
        let mut message = new_message(clock.now(), sid, wish, to_text);
        message.from = checked.address.map(|from| from.to_string());
        let lane = match message.status {
            Status::Queued => self.lane(store, &message).await.map_err(store_failed)?,
            _ => None,
        };
        if let Some(lane) = &lane
            && !self.has_room(store, &message, lane).await.map_err(store_failed)?
        {
            let from = message.from.unwrap_or_default();
            return Err(ApiError::new(21611, format!("The queue of 'From' {from} is full")));
        }
        Ok(Accepted { message, lane, adopted: checked.adopted })
    }

    /// The sender that was named must be one, and the account's.
    async fn check_from(
        &self,
        store: &AccountStore,
        text: &str,
        to: &Address,
        wish: &Wish<'_>,
        wants_mms: bool,
    ) -> Result<Checked, ApiError> {
        let from = Address::parse_from(text).map_err(|error| sender_refusal(text, error))?;
        if from.channel() != to.channel() {
            let why = format!("From {text} and To {} are on different channels", wish.to);
            return Err(ApiError::new(21910, why));
        }
        if &from == to {
            return Err(ApiError::new(21266, format!("To and From are both {}", wish.to)));
        }
        let (number, adopted) = self.check_sender(store, &from, to, wants_mms).await?;
        Ok(Checked { address: Some(from), number, adopted })
    }

    /// What an opt-out of this sender counts for: its service, or itself.
    async fn scope(
        &self,
        store: &AccountStore,
        checked: &Checked,
    ) -> Result<Option<String>, StoreError> {
        let service = match checked.number {
            Some(number) => self.service_of(store, number).await?,
            None => None,
        };
        Ok(match service {
            Some(service) => Some(service.sid.clone()),
            None => checked.address.as_ref().map(ToString::to_string),
        })
    }

    /// The promise that a message is dispatched: at its time, or by its lane.
    pub(crate) fn dispatch_job(&self, message: &Message, lane: Option<Lane>) -> NewJob {
        let clock = &self.parts.clock;
        let job = NewJob::now(DISPATCH, clock, &Dispatch { sid: message.sid });
        match lane {
            Some(lane) => job.paced(lane),
            None => job.at(message.extra.send_at.unwrap_or(clock.now())),
        }
    }

    /// Writes an accepted message and promises its dispatch.
    pub(crate) fn queue(&self, message: &Message, lane: Option<Lane>, batch: &mut AccountBatch) {
        message.insert(batch);
        jobs::add(batch, &self.parts.clock, self.dispatch_job(message, lane));
    }

    /// The sender must be the account's and able; its SID if it is a number, and what was
    /// adopted.
    async fn check_sender(
        &self,
        store: &AccountStore,
        from: &Address,
        to: &Address,
        wants_mms: bool,
    ) -> Result<(Option<Sid>, Option<String>), ApiError> {
        let (text, account) = (from.to_string(), store.account());
        match from {
            Address::E164(number) if !number.is_valid() => {
                return Err(ApiError::new(21212, format!("The 'From' number {text} is not valid")));
            }
            Address::E164(_) | Address::ShortCode(_) => {}
            Address::Alphanumeric(name) => {
                return check_alphanumeric(name, to).map(|()| (None, None));
            }
            Address::Channel { .. } => {
                let (sid, adopted) = self.check_channel_sender(store, &text).await?;
                return Ok((Some(sid), adopted));
            }
            Address::Sim(_) => {
                let why = format!("The 'From' address {text} is a SIM; SIMs are not supported");
                return Err(ApiError::new(21212, why));
            }
        }
        if let Some(owner) = self.parts.numbers.owner(&text).await.map_err(unavailable)? {
            check_owner(account, &owner, &text, wants_mms)?;
            return Ok((Some(owner.sid), None));
        }
        let not_ours = || {
            let why = format!("'From' {text} is not a phone number or short code of this platform");
            ApiError::new(21659, why)
        };
        if !self.parts.development {
            return Err(not_ours());
        }
        let adopted = self.parts.numbers.adopt(account, &text).await.map_err(unavailable)?;
        let owner = adopted.ok_or_else(not_ours)?;
        check_owner(account, &owner, &text, wants_mms)?;
        Ok((Some(owner.sid), Some(owner.sid.to_string())))
    }
}

impl Messaging {
    /// A channel's sender must be the account's: 63007. In development an unknown one is; the
    /// sandbox is everybody's.
    async fn check_channel_sender(
        &self,
        store: &AccountStore,
        text: &str,
    ) -> Result<(Sid, Option<String>), ApiError> {
        if text == SANDBOX {
            let sandbox = self.sandbox(store).await.map_err(store_failed)?;
            return Ok((sandbox.sender, None));
        }
        let owner = self.parts.numbers.owner(text).await.map_err(unavailable)?;
        match owner {
            Some(owner) if owner.account == store.account() => Ok((owner.sid, None)),
            None if self.parts.development => {
                let sid = self.adopt_channel_sender(store, text).await.map_err(store_failed)?;
                Ok((sid, Some(sid.to_string())))
            }
            _ => {
                let why = format!("No channel sender {text} is set up in this account");
                Err(ApiError::new(63007, why).with_status(400))
            }
        }
    }
}

/// 21704: an empty pool; 21711: a sender that is not in it; 21703: none that reaches the
/// recipient.
fn check_pool(
    service: &Service,
    checked: &Checked,
    to: &Address,
    wants_mms: bool,
) -> Result<(), ApiError> {
    if service.pool.is_empty() {
        let why = format!("The Messaging Service {} has no senders", service.sid);
        return Err(ApiError::new(21704, why));
    }
    if let Some(from) = &checked.address {
        if service.has(from) {
            return Ok(());
        }
        let why = format!("'From' {from} is not in the pool of {}", service.sid);
        return Err(ApiError::new(21711, why).with_status(400));
    }
    let need = Need {
        to,
        mms: wants_mms && !service.mms_converter,
        sticky: None,
        geomatch: service.geomatch,
        spread: 0,
    };
    match select(&service.pool, &need) {
        Some(_) => Ok(()),
        None => {
            let why = format!("No sender of {} can reach {to}", service.sid);
            Err(ApiError::new(21703, why))
        }
    }
}

fn check_owner(
    account: Sid,
    owner: &NumberOwner,
    text: &str,
    wants_mms: bool,
) -> Result<(), ApiError> {
    if owner.account != account {
        let why = format!("'From' {text} does not belong to account {account}");
        return Err(ApiError::new(21660, why));
    }
    if !owner.sms {
        return Err(ApiError::new(21661, format!("'From' {text} cannot send SMS")));
    }
    if wants_mms && !owner.mms {
        return Err(ApiError::new(21621, format!("'From' {text} cannot send MMS")));
    }
    Ok(())
}

/// Names may send where the country's networks show them.
fn check_alphanumeric(name: &str, to: &Address) -> Result<(), ApiError> {
    let country = to.number().and_then(E164::country);
    match country {
        Some(country) if country.alphanumeric == AlphaSender::Unsupported => {
            let why = format!("The alphanumeric sender '{name}' cannot reach {}", country.name);
            Err(ApiError::new(21612, why))
        }
        _ => Ok(()),
    }
}

/// The recipient in its normal form.
pub(crate) fn recipient(text: &str) -> Result<Address, ApiError> {
    let invalid = || {
        // A form decodes a bare plus sign as a space.
        if text.starts_with(' ') {
            let why = format!(
                "The 'To' number '{text}' begins with a space: send the plus sign of +{} as %2B",
                text.trim_start()
            );
            return ApiError::new(21211, why);
        }
        let why =
            format!("The 'To' number {text} is not a valid phone number: use E.164, +14155550100");
        ApiError::new(21211, why)
    };
    let to = Address::parse_to(text).map_err(|error| match error {
        AddressError::Empty => rest::missing("To", 21604),
        AddressError::ShortCodeDestination => {
            ApiError::new(21265, format!("The 'To' number {text} is a short code"))
        }
        AddressError::SeveralRecipients => {
            ApiError::new(21653, "'To' takes one recipient; send one request for each")
        }
        _ => invalid(),
    })?;
    if let Some(number) = to.number() {
        if !number.is_valid() {
            return Err(invalid());
        }
        if matches!(to, Address::E164(_)) && number.kind() == Kind::FixedLine {
            return Err(ApiError::new(
                21614,
                format!("The 'To' number {text} is not a mobile number"),
            ));
        }
    }
    Ok(to)
}

fn sender_refusal(text: &str, error: AddressError) -> ApiError {
    match error {
        AddressError::Empty => ApiError::new(21603, "A 'From' parameter is required"),
        _ => {
            let why = format!(
                "The 'From' number {text} is not a valid phone number, short code or alphanumeric sender"
            );
            ApiError::new(21212, why)
        }
    }
}

fn check_content(wish: &Wish<'_>) -> Result<(), ApiError> {
    if wish.body.is_empty() && wish.media_urls.is_empty() {
        return Err(ApiError::new(21619, "A 'Body', 'MediaUrl' or 'ContentSid' is required"));
    }
    let length = wish.body.chars().count();
    if length > BODY_CHARS_MAX {
        let why =
            format!("The 'Body' has {length} characters; at most {BODY_CHARS_MAX} are allowed");
        return Err(ApiError::new(21617, why));
    }
    Ok(())
}

fn new_message(now: Timestamp, sid: Sid, wish: &Wish<'_>, to: String) -> Message {
    let body = match wish.smart_encoded {
        true => sms::smart_encode(wish.body).into_owned(),
        false => wish.body.to_owned(),
    };
    let segments = match sid.prefix() {
        "MM" => 1,
        _ if to.contains(':') => 1,
        _ => i64::try_from(sms::segments(&body).count).unwrap_or(i64::MAX),
    };
    Message {
        sid,
        direction: wish.direction,
        status: match (wish.send_at, &wish.service) {
            (Some(_), _) => Status::Scheduled,
            (None, Some(_)) => Status::Accepted,
            (None, None) => Status::Queued,
        },
        from: wish.from.map(str::to_owned),
        to,
        body,
        service: wish.service.as_ref().map(|service| service.sid.clone()),
        segments,
        media: i64::try_from(wish.media_urls.len()).unwrap_or(0),
        error_code: None,
        price: None,
        status_callback: wish.status_callback.clone(),
        extra: wish.extra.clone(),
        date_created: now,
        date_sent: None,
        date_updated: now,
        version: 1,
    }
}

/// A port that cannot answer: 20503 / 503, nothing has happened yet.
pub(crate) fn unavailable(error: Unavailable) -> ApiError {
    tracing::error!(%error, "messaging could not ask another part");
    ApiError::new(20503, "The service is overloaded or stopping; try again")
}

fn store_failed(error: StoreError) -> ApiError {
    unavailable(Unavailable(error.to_string()))
}
