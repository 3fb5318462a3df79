//! Marker addresses: what the DNS responder answers with, so that a connection to one
//! says which host was meant.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::decide::MARKERS;

/// Names that have an address at the same time: 127.66.0.1 to 127.66.255.254.
const NAMES_MAX: u16 = 65_534;

/// One address for each name; when all are taken the longest-held one changes its name.
#[derive(Default)]
pub struct Markers {
    by_name: HashMap<Arc<str>, u16>,
    /// The name at 127.66.0.1, at 127.66.0.2, and so on.
    names: Vec<Arc<str>>,
    /// Once `names` is full: the position that is taken over next.
    oldest: usize,
}

impl Markers {
    /// The address of `name`, given out now if it has none.
    pub fn address(&mut self, name: &str) -> Ipv4Addr {
        if let Some(&number) = self.by_name.get(name) {
            return to_address(number);
        }
        let name: Arc<str> = name.into();
        let position = if self.names.len() < usize::from(NAMES_MAX) {
            self.names.push(Arc::clone(&name));
            self.names.len() - 1
        } else {
            let position = self.oldest;
            self.oldest = (position + 1) % self.names.len();
            let former = std::mem::replace(&mut self.names[position], Arc::clone(&name));
            self.by_name.remove(&former);
            position
        };
        // At most NAMES_MAX, which fits.
        let number = position as u16 + 1;
        self.by_name.insert(name, number);
        to_address(number)
    }

    /// The name that an address was given to.
    pub fn name(&self, address: Ipv4Addr) -> Option<&str> {
        let [a, b, c, d] = address.octets();
        let position = usize::from(u16::from_be_bytes([c, d])).checked_sub(1)?;
        if [a, b] != MARKERS {
            return None;
        }
        self.names.get(position).map(|name| &**name)
    }
}

fn to_address(number: u16) -> Ipv4Addr {
    let [c, d] = number.to_be_bytes();
    Ipv4Addr::new(MARKERS[0], MARKERS[1], c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_address_and_an_address_its_name() {
        let mut markers = Markers::default();
        let api = markers.address("api.twilio.com");
        let verify = markers.address("verify.twilio.com");
        assert_eq!(api, Ipv4Addr::new(127, 66, 0, 1));
        assert_eq!(markers.address("api.twilio.com"), api);
        assert_eq!(markers.name(api), Some("api.twilio.com"));
        assert_eq!(markers.name(verify), Some("verify.twilio.com"));
        for unknown in [[127, 66, 0, 0], [127, 66, 0, 3], [127, 66, 255, 255], [127, 0, 0, 1]] {
            assert_eq!(markers.name(unknown.into()), None);
        }
    }

    #[test]
    fn when_full_the_oldest_goes() {
        let mut markers = Markers::default();
        for number in 0..u32::from(NAMES_MAX) {
            markers.address(&number.to_string());
        }
        assert_eq!(markers.name([127, 66, 255, 254].into()), Some("65533"));
        assert_eq!(markers.address("next"), Ipv4Addr::new(127, 66, 0, 1));
        assert_eq!(markers.address("0"), Ipv4Addr::new(127, 66, 0, 2));
        assert_eq!(markers.address("2"), Ipv4Addr::new(127, 66, 0, 3));
        assert_eq!(markers.by_name.len(), usize::from(NAMES_MAX));
    }
}
