//! Which sender of a pool sends (messaging §12.1): a pure decision.

use numbering::{Address, AlphaSender, Country, E164, Kind};

/// A sender in a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    /// In its normal form.
    pub address: Address,
    /// ISO 3166 alpha-2: where a number is from, or what a name is for; empty: everywhere.
    pub country: String,
    pub sms: bool,
    pub mms: bool,
}

/// What a message needs of its sender.
pub(crate) struct Need<'a> {
    pub to: &'a Address,
    /// Media that cannot be turned into a link.
    pub mms: bool,
    /// The sender that the recipient knows already.
    pub sticky: Option<&'a str>,
    pub geomatch: bool,
    /// Spreads messages evenly among equals; any number.
    pub spread: u64,
}

/// `None`: no sender of the pool can reach the recipient (21703).
pub(crate) fn select<'a>(pool: &'a [Sender], need: &Need<'_>) -> Option<&'a Sender> {
    let country = need.to.number().and_then(E164::country);
    let able: Vec<_> = pool.iter().filter(|sender| is_able(sender, need, country)).collect();
    let known = able
        .iter()
        .find(|sender| need.sticky.is_some_and(|sticky| sender.address.to_string() == sticky));
    if let Some(known) = known {
        return Some(known);
    }
    let best = able.iter().map(|sender| rank(sender, need, country)).min()?;
    let equals: Vec<_> =
        able.into_iter().filter(|sender| rank(sender, need, country) == best).collect();
    let at = need.spread % equals.len() as u64;
    equals.into_iter().nth(usize::try_from(at).unwrap_or(0))
}

fn is_able(sender: &Sender, need: &Need<'_>, country: Option<&Country>) -> bool {
    if sender.address.channel() != need.to.channel() {
        return false;
    }
    if !sender.sms || (need.mms && !sender.mms) || &sender.address == need.to {
        return false;
    }
    let iso = country.map_or("", |country| country.iso);
    match &sender.address {
        // A name cannot be answered to, and only some networks show it.
        Address::Alphanumeric(_) => {
            (sender.country.is_empty() || sender.country == iso)
                && country.is_some_and(|country| country.alphanumeric != AlphaSender::Unsupported)
        }
        // A short code reaches its own country only.
        Address::ShortCode(_) => sender.country == iso,
        _ => true,
    }
}

/// Smaller is better.
fn rank(sender: &Sender, need: &Need<'_>, country: Option<&Country>) -> u8 {
    let iso = country.map_or("", |country| country.iso);
    match &sender.address {
        Address::ShortCode(_) => 0,
        Address::E164(number) if sender.country == iso => {
            let is_near = need.geomatch
                && matches!(iso, "US" | "CA")
                && need.to.number().is_some_and(|to| area_code(to) == area_code(*number));
            match number.kind() {
                Kind::TollFree => 3,
                _ if is_near => 1,
                _ => 2,
            }
        }
        Address::Alphanumeric(_) if !sender.country.is_empty() => 4,
        Address::Alphanumeric(_) => 5,
        _ => 6,
    }
}

/// The three digits behind +1.
fn area_code(number: E164) -> Option<String> {
    number.to_string().strip_prefix("+1").and_then(|rest| rest.get(..3)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(address: &str, country: &str) -> Sender {
        let address = Address::parse_from(address).unwrap();
        Sender { address, country: country.into(), sms: true, mms: true }
    }

    fn chosen(pool: &[Sender], to: &str, change: impl FnOnce(&mut Need<'_>)) -> Option<String> {
        let to = Address::parse_to(to).unwrap();
        let mut need = Need { to: &to, mms: false, sticky: None, geomatch: true, spread: 0 };
        change(&mut need);
        select(pool, &need).map(|sender| sender.address.to_string())
    }

    #[test]
    fn the_nearest_kind_of_sender_is_taken() {
        let pool = [
            sender("+442071838750", "GB"),
            sender("ACME", ""),
            sender("ACMEUK", "GB"),
            sender("+18005550100", "US"),
            sender("+12125550100", "US"),
            sender("+14155550100", "US"),
        ];
        for (to, from) in [
            ("+14155550199", "+14155550100"),
            ("+12125550199", "+12125550100"),
            ("+447400123456", "+442071838750"),
            ("+33612345678", "ACME"),
        ] {
            assert_eq!(chosen(&pool, to, |_| {}).as_deref(), Some(from), "{to}");
        }
        let without_local =
            [sender("ACME", ""), sender("ACMEUK", "GB"), sender("+14155550100", "US")];
        assert_eq!(chosen(&without_local, "+447400123456", |_| {}).as_deref(), Some("ACMEUK"));
        let with_code = [sender("+14155550100", "US"), sender("54321", "US")];
        assert_eq!(chosen(&with_code, "+14155550199", |_| {}).as_deref(), Some("54321"));
        assert_eq!(chosen(&with_code, "+33612345678", |_| {}).as_deref(), Some("+14155550100"));
    }

    #[test]
    fn what_a_recipient_knows_stays_while_it_can_send() {
        let pool = [sender("+14155550100", "US"), sender("+12125550100", "US")];
        let knows = |pool: &[Sender]| {
            chosen(pool, "+14155550199", |need| need.sticky = Some("+12125550100"))
        };
        assert_eq!(knows(&pool).as_deref(), Some("+12125550100"));
        assert_eq!(knows(&pool[..1]).as_deref(), Some("+14155550100"));
    }

    #[test]
    fn equals_share_the_work() {
        let pool = [sender("+13125550100", "US"), sender("+13125550101", "US")];
        let at = |spread| chosen(&pool, "+14155550199", |need| need.spread = spread);
        assert_ne!(at(0), at(1));
        assert_eq!(at(0), at(2));
    }

    #[test]
    fn nobody_is_chosen_who_cannot() {
        let mut textless = sender("+14155550100", "US");
        textless.mms = false;
        assert_eq!(chosen(&[textless], "+14155550199", |need| need.mms = true), None);
        assert_eq!(chosen(&[sender("ACME", "")], "+14155550199", |_| {}), None);
        assert_eq!(chosen(&[sender("54321", "US")], "+33612345678", |_| {}), None);
        assert_eq!(chosen(&[], "+14155550199", |_| {}), None);
        let channel = [sender("+14155550100", "US")];
        assert_eq!(chosen(&channel, "whatsapp:+14155550199", |_| {}), None);
    }
}
