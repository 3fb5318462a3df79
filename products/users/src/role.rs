//! What each role may do: one table.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a user is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything but users.
    Developer,
    /// Reads everything and replays; changes no configuration.
    Support,
    /// Usage and cost alone.
    Billing,
    /// Reads what happened, without bodies and with numbers masked.
    Auditor,
}

/// What a request needs to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// To have signed in.
    Nothing,
    /// Usage, prices and cost.
    Usage,
    /// What happened, and what is configured.
    Read,
    /// To try again what failed.
    Replay,
    /// To send, to configure, to use the simulated phones, and to see credentials.
    Change,
    /// To add and remove users.
    Users,
}

impl Role {
    pub const ALL: [Self; 5] =
        [Self::Owner, Self::Developer, Self::Support, Self::Billing, Self::Auditor];

    /// What the role may do, in the order of [`Need`].
    pub const fn needs(self) -> &'static [Need] {
        use Need::{Change, Nothing, Read, Replay, Usage, Users};
        match self {
            Self::Owner => &[Nothing, Usage, Read, Replay, Change, Users],
            Self::Developer => &[Nothing, Usage, Read, Replay, Change],
            Self::Support => &[Nothing, Usage, Read, Replay],
            Self::Auditor => &[Nothing, Usage, Read],
            Self::Billing => &[Nothing, Usage],
        }
    }

    pub fn may(self, need: Need) -> bool {
        self.needs().contains(&need)
    }

    /// Bodies are shown, and numbers in full.
    pub const fn sees_bodies(self) -> bool {
        matches!(self, Self::Owner | Self::Developer | Self::Support)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Developer => "developer",
            Self::Support => "support",
            Self::Billing => "billing",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| {
            format!("'{text}' is no role: use owner, developer, support, billing or auditor")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_may_what_it_is_for() {
        use Need::{Change, Nothing, Read, Replay, Usage, Users};
        for (role, may, bodies) in [
            (Role::Owner, &[Nothing, Usage, Read, Replay, Change, Users][..], true),
            (Role::Developer, &[Nothing, Usage, Read, Replay, Change], true),
            (Role::Support, &[Nothing, Usage, Read, Replay], true),
            (Role::Billing, &[Nothing, Usage], false),
            (Role::Auditor, &[Nothing, Usage, Read], false),
        ] {
            for need in [Nothing, Usage, Read, Replay, Change, Users] {
                assert_eq!(role.may(need), may.contains(&need), "{role} {need:?}");
            }
            assert_eq!(role.sees_bodies(), bodies, "{role}");
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().unwrap_err().contains("auditor"));
    }
}
