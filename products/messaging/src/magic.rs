//! What test credentials may do with messages (rest-conventions §13.2).

use kernel::ApiError;

/// The outcome of a send with test credentials: success, or the row's error.
pub(crate) fn check(from: &str, to: &str) -> Result<(), ApiError> {
    let sender = match from {
        "+15005550006" => None,
        "+15005550001" => Some((21212, "is not a valid phone number")),
        "+15005550008" => Some((21611, "has a full queue")),
        "+15005550007" => Some((21606, "is not owned by this account or cannot send SMS")),
        _ => Some((21606, "is not a sender that test credentials may use: use +15005550006")),
    };
    if let Some((code, why)) = sender {
        return Err(ApiError::new(code, format!("The 'From' number {from} {why}")));
    }
    let recipient = match to {
        "+15005550001" => Some((21211, "is not a valid phone number")),
        "+15005550002" => Some((21612, "cannot be reached from this sender")),
        "+15005550003" => Some((21408, "is in a region without permission to send")),
        "+15005550004" => Some((21610, "has opted out of this sender")),
        "+15005550009" => Some((21614, "is not a mobile number")),
        _ => None,
    };
    match recipient {
        Some((code, why)) => Err(ApiError::new(code, format!("The 'To' number {to} {why}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_magic_number_answers_its_code() {
        for (from, to, code) in [
            ("+15005550001", "+14155550100", Some(21212)),
            ("+15005550007", "+14155550100", Some(21606)),
            ("+15005550008", "+14155550100", Some(21611)),
            ("+14155550101", "+14155550100", Some(21606)),
            ("+15005550006", "+15005550001", Some(21211)),
            ("+15005550006", "+15005550002", Some(21612)),
            ("+15005550006", "+15005550003", Some(21408)),
            ("+15005550006", "+15005550004", Some(21610)),
            ("+15005550006", "+15005550009", Some(21614)),
            ("+15005550006", "+14155550100", None),
        ] {
            assert_eq!(check(from, to).err().map(|error| error.code), code, "{from} {to}");
        }
    }
}
