//! What an operator says of the WhatsApp Business account.

use std::collections::HashSet;

use contracts::ConfigError;
use kernel::Secret;
use serde::Deserialize;

/// A WhatsApp Business account with its numbers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Of a system user who may send messages.
    pub access_token: Secret,
    /// Of the app that Meta calls the webhook for; signs what it posts.
    pub app_secret: Secret,
    /// What the webhook was registered with.
    pub verify_token: Secret,
    /// The Graph API with its version.
    #[serde(default = "usual_url")]
    pub base_url: String,
    pub numbers: Vec<Number>,
}

/// A number of the account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// `+14155550190`; `whatsapp:+14155550190` is the sender.
    pub number: String,
    /// Meta's id of it.
    pub phone_number_id: String,
}

fn usual_url() -> String {
    "https://graph.facebook.com/v21.0".to_owned()
}

impl Config {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let secrets = [
            ("access_token", &self.access_token),
            ("app_secret", &self.app_secret),
            ("verify_token", &self.verify_token),
        ];
        if let Some((name, _)) = secrets.iter().find(|(_, secret)| secret.0.is_empty()) {
            return Err(ConfigError(format!("{name} is empty")));
        }
        if !self.base_url.starts_with("http") || self.base_url.ends_with('/') {
            let why =
                format!("base_url {:?} must be a URL without a slash at its end", self.base_url);
            return Err(ConfigError(why));
        }
        if self.numbers.is_empty() {
            return Err(ConfigError("numbers is empty".into()));
        }
        let mut seen = HashSet::new();
        for Number { number, phone_number_id } in &self.numbers {
            let digits = number.strip_prefix('+').unwrap_or_default();
            if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
                let why = format!("numbers has {number:?}: write it as +14155550100");
                return Err(ConfigError(why));
            }
            let is_id = !phone_number_id.is_empty()
                && phone_number_id.bytes().all(|b| b.is_ascii_alphanumeric());
            if !is_id {
                let why = format!("phone_number_id {phone_number_id:?} of {number} is no id");
                return Err(ConfigError(why));
            }
            if !seen.insert(number) || !seen.insert(phone_number_id) {
                return Err(ConfigError(format!("{number} or its id is there twice")));
            }
        }
        Ok(())
    }

    /// Meta's id of a sender such as `whatsapp:+14155550190`.
    pub(crate) fn id_of(&self, sender: &str) -> Option<&str> {
        let number = sender.strip_prefix("whatsapp:")?;
        let found = self.numbers.iter().find(|known| known.number == number);
        found.map(|known| known.phone_number_id.as_str())
    }

    /// The sender that Meta knows by this id.
    pub(crate) fn sender_of(&self, id: &str) -> Option<String> {
        let found = self.numbers.iter().find(|known| known.phone_number_id == id);
        found.map(|known| format!("whatsapp:{}", known.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_parameter_is_named_and_a_secret_is_not_shown() {
        let parse = |secret: &str, rest: &str| {
            let text = format!(
                "access_token = 'geheim'\napp_secret = '{secret}'\nverify_token = 'v'\n{rest}"
            );
            toml::from_str::<Config>(&text).map_err(|error| error.to_string())
        };
        let number = "[[numbers]]\nnumber = '+14155550190'\nphone_number_id = '1066'\n";
        let fine = parse("s", number).unwrap();
        assert_eq!((fine.validate(), fine.id_of("whatsapp:+14155550190")), (Ok(()), Some("1066")));
        assert_eq!(fine.sender_of("1066").as_deref(), Some("whatsapp:+14155550190"));
        assert_eq!((fine.id_of("+14155550190"), fine.sender_of("1")), (None, None));
        assert!(!format!("{fine:?}").contains("geheim"));
        for (secret, rest, name) in [
            ("", number.to_owned(), "app_secret"),
            ("s", "numbers = []".to_owned(), "numbers"),
            ("s", number.replace('+', ""), "numbers"),
            ("s", number.replace("1066", ""), "phone_number_id"),
            ("s", format!("{number}{number}"), "twice"),
            ("s", format!("base_url = 'graph'\n{number}"), "base_url"),
        ] {
            let error = parse(secret, &rest).unwrap().validate().unwrap_err();
            assert!(error.0.contains(name), "{rest}: {error}");
        }
        assert!(parse("s", &format!("unknown = 1\n{number}")).unwrap_err().contains("unknown"));
    }
}
