//! What the operator is shown: registrations of ours at trunks, and telephones that registered here.

use std::sync::PoisonError;
use std::time::Duration;

use contracts::Unavailable;
use kernel::{Sid, Timestamp};

use crate::Sip;
use crate::registrar::Binding;

/// A registration of ours at a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrunkState {
    /// Nobody has answered yet.
    Asked,
    Registered {
        until: Timestamp,
    },
    /// With this status.
    Refused(u16),
    /// It does not answer, or is not found.
    Silent,
}

/// A telephone that registered, in one place where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telephone {
    pub domain: Sid,
    pub user: String,
    pub transport: String,
    /// Where it registered from.
    pub address: String,
    pub expires: Timestamp,
}

impl Sip {
    pub(crate) fn note_trunk(&self, name: &str, state: TrunkState) {
        let mut trunks = self.trunk_states.lock().unwrap_or_else(PoisonError::into_inner);
        trunks.insert(name.to_owned(), state);
    }

    /// Registered for so many seconds.
    pub(crate) fn note_registered(&self, name: &str, seconds: u64) {
        let until = self.now() + Duration::from_secs(seconds);
        self.note_trunk(name, TrunkState::Registered { until });
    }

    /// What became of our registration at a trunk; `None` where nobody registers.
    pub fn trunk_state(&self, name: &str) -> Option<TrunkState> {
        let trunk = self.config.trunks.iter().find(|trunk| trunk.name == name)?;
        let trunks = self.trunk_states.lock().unwrap_or_else(PoisonError::into_inner);
        let known = trunks.get(name).copied().unwrap_or(TrunkState::Asked);
        let is_over = matches!(known, TrunkState::Registered { until } if until <= self.now());
        trunk.register.then_some(if is_over { TrunkState::Silent } else { known })
    }

    /// Hosts of trunks that do not answer when they are asked how they are.
    pub fn silent_hosts(&self) -> Vec<String> {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.iter().cloned().collect()
    }

    /// Telephones that are registered now; of `limit` names.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn telephones(&self, limit: u32) -> Result<Vec<Telephone>, Unavailable> {
        let notes = self.parts.notes.newest("bind/", limit).await;
        let notes = notes.map_err(|error| Unavailable(error.0))?;
        let now = self.now();
        let mut found = Vec::new();
        for (key, text) in notes {
            let mut words = key.splitn(3, '/').skip(1);
            let domain = words.next().and_then(|word| word.parse().ok());
            let (Some(domain), Some(user)) = (domain, words.next()) else { continue };
            let bindings: Vec<Binding> = serde_json::from_str(&text).unwrap_or_default();
            let live = bindings.into_iter().filter(|binding| binding.expires > now);
            found.extend(live.map(|binding| Telephone {
                domain,
                user: user.to_owned(),
                transport: binding.transport,
                address: binding.address,
                expires: binding.expires,
            }));
        }
        Ok(found)
    }
}
