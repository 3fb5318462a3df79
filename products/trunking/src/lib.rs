//! SIP domains and trunks, their lists, and dialing permissions.
//!
//! A *place* is what a host in a request's URI stands for: a SIP domain or the termination side of
//! a trunk. [`domain`] and [`trunk`] are the places, [`list`] says who may come in, [`mapping`]
//! joins the two; [`byoc`] and [`policy`] are the carriers that customers bring, [`source`] the
//! addresses they call from. [`permission`] says where an account may call at all, [`risk`] knows
//! the numbers that are dangerous. Carriers and Voice ask through [`directory`].
//!
//! Everything is documents; hosts and source addresses are claims, which only one document holds
//! over all accounts, and by which a place is found. It deliberately knows no SIP message.

mod byoc;
mod credential;
mod directory;
mod domain;
mod host;
mod list;
mod mapping;
mod permission;
mod policy;
mod risk;
mod shelf;
mod source;
mod token;
mod trunk;

use std::sync::Arc;

use clock::Clock;
use contracts::{AccountDirectory, NumberDirectory};
use rest::Router;
use serde::Deserialize;
use store::{ByAccount, Sealer};

pub use token::IceServer;

/// What the operator says of calls: the `[voice]` part of the configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// SIP domains may end in this too, beside `sip.twilio.com`.
    pub sip_suffix: Option<String>,
    /// Trunks may end in this too, beside `pstn.twilio.com`.
    pub trunk_suffix: Option<String>,
    /// Beginnings of numbers (`+3719`) that count as high-risk special, beside the known ones.
    pub special_prefixes: Vec<String>,
    /// Beginnings of numbers that count as toll fraud, beside the known ones.
    pub tollfraud_prefixes: Vec<String>,
    /// The STUN and TURN servers that programs are told of.
    pub ice_servers: Vec<IceServer>,
}

/// What the product stands on.
pub struct Parts {
    /// To reach the account a carrier asks for.
    pub store: ByAccount,
    pub sealer: Sealer,
    pub clock: Clock,
    pub numbers: Arc<dyn NumberDirectory>,
    pub accounts: Arc<dyn AccountDirectory>,
    pub config: Config,
    /// Everything may be called until somebody says otherwise.
    pub development: bool,
}

/// The product's state.
pub struct Trunking {
    parts: Parts,
}

impl Trunking {
    pub fn new(mut parts: Parts) -> Arc<Self> {
        for suffix in [&mut parts.config.sip_suffix, &mut parts.config.trunk_suffix] {
            let normal = suffix.take().map(|it| it.trim_matches('.').to_ascii_lowercase());
            *suffix = normal.filter(|suffix| !suffix.is_empty());
        }
        Arc::new(Self { parts })
    }

    /// Adds this product's resources.
    pub fn mount(self: &Arc<Self>, router: Router) -> Router {
        router.mount(
            self,
            &[
                &domain::DOMAIN,
                &list::CREDENTIAL_LIST,
                &credential::CREDENTIAL,
                &list::IP_ACCESS_CONTROL_LIST,
                &list::IP_ADDRESS,
                &mapping::CALLS_CREDENTIALS,
                &mapping::CALLS_ADDRESSES,
                &mapping::REGISTRATIONS_CREDENTIALS,
                &mapping::LEGACY_CREDENTIALS,
                &mapping::LEGACY_ADDRESSES,
                &mapping::TRUNK_CREDENTIALS,
                &mapping::TRUNK_ADDRESSES,
                &trunk::TRUNK,
                &trunk::ORIGINATION_URL,
                &trunk::RECORDING,
                &byoc::BYOC_TRUNK,
                &policy::CONNECTION_POLICY,
                &policy::TARGET,
                &source::IP_RECORD,
                &source::SOURCE_IP_MAPPING,
                &permission::COUNTRY,
                &permission::SPECIAL_PREFIXES,
                &permission::BULK_UPDATE,
                &permission::SETTINGS,
                &token::TOKEN,
            ],
        )
    }
}
