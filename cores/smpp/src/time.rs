//! Times on the wire (SMPP 3.4 §7.1.1): `YYMMDDhhmmsstnnp`.

use std::time::Duration;

use kernel::Timestamp;

/// The text has neither form of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the form YYMMDDhhmmsstnnp")]
pub struct BadTime;

/// Reads an absolute time (`p` is `+` or `-`: the zone is `nn` quarters of an hour ahead of
/// or behind UTC) or a relative one (`p` is `R`; years have 365 days and months 30).
/// `None` when it is empty.
pub fn read(text: &str, now: Timestamp) -> Result<Option<Timestamp>, BadTime> {
    if text.is_empty() {
        return Ok(None);
    }
    let (digits, sign) = text.split_at_checked(15).ok_or(BadTime)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadTime);
    }
    let number = |at: usize| digits[at..at + 2].parse::<u64>().map_err(|_| BadTime);
    if sign == "R" {
        let days = number(0)? * 365 + number(2)? * 30 + number(4)?;
        let seconds = ((days * 24 + number(6)?) * 60 + number(8)?) * 60 + number(10)?;
        return Ok(Some(now + Duration::from_secs(seconds)));
    }
    let [date, time] = [&digits[..6], &digits[6..12]];
    let [year, month, day] = [&date[..2], &date[2..4], &date[4..]];
    let [hour, minute, second] = [&time[..2], &time[2..4], &time[4..]];
    let iso = format!("20{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    let at = Timestamp::parse(&iso).map_err(|_| BadTime)?;
    let zone = Duration::from_secs(number(13)? * 15 * 60);
    match sign {
        "+" => Ok(Some(Timestamp::from_micros(at.as_micros() - zone.as_micros() as i64))),
        "-" => Ok(Some(at + zone)),
        _ => Err(BadTime),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_and_relative_times_are_read() {
        let now = Timestamp::from_seconds(1_000_000);
        let in_seconds = |seconds: i64| Ok(Some(Timestamp::from_seconds(1_000_000 + seconds)));
        let iso = |text: &str| Ok(Some(Timestamp::parse(text).unwrap()));
        let table = [
            ("", Ok(None)),
            ("000000000500000R", in_seconds(300)),
            ("000001020304000R", in_seconds(86_400 + 2 * 3_600 + 3 * 60 + 4)),
            ("240102153000004+", iso("2024-01-02T14:30:00Z")),
            ("240102153000004-", iso("2024-01-02T16:30:00Z")),
            ("240102153000000+", iso("2024-01-02T15:30:00Z")),
            ("241302153000000+", Err(BadTime)),
            ("240102153000000", Err(BadTime)),
            ("240102153000000X", Err(BadTime)),
            ("24010215300000é+", Err(BadTime)),
            ("tomorrow at noon", Err(BadTime)),
        ];
        for (text, expected) in table {
            assert_eq!(read(text, now), expected, "{text}");
        }
    }
}
