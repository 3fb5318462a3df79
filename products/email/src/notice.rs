//! Notices of other products: a code to sign in with, an alarm.

use contracts::{BoxFuture, Notice, NoticeChannel, NoticeError, NoticeSender, Unavailable};
use kernel::Sid;
use store::StoreError;

use crate::fault::Fault;
use crate::letter::{Content, Letter, Person, Personalization};
use crate::{Email, identity, template};

/// Keeps a notice from being sent twice.
pub const CLAIM: &str = "email-notice";
/// Where notices come from that name no sender, of accounts without a domain.
const USUAL_DOMAIN: &str = "offhook.example";

/// The letter that a notice is.
fn letter(notice: &Notice, from: String) -> Letter {
    let content =
        |kind: &str, value: &str| Content { kind: kind.to_owned(), value: value.to_owned() };
    let mut all = vec![content("text/plain", &notice.text)];
    all.extend(notice.html.as_deref().map(|html| content("text/html", html)));
    let filled = notice.template.as_ref();
    let off = serde_json::json!({"click_tracking": {"enable": false}, "open_tracking": {"enable": false}});
    Letter {
        personalizations: vec![Personalization {
            to: vec![Person { email: notice.to.clone(), name: None }],
            dynamic_template_data: filled.map(|template| serde_json::json!(template.data)),
            ..Personalization::default()
        }],
        from: Person { email: from, name: None },
        subject: notice
            .subject
            .clone()
            .filter(|subject| !subject.is_empty())
            .or_else(|| Some("Notice".to_owned())),
        content: all,
        template_id: filled.map(|template| template.id.clone()),
        tracking_settings: off.as_object().cloned().unwrap_or_default(),
        ..Letter::default()
    }
}

/// Whether the text of a template shows one of these.
fn shows(text: &str, needed: &[&str]) -> bool {
    text.split("{{").skip(1).any(|piece| {
        let inside = piece.split("}}").next().unwrap_or_default();
        inside
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .any(|name| needed.contains(&name))
    })
}

impl NoticeSender for Email {
    fn check_template<'a>(
        &'a self,
        account: Sid,
        id: &'a str,
        needed: &'a [&'a str],
    ) -> BoxFuture<'a, Result<(), NoticeError>> {
        Box::pin(async move {
            let store = self.parts.store.account(account);
            let found = template::active(&store, id).await;
            let found =
                found.map_err(|error| NoticeError::Unavailable(Unavailable(error.to_string())))?;
            let version = found.filter(|_| id.starts_with("d-"));
            let version = version.ok_or(NoticeError::Refused { code: 60218 })?;
            match shows(&version.html, needed) || shows(&version.plain, needed) {
                true => Ok(()),
                false => Err(NoticeError::Refused { code: 60219 }),
            }
        })
    }

    fn send<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<(), NoticeError>> {
        Box::pin(async move {
            let refused = |code| NoticeError::Refused { code };
            if notice.channel != NoticeChannel::Email || !mail::is_address(&notice.to) {
                return Err(refused(21211));
            }
            let unavailable =
                |error: StoreError| NoticeError::Unavailable(Unavailable(error.to_string()));
            let store = self.parts.store.account(notice.account);
            let reference = notice.reference.to_string();
            let from = match &notice.from {
                Some(from) => from.clone(),
                None => {
                    let domain = identity::usual_domain(&store).await.map_err(unavailable)?;
                    format!("no-reply@{}", domain.as_deref().unwrap_or(USUAL_DOMAIN))
                }
            };
            let letter = letter(notice, from);
            let of = |fault: Fault| match fault.status {
                503 => NoticeError::Unavailable(Unavailable("email cannot reach the store".into())),
                _ => refused(21211),
            };
            self.check_state(&store, &letter).await.map_err(of)?;
            match self.accept(&store, &letter, Some(&reference)).await {
                // It was sent before, and is sent once.
                Ok(_) | Err(StoreError::Duplicate(_)) => Ok(()),
                Err(error) => Err(unavailable(error)),
            }
        })
    }
}
