//! Messages made of Content templates (whatsapp-content §3, §4).
//!
//! A template is rendered when the message is accepted, so that the caller hears what is wrong;
//! a service's message is rendered again when it gets its sender, which may be weeks later.

use contracts::ContentTemplate;
use jobs::Failure;
use kernel::{ApiError, Sid};
use numbering::{Address, Channel};
use rest::Ctx;
use serde::{Deserialize, Serialize};
use store::{AccountBatch, AccountStore};
use template::{
    Fault, Header, Template, Terms, TextMessage, Values, WhatsAppMessage, text_message,
    whatsapp_message,
};

use crate::Messaging;
use crate::create::{BODY_CHARS_MAX, MEDIA_MAX, unavailable};
use crate::message::Message;
use crate::sandbox::SANDBOX;

/// The template of a message that has no sender yet, and what fills it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ContentUse {
    sid: Sid,
    /// `ContentVariables`: JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variables: Option<String>,
    /// The rendered body is to be smart encoded.
    #[serde(default)]
    smart_encoded: bool,
}

/// The template that a request names.
pub(crate) fn use_of(ctx: &Ctx, smart_encoded: bool) -> Option<ContentUse> {
    let variables = ctx.form.text("ContentVariables").map(str::to_owned);
    Some(ContentUse { sid: ctx.form.sid("ContentSid")?, variables, smart_encoded })
}

impl Messaging {
    /// What `ContentSid` and `ContentVariables` make of a request; `None` without them.
    ///
    /// Differs: ContentSid wins over MediaUrl as it does over Body. Templates go by SMS, MMS and
    /// WhatsApp only.
    ///
    /// # Errors
    /// 400: 21654 for variables without a template, 21655 for an unknown template, 21656 for
    /// variables that are none, 216602 for a template that SMS and MMS cannot show, 21620 for
    /// media whose URL is none when it is filled.
    pub(crate) async fn content_of(&self, ctx: &Ctx) -> Result<Option<TextMessage>, ApiError> {
        let Some(content) = use_of(ctx, false) else {
            return match ctx.form.text("ContentVariables") {
                Some(_) => {
                    let why = "A 'ContentSid' parameter is required with 'ContentVariables'";
                    Err(ApiError::new(21654, why))
                }
                None => Ok(None),
            };
        };
        let found = self.parts.content.template(ctx.account, content.sid).await;
        let found = found.map_err(unavailable)?;
        let to = ctx.form.text("To").and_then(|to| Address::parse_to(to).ok());
        match to.and_then(|to| to.channel()) {
            None => {}
            Some(Channel::Whatsapp) => {
                // What it needs is known when it leaves; what is wrong with it in any case, now.
                let best = |template: &ContentTemplate| {
                    whatsapp(template, &content, true, template.whatsapp.is_some())
                };
                let shown = found.as_ref().ok_or_else(|| unknown(&content)).and_then(best);
                let shown = shown.map_err(|fault| ApiError::new(fault.code, fault.why))?;
                return Ok(Some(TextMessage { media: media_of(&shown), body: shown.body }));
            }
            Some(_) => {
                let why = format!("{} cannot be sent on that channel", content.sid);
                return Err(ApiError::new(216602, why));
            }
        }
        let rendered = rendered(found.as_ref(), &content);
        rendered.map(Some).map_err(|fault| ApiError::new(fault.code, fault.why))
    }

    /// Renders the template of a message as it is now; the code of why it cannot be.
    pub(crate) async fn render_again(
        &self,
        account: Sid,
        message: &mut Message,
    ) -> Result<Result<(), u32>, Failure> {
        let Some(content) = message.extra.content.clone() else { return Ok(Ok(())) };
        // On a channel the terms are those of the moment at which it leaves.
        if message.to.contains(':') {
            return Ok(Ok(()));
        }
        let found = self.parts.content.template(account, content.sid).await;
        let found = found.map_err(|error| Failure::Retry(error.0))?;
        let rendered = match rendered(found.as_ref(), &content) {
            Ok(rendered) => rendered,
            Err(fault) => {
                tracing::debug!(sid = %message.sid, %fault, "a template is of no use any more");
                return Ok(Err(fault.code));
            }
        };
        message.body = match content.smart_encoded {
            true => sms::smart_encode(&rendered.body).into_owned(),
            false => rendered.body,
        };
        message.media = i64::try_from(rendered.media.len()).unwrap_or(i64::MAX);
        message.segments = match rendered.media.is_empty() && message.sid.prefix() == "SM" {
            true => i64::try_from(sms::segments(&message.body).count).unwrap_or(i64::MAX),
            false => 1,
        };
        message.extra.media_urls = rendered.media;
        message.extra.content = None;
        Ok(Ok(()))
    }
}

impl Messaging {
    /// What a WhatsApp message is now: its buttons and lists, if it has any; 63016 and the like
    /// when it may not be sent. `None` for every other message.
    pub(crate) async fn for_whatsapp(
        &self,
        store: &AccountStore,
        message: &mut Message,
        batch: &mut AccountBatch,
    ) -> Result<Result<Option<String>, u32>, Failure> {
        let Some(from) = message.from.clone().filter(|from| from.starts_with("whatsapp:")) else {
            return Ok(Ok(None));
        };
        if from == SANDBOX && !self.is_in_sandbox(store, message.sid, &message.to).await? {
            return Ok(Err(63015));
        }
        let is_open = self.is_window_open(store, &from, &message.to).await?;
        let Some(content) = message.extra.content.clone() else {
            return Ok(if is_open { Ok(None) } else { Err(63016) });
        };
        let found = self.parts.content.template(store.account(), content.sid).await;
        let found = found.map_err(|error| Failure::Retry(error.0))?;
        let Some(found) = found else { return Ok(Err(21655)) };
        let is_approved =
            found.whatsapp.as_ref().is_some_and(|approval| approval.status == "approved");
        let shown = match whatsapp(&found, &content, is_open, is_approved) {
            Ok(shown) => shown,
            Err(fault) => return Ok(Err(fault.code)),
        };
        message.extra.media_urls = media_of(&shown);
        message.body.clone_from(&shown.body);
        message.rewrite(batch);
        Ok(Ok(Some(serde_json::to_string(&shown).expect("a message is plain JSON"))))
    }
}

/// A template as WhatsApp shows it on these terms.
fn whatsapp(
    found: &ContentTemplate,
    content: &ContentUse,
    is_window_open: bool,
    is_approved: bool,
) -> Result<WhatsAppMessage, Fault> {
    let json = |text: &str| serde_json::from_str(text).map_err(|_| unknown(content));
    let template = Template::new(&found.language, &json(&found.variables)?, &json(&found.types)?)?;
    let values = match &content.variables {
        Some(json) => Values::parse(json)?,
        None => Values::default(),
    };
    let name = found.whatsapp.as_ref().map(|approval| approval.name.as_str());
    let terms = Terms { is_window_open, approved_as: name.filter(|_| is_approved) };
    whatsapp_message(&template, &values, terms)
}

/// The media that has to be fetched for it.
fn media_of(message: &WhatsAppMessage) -> Vec<String> {
    match &message.header {
        Some(Header::Media { url }) => vec![url.clone()],
        _ => Vec::new(),
    }
}

fn unknown(content: &ContentUse) -> Fault {
    Fault::new(21655, format!("The ContentSid {} does not exist", content.sid))
}

/// The body and media of a template that is there.
fn rendered(found: Option<&ContentTemplate>, content: &ContentUse) -> Result<TextMessage, Fault> {
    let found = found.ok_or_else(|| unknown(content))?;
    let json = |text: &str| serde_json::from_str(text).map_err(|_| unknown(content));
    let template = Template::new(&found.language, &json(&found.variables)?, &json(&found.types)?)?;
    let values = match &content.variables {
        Some(json) => Values::parse(json)?,
        None => Values::default(),
    };
    let message = text_message(&template, &values)?;
    if let Some(why) = message.media.iter().find_map(|url| rest::check_url(url).err()) {
        return Err(Fault::new(21620, format!("The template's media is not valid: {why}")));
    }
    if message.media.len() > MEDIA_MAX {
        let why = format!("The template has {} media; at most {MEDIA_MAX}", message.media.len());
        return Err(Fault::new(21623, why));
    }
    let length = message.body.chars().count();
    if length > BODY_CHARS_MAX {
        let why = format!("The filled template has {length} characters; at most {BODY_CHARS_MAX}");
        return Err(Fault::new(21617, why));
    }
    Ok(message)
}
