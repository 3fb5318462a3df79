//! Registration of American traffic: brands, campaigns, toll-free verifications (compliance §5, §6).
//!
//! Each is a document whose status a simulated vetting moves on the platform's
//! clock: [`lifecycle`] is the one state machine, [`review`] the steps on the
//! clock, and every resource has a pure `judge` that says how its vetting ends.
//! [`enforce`] tells dispatch what a sender may do with it.

// Differs: nobody outside is asked. Vetting is simulated, on the platform's clock, and takes hours
// at most where Twilio's takes days.

mod brand;
mod brand_vetting;
mod campaign;
mod deactivation;
mod enforce;
mod lifecycle;
mod limits;
mod rejection;
mod review;
mod toll_free;
mod toll_free_fields;
mod use_case;

use std::sync::Arc;

use jobs::{Failure, Runner};
use kernel::ApiError;
use rest::{Ctx, Router};
use store::StoreError;

use crate::Messaging;
pub use enforce::{Grant, Standing};

/// Adds the resources of registration.
pub(crate) fn mount(messaging: &Arc<Messaging>, router: Router) -> Router {
    router.mount(
        messaging,
        &[
            &brand::BRAND,
            &brand_vetting::OTP,
            &brand_vetting::VETTING,
            &campaign::CAMPAIGN,
            &campaign::EXTERNAL,
            &use_case::USE_CASE,
            &toll_free::VERIFICATION,
            &deactivation::DEACTIVATION,
            &deactivation::FILE,
        ],
    )
}

/// Adds the simulated vetting.
pub(crate) fn work(messaging: &Arc<Messaging>, runner: Runner) -> Runner {
    runner.with(Arc::new(review::Reviewer(messaging.clone())))
}

/// A failing store, on the wire.
fn failed(ctx: &Ctx) -> impl Fn(StoreError) -> ApiError + '_ {
    |error| rest::store_error(ctx, error)
}

/// A failing port, in a job.
fn later(error: contracts::Unavailable) -> Failure {
    Failure::Retry(error.0)
}

/// A number from 0 that stays the same for a SID: what chance decides elsewhere.
fn seed(sid: &str) -> u64 {
    let tail = sid.get(sid.len().saturating_sub(12)..).unwrap_or_default();
    u64::from_str_radix(tail, 16).unwrap_or(0)
}

/// A registry's name for what has this SID: a letter and six more characters.
fn registry_id(letter: char, sid: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut seed = seed(sid);
    let mut id = String::from(letter);
    for _ in 0..6 {
        id.push(char::from(ALPHABET[(seed % 32) as usize]));
        seed /= 32;
    }
    id
}
