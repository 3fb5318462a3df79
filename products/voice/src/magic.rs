//! What test credentials may do with calls (voice-api §2.1).

use kernel::ApiError;

/// The outcome of a call with test credentials: success, or the row's error.
pub(crate) fn check(from: &str, to: &str) -> Result<(), ApiError> {
    let refuse = |code, which: &str, number: &str, why: &str| {
        Err(ApiError::new(code, format!("The '{which}' number {number} {why}")))
    };
    match from {
        "+15005550006" => {}
        "+15005550001" => return refuse(21212, "From", from, "is not a valid phone number"),
        _ => {
            let why = "is not one that test credentials may use: use +15005550006";
            return refuse(21210, "From", from, why);
        }
    }
    match to {
        "+15005550001" => refuse(21217, "To", to, "is not a valid phone number"),
        "+15005550002" => refuse(21214, "To", to, "cannot be reached"),
        "+15005550003" => refuse(21215, "To", to, "is in a region without permission to call"),
        "+15005550004" => refuse(21216, "To", to, "is blocked"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_magic_number_answers_its_code() {
        for (from, to, code) in [
            ("+15005550001", "+14155550100", Some(21212)),
            ("+14155550101", "+14155550100", Some(21210)),
            ("+15005550006", "+15005550001", Some(21217)),
            ("+15005550006", "+15005550002", Some(21214)),
            ("+15005550006", "+15005550003", Some(21215)),
            ("+15005550006", "+15005550004", Some(21216)),
            ("+15005550006", "+14155550100", None),
        ] {
            assert_eq!(check(from, to).err().map(|error| error.code), code, "{from} {to}");
        }
    }
}
