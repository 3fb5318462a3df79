//! Noting what was seen, within bounds.

use crate::{Facts, Noted};

/// Distinct entries that a list holds.
const ENTRIES_MAX: usize = 64;

impl<T: PartialEq> Noted<T> {
    pub(crate) fn note(&mut self, entry: T) {
        if self.entries.contains(&entry) {
            return;
        }
        if self.entries.len() < ENTRIES_MAX {
            self.entries.push(entry);
        } else {
            self.more += 1;
        }
    }
}

impl Facts {
    /// Counts a connection to `host`; past 64 hosts only in the sum.
    pub(crate) fn note_redirected(&mut self, host: &str) {
        self.redirected += 1;
        if let Some(count) = self.hosts.get_mut(host) {
            *count += 1;
        } else if self.hosts.len() < ENTRIES_MAX {
            self.hosts.insert(host.to_owned(), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_distinct_entries_and_counts_the_rest() {
        let mut noted = Noted::default();
        for entry in (0..70).chain(0..70) {
            noted.note(entry);
        }
        assert_eq!(noted.entries, (0..64).collect::<Vec<_>>());
        assert_eq!(noted.more, 12);
    }

    #[test]
    fn hosts_beyond_the_bound_are_in_the_sum_only() {
        let mut facts = Facts::default();
        for number in 0..70 {
            facts.note_redirected(&format!("{number}.twilio.com"));
        }
        facts.note_redirected("0.twilio.com");
        assert_eq!((facts.redirected, facts.hosts.len()), (71, 64));
        assert_eq!(facts.hosts["0.twilio.com"], 2);
    }
}
