//! Who the simulated phones belong to, as far as somebody has said.

use contracts::{
    BoxFuture, Caller, LineStatus, Lines, NotesError, Person, Pumping, Subscriber, Subscribers,
    Unavailable,
};
use kernel::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Behaviour, Sim, handset};

/// What is said of a phone's owner; what is left out is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Owner {
    pub first_name: String,
    pub last_name: String,
    pub address_line: String,
    pub city: String,
    pub state: String,
    pub postal_code: String,
    /// ISO code.
    pub country: String,
    pub national_id: String,
    /// `YYYYMMDD`.
    pub date_of_birth: String,
    pub is_business: bool,
    pub is_forwarding: bool,
    /// When the SIM was last changed, ISO 8601.
    pub sim_swapped_at: Option<String>,
    /// When the number last went to somebody else, ISO 8601.
    pub reassigned_at: Option<String>,
    /// 0 to 100.
    pub pumping_score: u8,
}

impl Owner {
    /// # Errors
    /// The member that cannot be read.
    pub fn check(&self) -> Result<(), String> {
        let moments =
            [("sim_swapped_at", &self.sim_swapped_at), ("reassigned_at", &self.reassigned_at)];
        for (name, text) in moments {
            if text.as_deref().is_some_and(|text| Timestamp::parse(text).is_err()) {
                return Err(format!("'{name}' is no date such as 2026-01-10T12:00:00Z"));
            }
        }
        match self.pumping_score {
            0..=100 => Ok(()),
            score => Err(format!("'pumping_score' {score} is more than 100")),
        }
    }
}

fn moment(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|text| Timestamp::parse(text).ok())
}

fn key(number: &str) -> String {
    format!("owner/{number}")
}

impl Sim {
    /// What was said of a phone's owner.
    pub async fn owner(&self, number: &str) -> Result<Option<Owner>, NotesError> {
        let known = self.notes.get(&key(number)).await?;
        Ok(known.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Says who a phone belongs to.
    pub async fn set_owner(&self, number: &str, owner: &Owner) -> Result<(), NotesError> {
        let text = serde_json::to_string(owner).expect("an owner is plain text");
        self.notes.put(&key(number), text).await
    }
}

impl Subscribers for Sim {
    /// A phone nobody has said anything of has a line, a status and never changed hands; its name
    /// is what it is called.
    fn subscriber<'a>(&'a self, number: &'a str) -> BoxFuture<'a, Result<Subscriber, Unavailable>> {
        Box::pin(async move {
            let failed = |error: NotesError| Unavailable(error.to_string());
            let handset = handset::load(&*self.notes, number).await.map_err(failed)?;
            let owner = self.owner(number).await.map_err(failed)?;
            let status = match handset.behaviour {
                Behaviour::Unknown => LineStatus::Inactive,
                Behaviour::Off | Behaviour::Silent => LineStatus::Unreachable,
                _ => LineStatus::Reachable,
            };
            let known = owner.clone().unwrap_or_default();
            let name = match owner {
                Some(_) => format!("{} {}", known.first_name, known.last_name).trim().to_owned(),
                None => handset.name,
            };
            Ok(Subscriber {
                line: Some(self.line(number).await?),
                caller: (!name.is_empty())
                    .then_some(Caller { name, is_business: known.is_business }),
                status: Some(status),
                is_forwarding: Some(known.is_forwarding),
                sim_swapped_at: Some(moment(known.sim_swapped_at.as_deref())),
                reassigned_at: Some(moment(known.reassigned_at.as_deref())),
                person: owner.map(|owner| Person {
                    first_name: owner.first_name,
                    last_name: owner.last_name,
                    address_line: owner.address_line,
                    city: owner.city,
                    state: owner.state,
                    postal_code: owner.postal_code,
                    country: owner.country,
                    national_id: owner.national_id,
                    date_of_birth: owner.date_of_birth,
                }),
                pumping: Some(Pumping { score: known.pumping_score, blocked_at: None }),
            })
        })
    }
}
