//! The committed list of answers that differ from the definitions on purpose.

use anyhow::bail;

use crate::definitions::Operation;
use crate::schema::Fault;

/// One deviation per line, with its reason.
pub(crate) const DEVIATIONS: &str = include_str!("../deviations.txt");

/// Faults that are none, because Twilio's real answers have them too.
#[derive(Debug, Default)]
pub(crate) struct Deviations(Vec<Deviation>);

#[derive(Debug)]
struct Deviation {
    file: String,
    /// A resource or an operation's id, or the beginning of resources and `*`.
    resource: String,
    /// Pointer from the record, and the fault.
    fault: String,
}

impl Deviations {
    /// Reads the list.
    ///
    /// # Errors
    /// When an entry is incomplete or gives no reason.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (entry, reason) = line.split_once("  # ").unwrap_or((line, ""));
            let mut words = entry.trim().splitn(3, ' ').map(str::to_owned);
            match (words.next(), words.next(), words.next()) {
                (Some(file), Some(resource), Some(fault)) if !reason.trim().is_empty() => {
                    all.push(Deviation { file, resource, fault });
                }
                _ => bail!("deviations.txt: '{line}' lacks a part or the reason behind '#'"),
            }
        }
        Ok(Self(all))
    }

    /// True when this fault is deliberate.
    pub fn allow(&self, file: &str, operation: &Operation, fault: &Fault) -> bool {
        let resource = operation.resource();
        let text = format!("{}: {}", within_record(&fault.pointer), fault.what);
        self.0.iter().any(|known| {
            let same = match known.resource.strip_suffix('*') {
                Some(beginning) => resource.starts_with(beginning),
                None => [resource, &operation.id].contains(&known.resource.as_str()),
            };
            same && known.file == file && known.fault == text
        })
    }
}

/// A pointer from the record: `/messages/*/sid` becomes `/sid`.
fn within_record(pointer: &str) -> &str {
    let mut parts = pointer.splitn(4, '/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(""), Some(list), Some("*"), Some(_)) => &pointer[list.len() + "//*".len()..],
        _ => pointer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(pointer: &str, what: &str) -> Fault {
        Fault { pointer: pointer.into(), what: what.into() }
    }

    #[test]
    fn only_the_listed_fault_of_the_listed_resource_is_allowed() {
        let text = "api_v2010 Number* /cap/MMS: missing  # seen\n\
                    api_v2010 UpdateKey /secret: null  # shown once\n";
        let list = Deviations::parse(text).unwrap();
        let allow = |file, id: &str, pointer, what| {
            let operation = Operation { id: id.to_owned(), ..Operation::default() };
            list.allow(file, &operation, &fault(pointer, what))
        };
        assert!(allow("api_v2010", "FetchNumberLocal", "/cap/MMS", "missing"));
        assert!(allow("api_v2010", "ListNumber", "/numbers/*/cap/MMS", "missing"));
        assert!(!allow("api_v2010", "FetchOther", "/cap/MMS", "missing"));
        assert!(!allow("numbers_v2", "FetchNumber", "/cap/MMS", "missing"));
        assert!(!allow("api_v2010", "FetchNumber", "/cap/MMS", "null"));
        assert!(!allow("api_v2010", "FetchNumber", "/cap/SMS", "missing"));
        assert!(allow("api_v2010", "UpdateKey", "/secret", "null"));
        assert!(!allow("api_v2010", "CreateKey", "/secret", "null"));
    }

    #[test]
    fn a_deviation_needs_its_parts_and_a_reason() {
        assert!(Deviations::parse("api_v2010 Number /x: missing").is_err());
        assert!(Deviations::parse("api_v2010 Number  # why").is_err());
        Deviations::parse(DEVIATIONS).unwrap();
    }
}
