//! What an account has used, and what happens when it is too much.
//!
//! [`record`] shows the counters that billing keeps by day and category; [`trigger`] watches one of
//! them and calls back when it passes a value. [`period`] are the spans of days, [`category`] what is
//! counted, [`counter`] the sums.
//!
//! It deliberately counts nothing itself: whoever bills writes the `spend` table in its own commit.

mod category;
mod counter;
mod period;
mod record;
mod trigger;
mod watch;

use std::sync::Arc;

use rest::Router;

pub use watch::Watch;

/// The product has no state beside its account's counters and triggers.
pub struct Usage;

/// Adds this product's resources.
pub fn mount(router: Router) -> Router {
    let router = router.mount(&Arc::new(Usage), &[&trigger::TRIGGER]);
    router.mount(&Arc::new(Usage), record::RECORDS)
}
