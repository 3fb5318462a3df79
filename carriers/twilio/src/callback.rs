//! What the account calls back: statuses, and messages to its numbers.

use contracts::{InboundMedia, InboundMessage, InboundOutcome, Place, Tap, Unavailable};

use crate::{INBOUND_PATH, Ours, STATUS_PATH, Twilio, noted};

/// Media of one message.
const MEDIA_MAX: usize = 10;
const MEDIA_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Why a callback was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackError {
    /// Its signature is not the account's: 403.
    Forged,
    /// Not now; the account tries again or is asked: 503.
    Unavailable(Unavailable),
}

impl From<Unavailable> for CallbackError {
    fn from(why: Unavailable) -> Self {
        Self::Unavailable(why)
    }
}

impl Twilio {
    /// A status callback, as it was posted.
    ///
    /// # Errors
    /// A signature that is not the account's; a store that cannot answer.
    pub async fn status(
        &self,
        params: &[(String, String)],
        signature: &str,
    ) -> Result<(), CallbackError> {
        self.check(STATUS_PATH, params, signature)?;
        let theirs = find(params, "MessageSid");
        let note = self.notes.get(&format!("theirs/{theirs}")).await.map_err(noted)?;
        // Of messages that were not sent from here, such callbacks are not ours.
        let Some(ours) = note.and_then(|note| serde_json::from_str::<Ours>(&note).ok()) else {
            return Ok(());
        };
        let code = find(params, "ErrorCode").parse().ok();
        self.settle(&ours, find(params, "MessageStatus"), code).await?;
        Ok(())
    }

    /// A message to one of the account's numbers, as its webhook was posted. Taken once.
    ///
    /// # Errors
    /// As [`Self::status`]; media that cannot be fetched.
    pub async fn inbound(
        &self,
        params: &[(String, String)],
        signature: &str,
    ) -> Result<(), CallbackError> {
        self.check(INBOUND_PATH, params, signature)?;
        let seen = format!("inbound/{}", find(params, "MessageSid"));
        if self.notes.get(&seen).await.map_err(noted)?.is_some() {
            return Ok(());
        }
        let count = find(params, "NumMedia").parse().unwrap_or(0_usize).min(MEDIA_MAX);
        let mut media = Vec::new();
        for at in 0..count {
            let url = self.with_login(find(params, &format!("MediaUrl{at}")));
            let content_type = find(params, &format!("MediaContentType{at}")).to_owned();
            let fetched = self.client.get_media(&url, MEDIA_BYTES_MAX).await;
            let fetched = fetched.map_err(|failure| Unavailable(failure.message))?;
            media.push(InboundMedia { content_type, bytes: fetched.body });
        }
        let message = InboundMessage {
            from: find(params, "From").to_owned(),
            to: find(params, "To").to_owned(),
            body: find(params, "Body").to_owned(),
            media,
            tap: tap(params),
            profile_name: optional(params, "ProfileName"),
            place: place(params),
            document: None,
        };
        if self.sink().inbound(&message).await? == InboundOutcome::NoSuchNumber {
            tracing::warn!(to = %kernel::Redacted(&message.to),
                "the account received a message for a number that nobody has here");
        }
        self.notes.put(&seen, "1".to_owned()).await.map_err(noted)?;
        Ok(())
    }

    fn check(
        &self,
        path: &str,
        params: &[(String, String)],
        given: &str,
    ) -> Result<(), CallbackError> {
        let Some(public) = &self.public_url else { return Err(CallbackError::Forged) };
        let url = format!("{public}{path}");
        match signature::validate(&self.config.auth_token.0, &url, params, given) {
            true => Ok(()),
            false => Err(CallbackError::Forged),
        }
    }
}

fn find<'a>(params: &'a [(String, String)], name: &str) -> &'a str {
    params.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

fn optional(params: &[(String, String)], name: &str) -> Option<String> {
    Some(find(params, name).to_owned()).filter(|value| !value.is_empty())
}

fn place(params: &[(String, String)]) -> Option<Place> {
    Some(Place {
        latitude: find(params, "Latitude").parse().ok()?,
        longitude: find(params, "Longitude").parse().ok()?,
        label: optional(params, "Label"),
        address: optional(params, "Address"),
    })
}

/// The button or row that was tapped.
fn tap(params: &[(String, String)]) -> Option<Tap> {
    let of = |payload: &str, text: &str, is_row| match find(params, payload) {
        "" => None,
        payload => {
            let text = find(params, text).to_owned();
            Some(Tap { text, payload: payload.to_owned(), is_row })
        }
    };
    of("ButtonPayload", "ButtonText", false).or_else(|| of("ListId", "ListTitle", true))
}
