//! What went wrong, and who did what.
//!
//! Both are read from the events that every commit writes: [`alert`] shows what webhooks and TwiML
//! diagnostics raised, [`event`] what callers of the API changed. [`retention`] forgets them in time.
//!
//! It deliberately records nothing itself: an alert is written where something fails, a change where
//! it is committed.

mod alert;
mod event;
mod retention;
mod shown;

use std::sync::Arc;

use rest::Router;

pub use retention::{Keep, Retention};

/// The product has no state beside its account's events.
pub struct Monitor;

/// Adds this product's resources.
pub fn mount(router: Router) -> Router {
    router.mount(&Arc::new(Monitor), &[&alert::ALERT, &event::EVENT])
}
