//! Verify v2: codes by text, call, WhatsApp and mail, factors, and passkeys.
//!
//! The behaviour reads along a verification: [`create`] starts it, [`plan`] decides what will be
//! said in whose [`words`], [`send`] gives it to whoever reaches people on its channel and hears what
//! became of it, [`check`] compares the code, [`lifecycle`] is the state machine.
//!
//! A code is kept as a hash, keyed by this instance and salted by its verification, for checks; and
//! sealed, because a second send says the same code. Both are erased when the verification ends.
//!
//! It deliberately knows no network: who sends is a [`contracts::NoticeSender`] by channel.

mod attempt;
mod challenge;
mod check;
mod create;
mod device;
mod entity;
mod factor;
mod faults;
mod forms;
mod guard;
mod lifecycle;
mod limit;
mod messaging_configuration;
mod passkey;
mod plan;
mod retention;
mod safe_list;
mod send;
mod service;
mod silent;
mod tell;
mod template;
mod token;
mod totp;
mod verification;
mod webauthn;
mod webhook;
mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use clock::Clock;
use contracts::{Lines, NoticeChannel, NoticeSender, Unavailable};
use jobs::Runner;
use kernel::{ApiError, Sid};
use rest::Router;
use store::{ByAccount, Mac, Sealer};
use webhooks::Webhooks;

/// How long a verification waits for its code.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// Times a conditional write is decided again before the caller is told 60212.
const DECISIONS_MAX: usize = 8;

/// What the product stands on.
pub struct Parts {
    pub store: ByAccount,
    pub clock: Clock,
    pub sealer: Sealer,
    pub webhooks: Arc<Webhooks>,
    pub lines: Arc<dyn Lines>,
    /// Who reaches people on which channel.
    pub senders: HashMap<NoticeChannel, Arc<dyn NoticeSender>>,
    /// Where handsets reach this platform: `http://127.0.0.1:4010`.
    pub public_url: String,
    pub lifetime: Duration,
    /// The simulated network authenticates silently.
    pub development: bool,
}

/// The product's state.
pub struct Verify {
    parts: Parts,
    codes: Mac,
    /// Whose code is hashed where nobody's is pending.
    nobody: Sid,
}

impl Verify {
    pub fn new(parts: Parts) -> Arc<Self> {
        let codes = parts.sealer.mac("verification code");
        Arc::new(Self { parts, codes, nobody: Sid::from_parts("VE", 0) })
    }

    /// Adds this product's resources.
    pub fn mount(self: &Arc<Self>, router: Router) -> Router {
        router.mount(
            self,
            &[
                &service::SERVICE,
                &verification::VERIFICATION,
                &check::CHECK,
                &attempt::ATTEMPT,
                &attempt::SUMMARY,
                &limit::RATE_LIMIT,
                &limit::BUCKET_RESOURCE,
                &messaging_configuration::CONFIGURATION,
                &safe_list::SAFE_LIST,
                &silent::SILENT,
                &template::TEMPLATE,
                &entity::ENTITY,
                &factor::FACTOR,
                &challenge::CHALLENGE,
                &challenge::NOTIFICATION,
                &token::TOKEN,
                &forms::FORM,
                &passkey::NEW_FACTOR,
                &passkey::VERIFY_FACTOR,
                &passkey::NEW_CHALLENGE,
                &passkey::APPROVE_CHALLENGE,
                &webhook::WEBHOOK,
            ],
        )
    }

    /// Adds this product's workers.
    pub fn work(self: &Arc<Self>, runner: Runner) -> Runner {
        runner
            .with(Arc::new(send::Sender(self.clone())))
            .with(Arc::new(send::Second(self.clone())))
            .with(Arc::new(send::Ender(self.clone())))
    }

    /// The hash that a code of this verification is known by.
    fn hash(&self, verification: Sid, code: &str) -> Vec<u8> {
        self.codes.of(&[verification.to_string().as_bytes(), code.as_bytes()])
    }

    /// In a time that does not tell how much is the same.
    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        verify_slices_are_equal(a, b).is_ok()
    }

    /// So many random digits.
    fn new_code(&self, length: usize) -> String {
        let digits = self.parts.clock.random() % 10u64.pow(u32::try_from(length).unwrap_or(6));
        format!("{digits:0length$}")
    }
}

/// 60212 / 429.
fn busy() -> ApiError {
    ApiError::new(60212, "Too many concurrent requests for phone number")
}

/// 20503 / 503.
fn unavailable(why: Unavailable) -> ApiError {
    tracing::error!(%why, "a network could not answer");
    ApiError::new(20503, "The service is overloaded or stopping; try again")
}
