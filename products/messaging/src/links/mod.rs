//! Link shortening (messaging §14): the links of a message become short ones of its service's
//! domain, and who follows them is reported.
//!
//! [`shorten`] finds links in a text, [`domain`] says what a service shortens with, [`table`] are
//! the domains on the wire, [`click`] is what happens when somebody follows a link.

// Differs: links are shortened when the message leaves, so the answer to its creation shows the long
// ones. Those in the media and buttons of channel templates stay as they are.

mod click;
mod domain;
mod shorten;
mod table;

use std::sync::Arc;
use std::time::Duration;

use jobs::{Failure, Runner};
use kernel::ApiError;
use rest::{Ctx, Router};
use store::{AccountBatch, AccountStore};

use crate::Messaging;
use crate::message::Message;
use crate::service::Service;
pub use click::{Landing, Visit};
pub(crate) use domain::SERVICE_CLAIM;
use domain::Shortener;

/// How long a link leads anywhere.
const LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const CODE_CHARS: usize = 10;
/// A domain is asked for this to see whether it leads here.
pub const PROBE_PATH: &str = "/.well-known/offhook-link-domain";

/// Adds the resources of link shortening.
pub(crate) fn mount(messaging: &Arc<Messaging>, router: Router) -> Router {
    router.mount(messaging, table::ALL)
}

/// Adds the reports of clicks.
pub(crate) fn work(messaging: &Arc<Messaging>, runner: Runner) -> Runner {
    runner.with(Arc::new(click::Clicks(messaging.clone())))
}

impl Messaging {
    /// Whether a message of this service may ask for short links.
    ///
    /// # Errors
    /// 30124 without a service; 30106, 30107 and 30102 when its domain is not set up, unless it says
    /// that messages go on with long links.
    pub(crate) async fn check_shortening(
        &self,
        ctx: &Ctx,
        service: Option<&Service>,
    ) -> Result<(), ApiError> {
        let Some(service) = service else {
            let why = "A 'MessagingServiceSid' is required with 'ShortenUrls'";
            return Err(ApiError::new(30124, why));
        };
        let shortener = self.shortener(&ctx.store, &service.sid).await;
        match shortener.map_err(|error| rest::store_error(ctx, error))? {
            Err(cannot) if !cannot.goes_on => Err(ApiError::new(cannot.code, words(cannot.code))),
            _ => Ok(()),
        }
    }

    /// Makes the links of a message short; the code with which it fails when that cannot be.
    pub(crate) async fn shorten(
        &self,
        store: &AccountStore,
        service: &Service,
        message: &mut Message,
        batch: &mut AccountBatch,
    ) -> Result<Result<(), u32>, Failure> {
        if !message.extra.shorten_urls {
            return Ok(Ok(()));
        }
        match self.shortener(store, &service.sid).await? {
            Ok(shortener) => {
                self.replace_links(&shortener, message, batch);
                Ok(Ok(()))
            }
            Err(cannot) if cannot.goes_on => {
                let sid = message.sid.to_string();
                self.parts.webhooks.alert(batch, &sid, 30103, words(cannot.code), "");
                Ok(Ok(()))
            }
            Err(cannot) => Ok(Err(cannot.code)),
        }
    }

    fn replace_links(
        &self,
        shortener: &Shortener,
        message: &mut Message,
        batch: &mut AccountBatch,
    ) {
        let now = self.parts.clock.now();
        let mut made = Vec::new();
        let body = shorten::replace(&message.body, |url| {
            // What is short already stays.
            if bare(url).starts_with(bare(&shortener.base)) {
                return None;
            }
            let code = self.parts.clock.alphanumeric_token(CODE_CHARS);
            let short = format!("{}{code}", shortener.base);
            made.push((code, short.clone(), url.to_owned()));
            Some(short)
        });
        for (code, short, url) in made {
            batch.run(
                "INSERT INTO link (account_sid, code, domain_sid, message_sid, short_url, url,
                 date_created) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                vec![
                    code.into(),
                    shortener.domain.clone().into(),
                    message.sid.into(),
                    short.into(),
                    url.into(),
                    now.into(),
                ],
            );
        }
        batch.run(
            "DELETE FROM link WHERE account_sid = $1 AND date_created <= $2",
            vec![(now - LIFE).into()],
        );
        message.body = body;
        if message.media == 0 && !message.to.contains(':') {
            let count = sms::segments(&message.body).count;
            message.segments = i64::try_from(count).unwrap_or(i64::MAX);
        }
    }
}

/// Without the scheme that a domain may leave out.
fn bare(url: &str) -> &str {
    url.trim_start_matches("https://")
}

fn words(code: u32) -> &'static str {
    match code {
        30102 => "The certificate of the service's link domain has ended",
        30107 => "The service's link domain has no certificate",
        _ => "The service has no domain for short links",
    }
}
