//! `POST /v2/Services/{VA}/Verifications` (verify §2.1): starts a verification, or sends its code
//! once more.

use std::net::IpAddr;

use contracts::{Line, LineKind, NoticeError};
use kernel::{ApiError, Sid};
use numbering::E164;
use rest::{Ctx, Reply};
use serde_json::{Value as Json, json};
use store::StoreError;

use crate::faults::{failed, invalid};
use crate::lifecycle::{self, Event, State, Status};
use crate::limit::{self, Counter};
use crate::plan::{Choices, Plan, Templates, strings};
use crate::service::{Service, check_name};
use crate::verification::{Code, Extra, Silent, Verification, record, refused};
use crate::{Verify, check, guard, safe_list, words};

/// Channels that this platform knows; `rcs` has no network.
const CHANNELS: &[&str] = &["sms", "call", "email", "whatsapp", "sna", "auto", "rcs"];
const TAGS_MAX: usize = 10;
const TAG_CHARS_MAX: usize = 128;
const TEMPLATES_MAX: usize = 10;
const APP_HASH_CHARS: usize = 11;

/// A start that is in order.
#[derive(Clone)]
struct Wish {
    to: String,
    /// The channel it begins with.
    channel: String,
    auto: bool,
    country: String,
    choices: Choices,
    custom_code: Option<String>,
    tags: Json,
    lookup: Json,
    wants_client_token: bool,
}

pub(crate) async fn create(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    let wish = wish(verify, ctx, &service).await?;
    let counters = limit::named(ctx, service.sid()).await?;
    let is_text = matches!(wish.channel.as_str(), "sms" | "call" | "whatsapp");
    let is_checked = is_text && service.guards() && ctx.form.text("RiskCheck") != Some("disable");
    if is_checked && !safe_list::has(&ctx.store, &wish.to).await.map_err(failed(ctx))? {
        guard::check(&ctx.store, service.sid(), &wish.to, ctx.now).await.map_err(failed(ctx))??;
    }
    for _ in 0..crate::DECISIONS_MAX {
        let known = Verification::live(&ctx.store, service.sid(), &wish.to).await;
        let known = known.map_err(failed(ctx))?;
        let mut batch = ctx.store.batch();
        let over = known.as_ref().filter(|known| known.is_over(ctx.now)).cloned();
        let was_over = over.is_some();
        if let Some(mut over) = over {
            over.state.status = Status::Expired;
            verify.ended(&service, &mut over, ctx.now, &mut batch).await.map_err(failed(ctx))?;
        }
        let wish = wish.clone();
        let found = match known.filter(|_| !was_over) {
            Some(known) => again(verify, ctx, &service, wish, known, &mut batch)?,
            None => first(verify, ctx, &service, wish, &mut batch)?,
        };
        for counter in &counters {
            counter.count(&mut batch, ctx.now);
        }
        if !counters.is_empty() {
            limit::forget(&mut batch, ctx.now);
        }
        match ctx.store.commit(batch).await {
            Ok(_) => return Ok(Reply::Record(record(verify, ctx, &found))),
            Err(StoreError::Conflict | StoreError::Duplicate(_)) => {
                if let Some(refusal) = full(ctx, &counters).await.map_err(failed(ctx))? {
                    return Err(refusal);
                }
                // The end of the last one may have been written meanwhile: decide again.
                if !was_over {
                    return Err(crate::busy());
                }
            }
            Err(error) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(crate::busy())
}

/// The refusal of a limit that is reached.
async fn full(ctx: &Ctx, counters: &[Counter]) -> Result<Option<ApiError>, StoreError> {
    let found = limit::first_full(&ctx.store, counters, ctx.now).await?;
    Ok(found.map(|(counter, wait)| limit::refusal(ctx, &counter.limit, wait)))
}

/// A new verification with a code of its own.
fn first(
    verify: &Verify,
    ctx: &Ctx,
    service: &Service,
    wish: Wish,
    batch: &mut store::AccountBatch,
) -> Result<Verification, ApiError> {
    let sid = ctx.clock.sid("VE");
    let code_length = service.code_length();
    let code = wish.custom_code.clone().unwrap_or_else(|| verify.new_code(code_length));
    let mut found = Verification {
        sid,
        service: service.sid().to_owned(),
        to: wish.to,
        channel: wish.channel.clone(),
        state: State {
            status: Status::Pending,
            sends: 1,
            checks: 0,
            expires_at: ctx.now + verify.parts.lifetime,
        },
        code: Some(Code { hash: verify.hash(sid, &code), sealed: verify.parts.sealer.seal(&code) }),
        country: wish.country,
        extra: Extra {
            choices: wish.choices,
            has_custom_code: wish.custom_code.is_some(),
            code_length,
            tags: wish.tags,
            lookup: wish.lookup,
            auto: wish.auto,
            ..Extra::default()
        },
        date_created: ctx.now,
        date_updated: ctx.now,
        version: 1,
    };
    let attempt = verify.attempt(service, &mut found, &wish.channel, ctx.now, batch)?;
    listen(ctx, &mut found, attempt, wish.wants_client_token);
    found.insert(batch);
    verify.promise_end(&found, batch);
    verify.tell(service, &found, "pending", ctx.now, batch);
    Ok(found)
}

/// The same code once more, maybe on another channel.
// Differs: another CustomCode than the first one's is ignored.
fn again(
    verify: &Verify,
    ctx: &Ctx,
    service: &Service,
    wish: Wish,
    mut found: Verification,
    batch: &mut store::AccountBatch,
) -> Result<Verification, ApiError> {
    found.state = lifecycle::apply(found.state, Event::Sent, ctx.now)
        .map_err(|refusal| refused(refusal, &ctx.path))?;
    found.extra.choices = wish.choices;
    found.extra.auto = wish.auto;
    if !wish.tags.is_null() {
        found.extra.tags = wish.tags;
    }
    let attempt = verify.attempt(service, &mut found, &wish.channel, ctx.now, batch)?;
    listen(ctx, &mut found, attempt, wish.wants_client_token);
    found.update(batch, ctx.now);
    verify.tell(service, &found, "pending", ctx.now, batch);
    Ok(found)
}

/// A silent authentication waits for its URL to be asked.
fn listen(ctx: &Ctx, found: &mut Verification, attempt: Sid, wants_client_token: bool) {
    if found.channel == "sna" {
        found.extra.silent = Some(Silent {
            secret: ctx.clock.hex_token(32),
            attempt,
            result: None,
            client_token: wants_client_token.then(|| ctx.clock.alphanumeric_token(40)),
        });
    }
}

async fn wish(verify: &Verify, ctx: &Ctx, service: &Service) -> Result<Wish, ApiError> {
    let form = &ctx.form;
    let asked = form.text("Channel").unwrap_or_default();
    if !CHANNELS.contains(&asked) {
        return Err(invalid("Channel", asked));
    }
    let to = form.text("To").unwrap_or_default();
    let (to, country) = recipient(to, asked).ok_or_else(|| invalid("To", to))?;
    let line = match asked == "email" {
        true => None,
        false => Some(verify.parts.lines.line(&to).await.map_err(crate::unavailable)?),
    };
    let auto = asked == "auto";
    let can_be_silent =
        verify.parts.development && line.as_ref().is_some_and(|line| line.kind == LineKind::Mobile);
    let channel = match (auto, can_be_silent) {
        (true, true) => "sna",
        (true, false) => "sms",
        (false, _) => asked,
    };
    check_channel(verify, service, channel, line.as_ref())?;
    let choices = choices(ctx)?;
    if let Some(template) = &choices.mail_template {
        check_template(verify, ctx, template).await?;
    }
    // Everything that can be said later must be sayable.
    let ttl = verify.parts.lifetime.as_secs() / 60;
    if channel != "sna" {
        Plan::new(service, &choices, channel, &country, ttl)?;
    }
    Ok(Wish {
        custom_code: custom_code(ctx, service)?,
        tags: tags(ctx)?,
        lookup: match (&line, service.flag("lookup_enabled") || channel == "sna") {
            (Some(line), true) => json!({"carrier": carrier(line)}),
            _ => json!({}),
        },
        wants_client_token: form.boolean("EnableSnaClientToken").unwrap_or(false),
        channel: channel.to_owned(),
        to,
        auto,
        country,
        choices,
    })
}

/// The recipient in its normal form, and its country.
fn recipient(to: &str, channel: &str) -> Option<(String, String)> {
    if channel == "email" {
        let (user, host) = to.rsplit_once('@')?;
        let is_plain = |part: &str| {
            !part.is_empty() && part.chars().all(|c| !c.is_whitespace() && !c.is_control())
        };
        let fits = is_plain(user) && is_plain(host) && host.contains('.') && !to.contains(',');
        return fits.then(|| (to.to_owned(), String::new()));
    }
    let number = E164::parse(to).ok()?;
    let country = number.country().map_or("", |country| country.iso);
    Some((number.to_string(), country.to_owned()))
}

/// # Errors
/// 60223 for a channel that no network carries, 60217 without mail, 68008 without a WhatsApp
/// sender, 60205 for a text to a landline, 60329 and 60001 for silent authentication that cannot be.
fn check_channel(
    verify: &Verify,
    service: &Service,
    channel: &str,
    line: Option<&Line>,
) -> Result<(), ApiError> {
    if channel == "sna" {
        if service.flag("psd2_enabled") {
            return Err(ApiError::new(60329, "Silent authentication cannot confirm a payment"));
        }
        // Differs: only the simulated network can authenticate silently, in the development profile.
        if !verify.parts.development {
            let why = "No carrier of this instance authenticates silently";
            return Err(ApiError::new(60001, why).with_status(400));
        }
        return Ok(());
    }
    let is_set = |field: &str| service.0.fields["whatsapp"].get(field).is_some_and(Json::is_string);
    let whatsapp = service.0.fields.contains_key("whatsapp");
    if channel == "whatsapp" && !(whatsapp && (is_set("from") || is_set("msg_service_sid"))) {
        let why = "Set Whatsapp.From or Whatsapp.MsgServiceSid of the service";
        return Err(ApiError::new(68008, why));
    }
    if verify.sender(channel).is_none() {
        return Err(match channel {
            "email" => ApiError::new(60217, "This instance has no mailer"),
            _ => ApiError::new(60223, format!("Delivery channel disabled: {channel}")),
        });
    }
    let is_landline = line.is_some_and(|line| line.kind == LineKind::Landline);
    let skips = service.flag("lookup_enabled") && service.flag("skip_sms_to_landlines");
    if channel == "sms" && skips && is_landline {
        return Err(ApiError::new(60205, "SMS is not supported by landline phone number"));
    }
    Ok(())
}

/// # Errors
/// 60218 for a mail template that is not there, 60219 for one that shows no code.
async fn check_template(verify: &Verify, ctx: &Ctx, template: &str) -> Result<(), ApiError> {
    let needed = ["twilio_code", "twilio_message"];
    let Some(sender) = verify.sender("email") else { return Ok(()) };
    match sender.check_template(ctx.account, template, &needed).await {
        Ok(()) => Ok(()),
        Err(NoticeError::Refused { code: 60219 }) => {
            let why = format!(
                "The mail template {template} has neither {{{{twilio_code}}}} nor {{{{twilio_message}}}} in it"
            );
            Err(ApiError::new(60219, why))
        }
        Err(NoticeError::Refused { code }) => {
            Err(ApiError::new(code, format!("There is no active mail template {template}")))
        }
        Err(NoticeError::Unavailable(why)) => Err(crate::unavailable(why)),
    }
}

fn carrier(line: &Line) -> Json {
    json!({
        "mobile_country_code": line.mobile_country_code,
        "mobile_network_code": line.mobile_network_code,
        "name": line.carrier,
        "type": line.kind.as_str(),
        "error_code": null,
    })
}

/// 60204 where the service does not allow it.
fn custom_code(ctx: &Ctx, service: &Service) -> Result<Option<String>, ApiError> {
    let Some(code) = ctx.form.text("CustomCode") else { return Ok(None) };
    if !service.flag("custom_code_enabled") {
        let why = "The service does not take a CustomCode: set CustomCodeEnabled";
        return Err(ApiError::new(60204, why));
    }
    check::check_form(code)
        .map_err(|_| invalid("CustomCode", "it has 4 to 10 letters or digits"))?;
    Ok(Some(code.to_owned()))
}

// Differs: DeviceIp is checked and not used.
fn choices(ctx: &Ctx) -> Result<Choices, ApiError> {
    let form = &ctx.form;
    let text = |name: &str| form.text(name).map(str::to_owned);
    let json = |name: &str| {
        form.text(name).map(|text| serde_json::from_str::<Json>(text).unwrap_or(Json::Null))
    };
    if let Some(name) = form.text("CustomFriendlyName") {
        check_name("CustomFriendlyName", name)?;
    }
    let locale = match form.text("Locale") {
        None => None,
        Some(locale) => {
            let known = words::known(locale).ok_or_else(|| invalid("Locale", locale))?;
            Some(known.to_owned())
        }
    };
    if let Some(ip) = form.text("DeviceIp")
        && ip.parse::<IpAddr>().is_err()
    {
        return Err(invalid("DeviceIp", ip));
    }
    if let Some(digits) = form.text("SendDigits")
        && !digits.bytes().all(|b| b.is_ascii_digit() || b"wW#*".contains(&b))
    {
        return Err(invalid("SendDigits", "it has digits, #, * and w"));
    }
    let app_hash = text("AppHash");
    if let Some(hash) = &app_hash
        && (hash.len() != APP_HASH_CHARS || !hash.bytes().all(|b| b.is_ascii_graphic()))
    {
        return Err(invalid("AppHash", "it has 11 characters"));
    }
    let mail = json("ChannelConfiguration").unwrap_or(json!({}));
    if !mail.is_object() {
        return Err(invalid("ChannelConfiguration", "it is not a JSON object"));
    }
    let mail_text = |name: &str| mail.get(name).and_then(Json::as_str).map(str::to_owned);
    let substitutions = mail.get("substitutions").filter(|given| !given.is_null());
    Ok(Choices {
        locale,
        friendly_name: text("CustomFriendlyName"),
        message: message(ctx)?,
        templates: templates(ctx, json("Templates"), json("TemplateCustomSubstitutions"))?,
        app_hash,
        amount: text("Amount"),
        payee: text("Payee"),
        send_digits: text("SendDigits"),
        mail_from: match (mail_text("from"), mail_text("from_name")) {
            (Some(from), Some(name)) if !name.contains(['<', '>', '\r', '\n', '"']) => {
                Some(format!("\"{name}\" <{from}>"))
            }
            (from, _) => from,
        },
        mail_template: mail_text("template_id"),
        mail_substitutions: match substitutions {
            Some(given) => strings("ChannelConfiguration", given)?,
            None => Default::default(),
        },
    })
}

/// The whole text of the sender's own.
// Differs: it need not be approved, and must have {{code}} or the CustomCode in it.
fn message(ctx: &Ctx) -> Result<Option<String>, ApiError> {
    let Some(message) = ctx.form.text("CustomMessage") else { return Ok(None) };
    if ctx.form.text("Channel") != Some("sms") {
        return Err(invalid("CustomMessage", "it is for the channel sms only"));
    }
    let has_code = words::names(message).contains(&"code")
        || ctx.form.text("CustomCode").is_some_and(|code| message.contains(code));
    match has_code {
        true => Ok(Some(message.to_owned())),
        false => Err(invalid("CustomMessage", "it has neither {{code}} nor the CustomCode")),
    }
}

/// `Templates`, or the one of `TemplateSid`.
fn templates(
    ctx: &Ctx,
    list: Option<Json>,
    substitutions: Option<Json>,
) -> Result<Templates, ApiError> {
    if let Some(list) = list {
        let list = list.as_array().cloned().unwrap_or_default();
        if list.is_empty() || list.len() > TEMPLATES_MAX {
            return Err(invalid("Templates", "it is a JSON array of 1 to 10 templates"));
        }
        let all = list.iter().map(|item| {
            let sid = item.get("sid").and_then(Json::as_str);
            let sid = sid.ok_or_else(|| invalid("Templates", "a template has no sid"))?;
            let given = item.get("substitutions").filter(|given| !given.is_null());
            let given = given.map(|given| strings("Templates", given)).transpose()?;
            Ok((sid.to_owned(), given.unwrap_or_default()))
        });
        return all.collect();
    }
    let Some(sid) = ctx.form.text("TemplateSid") else { return Ok(Vec::new()) };
    let given = substitutions.map(|json| strings("TemplateCustomSubstitutions", &json));
    Ok(vec![(sid.to_owned(), given.transpose()?.unwrap_or_default())])
}

fn tags(ctx: &Ctx) -> Result<Json, ApiError> {
    let Some(text) = ctx.form.text("Tags") else { return Ok(Json::Null) };
    let tags = strings("Tags", &serde_json::from_str(text).unwrap_or(Json::Null))?;
    let is_long = |text: &String| text.chars().count() > TAG_CHARS_MAX;
    if tags.len() > TAGS_MAX || tags.iter().any(|(name, value)| is_long(name) || is_long(value)) {
        return Err(invalid("Tags", "it has ten pairs of 128 characters at most"));
    }
    Ok(json!(tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_numbers_or_mail_addresses() {
        for (to, channel, normal) in [
            ("+14155550123", "sms", Some("+14155550123")),
            ("ada@owl.example", "email", Some("ada@owl.example")),
            ("ada@owl.example", "sms", None),
            ("+14155550123", "email", None),
            ("a b@owl.example", "email", None),
            ("a@x.y,b@x.y", "email", None),
            ("14155550123x", "call", None),
            ("@owl.example", "email", None),
        ] {
            assert_eq!(recipient(to, channel).map(|(to, _)| to).as_deref(), normal, "{to}");
        }
    }
}
