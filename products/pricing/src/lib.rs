//! Price lists by country and number, from the one tariff that is also billed by.
//!
//! [`country`] are the lists by country, [`number`] the price of one number. Nothing is stored.

mod country;
mod number;
mod price;

use std::sync::Arc;

use contracts::NumberDirectory;
use rest::Router;
use tariff::Tariff;

/// The product's state.
pub struct Pricing {
    tariff: Tariff,
    /// Whose own numbers have a price for calls to them.
    numbers: Arc<dyn NumberDirectory>,
}

impl Pricing {
    pub fn new(tariff: Tariff, numbers: Arc<dyn NumberDirectory>) -> Arc<Self> {
        Arc::new(Self { tariff, numbers })
    }

    /// Adds this product's resources.
    pub fn mount(self: &Arc<Self>, router: Router) -> Router {
        router.mount(
            self,
            &[
                &country::MESSAGING,
                &country::PHONE_NUMBERS,
                &country::VOICE,
                &country::VOICE_V2,
                &country::TRUNKING,
                &number::VOICE,
                &number::VOICE_V2,
                &number::TRUNKING,
            ],
        )
    }
}
