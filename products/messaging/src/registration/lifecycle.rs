//! One state machine for everything that is vetted: waiting → reviewing → good | bad; good may
//! be suspended, bad may be sent again.

/// The words that a resource has for its states, and the field that holds them.
#[derive(Debug)]
pub(super) struct Machine {
    pub field: &'static str,
    pub waiting: &'static str,
    pub reviewing: &'static str,
    pub good: &'static str,
    pub bad: &'static str,
    /// Where nothing suspends: `None`.
    pub suspended: Option<&'static str>,
}

/// What happens to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Opened,
    Decided {
        passes: bool,
    },
    Suspended,
    /// Its owner has corrected it.
    Resubmitted,
}

impl Machine {
    /// The state after `event`; `None` when it does not belong here, and nothing happens.
    pub fn apply(&self, state: &str, event: Event) -> Option<&'static str> {
        match event {
            Event::Opened if state == self.waiting => Some(self.reviewing),
            Event::Decided { passes: true } if state == self.reviewing => Some(self.good),
            Event::Decided { passes: false } if state == self.reviewing => Some(self.bad),
            Event::Suspended if state == self.good => self.suspended,
            Event::Resubmitted if state == self.bad => Some(self.waiting),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_in_every_state() {
        let machine = Machine {
            field: "status",
            waiting: "waiting",
            reviewing: "reviewing",
            good: "good",
            bad: "bad",
            suspended: Some("suspended"),
        };
        let events = [
            Event::Opened,
            Event::Decided { passes: true },
            Event::Decided { passes: false },
            Event::Suspended,
            Event::Resubmitted,
        ];
        for (state, expected) in [
            ("waiting", [Some("reviewing"), None, None, None, None]),
            ("reviewing", [None, Some("good"), Some("bad"), None, None]),
            ("good", [None, None, None, Some("suspended"), None]),
            ("bad", [None, None, None, None, Some("waiting")]),
            ("suspended", [None; 5]),
            ("of another version", [None; 5]),
        ] {
            assert_eq!(events.map(|event| machine.apply(state, event)), expected, "{state}");
        }
        let steady = Machine { suspended: None, ..machine };
        assert_eq!(steady.apply("good", Event::Suspended), None);
    }
}
