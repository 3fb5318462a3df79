//! The message that one reader gets.

use jobs::Failure;
use mail::{Attachment, Body, Mailbox, Message};
use serde_json::{Value, json};
use store::AccountStore;

use crate::letter::{Letter, Person, Personalization, Texts};
use crate::reader::Reader;
use crate::template::Version;
use crate::track::Tracker;
use crate::{Email, check, dkim, identity, setting, template};

/// The message and its envelope's sender.
pub struct Composed {
    pub bytes: Vec<u8>,
    pub envelope_from: String,
}

/// The texts of a message before links and ends.
struct Texts3 {
    subject: String,
    bodies: Vec<Body>,
}

fn mailbox(person: &Person) -> Mailbox {
    Mailbox { name: person.name.clone().unwrap_or_default(), email: person.email.trim().to_owned() }
}

fn list(people: &[Person]) -> String {
    people.iter().map(|person| mailbox(person).header()).collect::<Vec<_>>().join(", ")
}

/// Every tag replaced by its value; what values have of sections is replaced within them first.
fn substitute(text: &str, part: &Personalization, sections: &Texts) -> String {
    let mut out = text.to_owned();
    for (tag, value) in part.substitutions.iter().filter(|(tag, _)| !tag.is_empty()) {
        if !out.contains(tag.as_str()) {
            continue;
        }
        let mut value = value.clone();
        for (name, section) in sections.iter().filter(|(name, _)| !name.is_empty()) {
            value = value.replace(name.as_str(), section);
        }
        out = out.replace(tag.as_str(), &value);
    }
    out
}

fn texts(letter: &Letter, part: &Personalization, version: Option<&Version>) -> Texts3 {
    let own = part.subject.as_ref().or(letter.subject.as_ref()).cloned().unwrap_or_default();
    let mut bodies: Vec<Body> = letter
        .content
        .iter()
        .map(|content| Body { content_type: content.kind.clone(), text: content.value.clone() })
        .collect();
    if letter.is_liquid {
        // What cannot be rendered was dropped before.
        return liquid(letter, part).unwrap_or_else(|_| Texts3 { subject: own, bodies: vec![] });
    }
    let Some(version) = version else {
        let fill = |text: &str| substitute(text, part, &letter.sections);
        bodies.iter_mut().for_each(|body| body.text = fill(&body.text));
        return Texts3 { subject: fill(&own), bodies };
    };
    if letter.is_dynamic() {
        let empty = json!({});
        let data = part.dynamic_template_data.as_ref().unwrap_or(&empty);
        let render = |text: &str, escapes: bool| match handlebars::Template::parse(text) {
            Ok(template) => template.render(data, escapes),
            // It was read when it was saved.
            Err(_) => String::new(),
        };
        // A subject of the template is a template; the request's own is not looked at then.
        let subject = if version.subject.is_empty() { own } else { render(&version.subject, true) };
        let mut bodies = Vec::new();
        let plain = match version.plain.is_empty() {
            true => mail::plain_text(&render(&version.html, true)),
            false => render(&version.plain, false),
        };
        if !plain.is_empty() {
            bodies.push(Body { content_type: "text/plain".into(), text: plain });
        }
        if !version.html.is_empty() {
            bodies
                .push(Body { content_type: "text/html".into(), text: render(&version.html, true) });
        }
        return Texts3 { subject, bodies };
    }
    // A legacy template holds the request's texts at its tags.
    let fill = |text: &str, body: &str| {
        let text = text.replace("<%body%>", body).replace("<%subject%>", &own);
        substitute(&text, part, &letter.sections)
    };
    let of = |kind: &str| {
        letter
            .content
            .iter()
            .find(|content| content.kind == kind)
            .map_or("", |content| &content.value)
    };
    let subject = if version.subject.is_empty() { own.clone() } else { version.subject.clone() };
    let mut bodies = Vec::new();
    if !version.plain.is_empty() || !of("text/plain").is_empty() {
        let text = if version.plain.is_empty() { "<%body%>" } else { &version.plain };
        bodies.push(Body { content_type: "text/plain".into(), text: fill(text, of("text/plain")) });
    }
    if !version.html.is_empty() || !of("text/html").is_empty() {
        let html = if version.html.is_empty() { "<%body%>" } else { &version.html };
        bodies.push(Body { content_type: "text/html".into(), text: fill(html, of("text/html")) });
    }
    Texts3 { subject: fill(&subject, ""), bodies }
}

/// The texts of Liquid; a plain one is made where there is none.
fn liquid(letter: &Letter, part: &Personalization) -> Result<Texts3, liquid::Fault> {
    let empty = json!({});
    let data = part.dynamic_template_data.as_ref().unwrap_or(&empty);
    let render = |text: &str| liquid::Template::parse(text)?.render(data);
    let subject = render(letter.subject.as_deref().unwrap_or_default())?;
    let (mut plain, mut html) = (None, String::new());
    for content in &letter.content {
        match content.kind.as_str() {
            "text/html" => html = render(&content.value)?,
            _ => plain = Some(render(&content.value)?),
        }
    }
    let body = |kind: &str, text: String| Body { content_type: kind.into(), text };
    let plain = plain.unwrap_or_else(|| mail::plain_text(&html));
    Ok(Texts3 { subject, bodies: vec![body("text/plain", plain), body("text/html", html)] })
}

/// Why a reader cannot be written to: a template that goes beyond its bounds.
pub(crate) fn unrenderable(letter: &Letter, part: usize) -> Option<&'static str> {
    let part = letter.personalizations.get(part).filter(|_| letter.is_liquid)?;
    liquid(letter, part).err().map(|_| "Template cannot be rendered")
}

impl Email {
    /// Makes the message; the reader's subject becomes the rendered one.
    pub(crate) async fn compose(
        &self,
        store: &AccountStore,
        letter: &Letter,
        reader: &mut Reader,
    ) -> Result<Composed, Failure> {
        let blank = Personalization::default();
        let part = letter.personalizations.get(reader.part).unwrap_or(&blank);
        let version = match letter.template_id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => template::active(store, id).await?,
            None => None,
        };
        let mut texts = texts(letter, part, version.as_ref());
        if texts.bodies.is_empty() {
            texts.bodies.push(Body { content_type: "text/plain".into(), text: String::new() });
        }
        let settings = setting::Effective::load(store, letter).await?;
        footer(&mut texts.bodies, settings.footer.as_ref());
        let tracker = Tracker::open(self, store, reader).await?;
        let unsubscribe = self.track(letter, &settings, &tracker, &mut texts.bodies);
        reader.subject =
            texts.subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();

        let from = part.from.as_ref().unwrap_or(&letter.from);
        let mut headers = vec![
            ("Date".to_owned(), reader.created.rfc2822()),
            ("From".to_owned(), mailbox(from).header()),
            ("To".to_owned(), list(&part.to)),
        ];
        if !part.cc.is_empty() {
            headers.push(("Cc".to_owned(), list(&part.cc)));
        }
        headers.push(("Subject".to_owned(), reader.subject.clone()));
        headers.push(("Message-ID".to_owned(), reader.smtp_id()));
        let reply_to: Vec<Person> =
            letter.reply_to.iter().chain(&letter.reply_to_list).cloned().collect();
        if !reply_to.is_empty() {
            headers.push(("Reply-To".to_owned(), list(&reply_to)));
        }
        let mut own = letter.headers.clone();
        own.extend(part.headers.clone());
        let has_own = own.keys().any(|name| name.eq_ignore_ascii_case("list-unsubscribe"));
        headers.extend(
            own.into_iter().map(|(name, value)| (name, substitute(&value, part, &letter.sections))),
        );
        if let Some(link) = unsubscribe.filter(|_| !has_own) {
            // RFC 8058 asks for both, and for https where it is to be believed.
            headers.push(("List-Unsubscribe".to_owned(), format!("<{link}>")));
            headers.push((
                "List-Unsubscribe-Post".to_owned(),
                "List-Unsubscribe=One-Click".to_owned(),
            ));
        }
        let message = Message {
            headers,
            bodies: texts.bodies,
            attachments: attachments(letter),
            boundary: format!("b{}", reader.id.replace(|c: char| !c.is_ascii_alphanumeric(), "")),
        };
        let mut bytes = message.bytes();
        let domain = mail::domain_of(&from.email);
        let authenticated = identity::signing(self, store, &domain).await?;
        let mut bounce_domain = domain.clone();
        if let Some(signer) = authenticated {
            let seconds = self.parts.clock.now().as_seconds();
            bytes = dkim::sign(&bytes, &signer.key, &signer.domain, &signer.selector, seconds)
                .map_err(|_| Failure::Retry("the mail could not be signed".into()))?;
            bounce_domain = signer.return_domain;
        }
        // The way back names the mail and its reader (VERP).
        let envelope_from = format!("bounces+{}@{bounce_domain}", tracker.bounce_token());
        Ok(Composed { bytes, envelope_from })
    }

    /// Rewrites links, adds the pixel and the way out; the link of the latter.
    fn track(
        &self,
        letter: &Letter,
        settings: &setting::Effective,
        tracker: &Tracker,
        bodies: &mut [Body],
    ) -> Option<String> {
        let unsubscribe = (settings.subscription || letter.asm.is_some())
            .then(|| tracker.unsubscribe(letter.asm.as_ref().map(|asm| asm.group_id)));
        for body in bodies.iter_mut() {
            let is_html = body.content_type == "text/html";
            if let Some(link) = &unsubscribe {
                for tag in [
                    "<%asm_group_unsubscribe_raw_url%>",
                    "<%asm_global_unsubscribe_raw_url%>",
                    "<%asm_preferences_raw_url%>",
                    "<% unsubscribe_url %>",
                ] {
                    body.text = body.text.replace(tag, link);
                }
                if settings.subscription {
                    add_way_out(body, settings, link, is_html);
                }
            }
            if is_html {
                if settings.clicks {
                    let ours = unsubscribe.as_deref();
                    body.text =
                        mail::rewrite_links(&body.text, |url, at| match ours == Some(url) {
                            true => url.to_owned(),
                            false => tracker.click(&settings.with_campaign(url), at),
                        });
                }
                if settings.opens {
                    let pixel = format!(
                        "<img src=\"{}\" alt=\"\" width=\"1\" height=\"1\" border=\"0\" style=\"height:1px !important;width:1px !important;border-width:0 !important;margin:0 !important;padding:0 !important\"/>",
                        tracker.picture()
                    );
                    body.text = match settings
                        .open_tag
                        .as_deref()
                        .filter(|tag| !tag.is_empty() && body.text.contains(*tag))
                    {
                        Some(tag) => body.text.replacen(tag, &pixel, 1),
                        None => mail::with_before_end(&body.text, &pixel),
                    };
                }
            } else if body.content_type == "text/plain" && settings.text_clicks {
                body.text = text_links(&body.text, unsubscribe.as_deref(), tracker, settings);
            }
        }
        unsubscribe
    }
}

/// The words of subscription tracking, with the link where `<% … %>` stands.
fn add_way_out(body: &mut Body, settings: &setting::Effective, link: &str, is_html: bool) {
    let words = match is_html {
        true => settings.subscription_html.clone().unwrap_or_else(|| "<p>If you would like to unsubscribe and stop receiving these emails <% click here %>.</p>".into()),
        false => settings.subscription_text.clone().unwrap_or_else(|| "If you would like to unsubscribe and stop receiving these emails click here: <% %>.".into()),
    };
    let words = match (words.find("<%"), words.find("%>")) {
        (Some(from), Some(to)) if from < to => {
            let label = words[from + 2..to].trim();
            let shown = match is_html {
                true => format!("<a href=\"{link}\" clicktracking=off>{label}</a>"),
                false => link.to_owned(),
            };
            format!("{}{shown}{}", &words[..from], &words[to + 2..])
        }
        _ => words,
    };
    body.text = match settings
        .subscription_tag
        .as_deref()
        .filter(|tag| !tag.is_empty() && body.text.contains(*tag))
    {
        Some(tag) => body.text.replace(tag, link),
        None if is_html => mail::with_before_end(&body.text, &words),
        None => format!("{}\n\n{words}", body.text.trim_end()),
    };
}

fn text_links(
    text: &str,
    ours: Option<&str>,
    tracker: &Tracker,
    settings: &setting::Effective,
) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut count) = (text, 0);
    while let Some(at) = rest.find("http://").into_iter().chain(rest.find("https://")).min() {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        let end =
            tail.find(|c: char| c.is_whitespace() || "<>\"".contains(c)).unwrap_or(tail.len());
        let url = tail[..end].trim_end_matches(['.', ',', ')', ';', '!', '?']);
        match ours == Some(url) {
            true => out.push_str(url),
            false => out.push_str(&tracker.click(&settings.with_campaign(url), count)),
        }
        count += 1;
        rest = &tail[url.len()..];
    }
    out.push_str(rest);
    out
}

fn footer(bodies: &mut [Body], footer: Option<&Value>) {
    let Some(footer) = footer else { return };
    for body in bodies {
        let text = |name: &str| footer[name].as_str().unwrap_or_default().to_owned();
        match body.content_type.as_str() {
            "text/plain" => body.text.push_str(&text("text")),
            "text/html" => body.text = mail::with_before_end(&body.text, &text("html")),
            _ => {}
        }
    }
}

fn attachments(letter: &Letter) -> Vec<Attachment> {
    let of = |file: &crate::letter::Attached| {
        Some(Attachment {
            filename: file.filename.clone(),
            content_type: file.kind.clone().unwrap_or_else(|| "application/octet-stream".into()),
            bytes: check::decode(&file.content)?,
            is_inline: file.disposition.as_deref() == Some("inline"),
            content_id: file.content_id.clone(),
        })
    };
    letter.attachments.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_replaced_within_values() {
        let part = Personalization {
            substitutions: [
                ("-name-".to_owned(), "Ann".to_owned()),
                ("-greet-".to_owned(), ":hello dear".to_owned()),
            ]
            .into(),
            ..Personalization::default()
        };
        let sections = [(":hello".to_owned(), "Good day".to_owned())].into();
        assert_eq!(
            substitute("-greet- -name-, :hello", &part, &sections),
            "Good day dear Ann, :hello"
        );
    }
}
