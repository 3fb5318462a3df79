//! Notices of other products: a code to sign in with, an alarm.

use contracts::{BoxFuture, Notice, NoticeChannel, NoticeError, NoticeSender, Unavailable};
use store::StoreError;

use crate::fault::Fault;
use crate::letter::{Content, Letter, Person, Personalization};
use crate::{Email, identity};

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
    let off = serde_json::json!({"click_tracking": {"enable": false}, "open_tracking": {"enable": false}});
    Letter {
        personalizations: vec![Personalization {
            to: vec![Person { email: notice.to.clone(), name: None }],
            ..Personalization::default()
        }],
        from: Person { email: from, name: None },
        subject: notice
            .subject
            .clone()
            .filter(|subject| !subject.is_empty())
            .or_else(|| Some("Notice".to_owned())),
        content: all,
        tracking_settings: off.as_object().cloned().unwrap_or_default(),
        ..Letter::default()
    }
}

impl NoticeSender for Email {
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
