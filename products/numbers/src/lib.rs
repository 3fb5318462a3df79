//! Phone numbers, short codes, applications and caller ids.
//!
//! The second tenancy root: it decides which account a number belongs to, and
//! implements [`contracts::NumberDirectory`]. Numbers are documents; who owns
//! which is the `claim` table, in which a number can stand only once.

mod address;
mod application;
mod available;
mod caller_id;
mod directory;
mod incoming;
mod incoming_fields;
mod short_code;
mod trunk_number;

use std::sync::{Arc, OnceLock};

use bus::Cache;
use clock::Clock;
use contracts::{AccountDirectory, NumberOwner, SipDirectory, ValidationCalls};
use rest::Router;
use store::Store;

pub use caller_id::ValidationWorker;

/// The product's state.
pub struct Numbers {
    store: Store,
    clock: Clock,
    /// By number or short code.
    owners: Arc<Cache<String, NumberOwner>>,
    accounts: Arc<dyn AccountDirectory>,
    calls: Arc<dyn ValidationCalls>,
    /// Who knows the trunks that numbers may belong to.
    trunks: OnceLock<Arc<dyn SipDirectory>>,
    development: bool,
}

impl Numbers {
    pub fn new(
        store: Store,
        clock: Clock,
        accounts: Arc<dyn AccountDirectory>,
        calls: Arc<dyn ValidationCalls>,
        development: bool,
    ) -> Arc<Self> {
        let owners = Cache::new(store.bus(), "numbers");
        Arc::new(Self {
            store,
            clock,
            owners,
            accounts,
            calls,
            trunks: OnceLock::new(),
            development,
        })
    }

    /// Connects who knows the trunks; once, before the first request.
    pub fn connect_trunks(&self, trunks: Arc<dyn SipDirectory>) {
        assert!(self.trunks.set(trunks).is_ok(), "trunks are connected once");
    }

    /// Adds this product's resources.
    pub fn mount(self: &Arc<Self>, router: Router) -> Router {
        router.mount(
            self,
            &[
                &address::ADDRESS,
                &address::DEPENDENT_NUMBER,
                &application::APPLICATION,
                &incoming::INCOMING,
                &incoming::LOCAL,
                &incoming::MOBILE,
                &incoming::TOLL_FREE,
                &trunk_number::TRUNK_NUMBER,
                &available::COUNTRY,
                &available::LOCAL,
                &available::MOBILE,
                &available::TOLL_FREE,
                &available::NATIONAL,
                &available::SHARED_COST,
                &available::VOIP,
                &available::MACHINE_TO_MACHINE,
                &short_code::SHORT_CODE,
                &caller_id::OUTGOING_CALLER_ID,
            ],
        )
    }
}
