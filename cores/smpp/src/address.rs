//! Addresses on the wire: digits with type of number and numbering plan (SMPP 3.4 §5.2.5, §5.2.6).

use crate::wire::{Malformed, Reader, put_text};

const TON_UNKNOWN: u8 = 0;
const TON_INTERNATIONAL: u8 = 1;
const TON_ALPHANUMERIC: u8 = 5;
const NPI_ISDN: u8 = 1;

/// Longest run of digits that is a short code rather than a number.
const SHORT_CODE_DIGITS_MAX: usize = 8;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address {
    /// Type of number: 0 unknown, 1 international, 2 national, 3 network specific,
    /// 4 subscriber, 5 alphanumeric, 6 abbreviated.
    pub ton: u8,
    /// Numbering plan: 0 unknown, 1 ISDN (E.164).
    pub npi: u8,
    /// Without `+`.
    pub digits: String,
}

/// What a bind calls a short code; SMSCs differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortCodeForm {
    pub ton: u8,
    pub npi: u8,
}

impl Default for ShortCodeForm {
    /// Network specific, unknown plan.
    fn default() -> Self {
        Self { ton: 3, npi: 0 }
    }
}

impl Address {
    /// By shape: `+4915112345678` is 1/1, `12345` a short code, `Offhook` is 5/0.
    pub fn of(text: &str, short_code: ShortCodeForm) -> Self {
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if let Some(digits) = text.strip_prefix('+').filter(|digits| is_digits(digits)) {
            return Self { ton: TON_INTERNATIONAL, npi: NPI_ISDN, digits: digits.to_owned() };
        }
        if is_digits(text) && text.len() <= SHORT_CODE_DIGITS_MAX {
            let ShortCodeForm { ton, npi } = short_code;
            return Self { ton, npi, digits: text.to_owned() };
        }
        if is_digits(text) {
            return Self { ton: TON_UNKNOWN, npi: NPI_ISDN, digits: text.to_owned() };
        }
        Self { ton: TON_ALPHANUMERIC, npi: 0, digits: text.to_owned() }
    }

    /// As the platform writes it: `+` and digits for what is international or long
    /// enough to be, else as it came. `00` before an international number is dropped.
    pub fn to_text(&self) -> String {
        let digits = self.digits.trim();
        let is_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match self.ton {
            TON_INTERNATIONAL if is_digits => {
                format!("+{}", digits.strip_prefix("00").unwrap_or(digits))
            }
            TON_UNKNOWN if is_digits && digits.len() > SHORT_CODE_DIGITS_MAX => {
                format!("+{}", digits.strip_prefix("00").unwrap_or(digits))
            }
            _ => digits.to_owned(),
        }
    }

    /// The same subscriber, however each side writes the number: the shorter one, when
    /// it has six digits at least, ends the longer one.
    pub fn is_alike(&self, other: &str) -> bool {
        let bare = |text: &str| text.trim_start_matches('+').trim_start_matches('0').to_owned();
        let (ours, theirs) = (bare(&self.digits), bare(other));
        let (short, long) =
            if ours.len() <= theirs.len() { (&ours, &theirs) } else { (&theirs, &ours) };
        ours == theirs || (short.len() >= 6 && long.ends_with(short.as_str()))
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { ton: reader.u8()?, npi: reader.u8()?, digits: reader.text()? })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, octets_max: usize) {
        out.extend([self.ton, self.npi]);
        put_text(out, &self.digits, octets_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_of_an_address_gives_its_ton_and_npi() {
        let table = [
            ("+4915112345678", 1, 1, "4915112345678"),
            ("12345", 3, 0, "12345"),
            ("Offhook", 5, 0, "Offhook"),
            ("4915112345678", 0, 1, "4915112345678"),
            ("+1 555", 5, 0, "+1 555"),
            ("", 5, 0, ""),
        ];
        for (text, ton, npi, digits) in table {
            let address = Address::of(text, ShortCodeForm::default());
            assert_eq!((address.ton, address.npi, &*address.digits), (ton, npi, digits), "{text}");
        }
    }

    #[test]
    fn addresses_come_back_as_the_platform_writes_them() {
        let table = [
            (1, "4915112345678", "+4915112345678"),
            (1, "+4915112345678", "+4915112345678"),
            (0, "4915112345678", "+4915112345678"),
            (0, "004915112345678", "+4915112345678"),
            (0, "12345", "12345"),
            (3, "12345", "12345"),
            (5, "Offhook", "Offhook"),
        ];
        for (ton, digits, text) in table {
            let address = Address { ton, npi: 0, digits: digits.to_owned() };
            assert_eq!(address.to_text(), text);
        }
    }

    #[test]
    fn numbers_are_alike_across_national_and_international_form() {
        let address = Address { ton: 1, npi: 1, digits: "4915112345678".into() };
        assert!(address.is_alike("+4915112345678"));
        assert!(address.is_alike("015112345678"));
        assert!(!address.is_alike("+4915112345679"));
        assert!(!address.is_alike("678"));
    }
}
