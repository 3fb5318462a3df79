//! Notices of other products: a code to sign in with, an alarm.

use contracts::{BoxFuture, Notice, NoticeChannel, NoticeError, NoticeSender, Unavailable};
use store::StoreError;

use crate::fault::Fault;
use crate::letter::{Content, Letter, Person, Personalization};
use crate::{Email, shelf};

/// Keeps a notice from being sent twice.
const CLAIM: &str = "email-notice";
/// The sender of notices that name none.
const USUAL_FROM: &str = "no-reply@offhook.example";

/// The letter that a notice is.
fn letter(notice: &Notice) -> Letter {
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
        from: Person {
            email: notice.from.clone().unwrap_or_else(|| USUAL_FROM.to_owned()),
            name: None,
        },
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
            let known = self
                .parts
                .names
                .holder(CLAIM, &reference)
                .await
                .map_err(NoticeError::Unavailable)?;
            if known.is_some() {
                return Ok(());
            }
            let letter = letter(notice);
            let of = |fault: Fault| match fault.status {
                503 => NoticeError::Unavailable(Unavailable("email cannot reach the store".into())),
                _ => refused(21211),
            };
            self.check_state(&store, &letter).await.map_err(of)?;
            // The claim and the mail are two commits: a crash between them sends none, and the
            // asker, who got no answer, asks again with a new reference.
            let mut batch = store.batch();
            shelf::claim(&mut batch, CLAIM, &reference, &reference);
            match store.commit(batch).await {
                Err(StoreError::Duplicate(_)) => return Ok(()),
                outcome => outcome.map_err(unavailable)?,
            };
            self.accept(&store, &letter, Some(&reference)).await.map(|_| ()).map_err(of)
        })
    }
}
