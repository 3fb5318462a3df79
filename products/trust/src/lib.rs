//! Trust Hub: who an account's customers are, and whether a reviewer believes it.
//!
//! A *bundle* is a customer profile or a trust product: a policy, and what has
//! been assigned to it. The behaviour reads along its life: [`bundle`] is the
//! resource, [`assignment`] fills it, [`evaluation`] holds it against its policy
//! of the [`catalogue`], [`lifecycle`] is the state machine, [`review`] the
//! simulated reviewer.
//!
//! It deliberately knows nothing of what bundles are good for: registrations ask
//! through [`contracts::TrustDirectory`].

mod assignment;
mod bundle;
mod catalogue;
mod evaluation;
mod inquiry;
mod lifecycle;
mod party;
mod review;

use std::sync::Arc;

use clock::Clock;
use contracts::{BoxFuture, NumberDirectory, TrustBundle, TrustDirectory, Unavailable};
use jobs::Runner;
use kernel::Sid;
use rest::Router;
use store::ByAccount;

/// The product's state.
pub struct Trust {
    store: ByAccount,
    clock: Clock,
    numbers: Arc<dyn NumberDirectory>,
    /// Names may ask for a rejection.
    development: bool,
}

impl Trust {
    pub fn new(
        store: ByAccount,
        clock: Clock,
        numbers: Arc<dyn NumberDirectory>,
        development: bool,
    ) -> Arc<Self> {
        Arc::new(Self { store, clock, numbers, development })
    }

    /// Adds this product's resources.
    pub fn mount(self: &Arc<Self>, router: Router) -> Router {
        router.mount(
            self,
            &[
                &bundle::CUSTOMER_PROFILE,
                &bundle::TRUST_PRODUCT,
                &assignment::CUSTOMER_PROFILE_ENTITY,
                &assignment::TRUST_PRODUCT_ENTITY,
                &assignment::CUSTOMER_PROFILE_ENDPOINT,
                &assignment::TRUST_PRODUCT_ENDPOINT,
                &evaluation::CUSTOMER_PROFILE_EVALUATION,
                &evaluation::TRUST_PRODUCT_EVALUATION,
                &party::END_USER,
                &party::SUPPORTING_DOCUMENT,
                &catalogue::END_USER_TYPE,
                &catalogue::SUPPORTING_DOCUMENT_TYPE,
                &catalogue::POLICY,
                &inquiry::CUSTOMER,
                &inquiry::REGISTRATION,
                &inquiry::TOLL_FREE,
            ],
        )
    }

    /// Adds this product's workers.
    pub fn work(self: &Arc<Self>, runner: Runner) -> Runner {
        runner.with(Arc::new(review::Reviewer(self.clone())))
    }
}

impl TrustDirectory for Trust {
    fn bundle<'a>(
        &'a self,
        account: Sid,
        bundle: &'a str,
    ) -> BoxFuture<'a, Result<Option<TrustBundle>, Unavailable>> {
        Box::pin(async move {
            let store = self.store.account(account);
            let found = bundle::find(&store, bundle).await;
            let found = found.map_err(|error| Unavailable(error.to_string()))?;
            Ok(found.map(|(kind, doc)| TrustBundle {
                is_customer_profile: kind == bundle::CUSTOMER_PROFILE_KIND,
                is_sole_proprietor: catalogue::is_sole_proprietor(
                    doc.text("policy_sid").unwrap_or_default(),
                ),
                friendly_name: doc.text("friendly_name").unwrap_or_default().to_owned(),
                is_approved: doc.text("status") == Some(lifecycle::Status::Approved.as_str()),
            }))
        })
    }
}
