//! Payments by telephone: the `Pay` verb of documents here, the Payments API in [`session`], and
//! the [`connector`]s that both ask.
//!
//! What the payer keys in is sealed wherever it rests: keys that come from a carrier in their
//! letter, the digits of a payment in the state of its call, a whole card in the job that asks the
//! connector. It is gone when the payment is over.

mod connector;
mod session;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use contracts::Order;
use jobs::Failure;
use kernel::{Sid, Timestamp};
use store::{AccountBatch, AccountStore};
use twiml::voice::payment::{Captured, PayFailure, Plan};
use twiml::voice::{Input, Machine};

pub use connector::{PayConnector, PayConnectorKind};
pub(crate) use session::{PAYMENT, Payment, Step as PaymentStep};

use crate::Voice;
use crate::act::Act;
use crate::ask::{Ask, PaymentAsked};
use crate::letter::{Letter, What};

impl Voice {
    /// Sealed, as text.
    pub(crate) fn seal(&self, secret: &str) -> String {
        BASE64.encode(self.parts.sealer.seal(secret))
    }

    /// `None`: this instance did not seal it.
    pub(crate) fn unseal(&self, sealed: &str) -> Option<String> {
        let octets = BASE64.decode(sealed).ok()?;
        self.parts.sealer.open(&octets).ok()
    }

    /// What the machine must not have written down is put back before it goes on.
    pub(crate) fn give_secrets(&self, machine: &mut Machine, sealed: &str) {
        if let Some(secrets) = self.unseal(sealed) {
            machine.give_secrets(&secrets);
        }
    }

    /// Asks the connector; its answer is promised to the call.
    pub(crate) async fn pay(
        &self,
        store: &AccountStore,
        call: Sid,
        asked: PaymentAsked,
        batch: &mut AccountBatch,
    ) -> Result<(), Failure> {
        let PaymentAsked { payment, plan, sealed, is_of_document } = asked;
        let captured = self.unseal(&sealed).and_then(|text| serde_json::from_str(&text).ok());
        let outcome = match captured {
            Some(captured) => {
                self.make_payment(store.account(), call, payment, &plan, &captured).await
            }
            None => {
                let why = "what was keyed in cannot be opened with this instance's key".to_owned();
                Err(PayFailure { code: 64002, why, said: None })
            }
        };
        let what = match is_of_document {
            true => What::Machine(Input::Paid(outcome)),
            false => What::PaymentMade { payment, outcome },
        };
        self.send(batch, Letter { call, at: self.parts.clock.now(), what });
        Ok(())
    }
}

impl Act<'_> {
    /// A `Pay` begins.
    pub fn open_pay(&mut self, plan: &Plan) {
        let refusal = match self.voice.connector(&plan.connector) {
            None => Some(connector::no_connector(&plan.connector)),
            Some(_) => self.live.payment.as_ref().map(|_| PayFailure {
                code: 64021,
                why: "session-in-progress: the API takes a payment on this call".to_owned(),
                said: None,
            }),
        };
        if let Some(failure) = refusal {
            self.alert(failure.code, &format!("<Pay>: {}", failure.why));
            return self.tell(Input::PayRefused(failure));
        }
        self.keep_keys(true);
        self.tell(Input::PayOpened { month: month_of(self.at) });
    }

    /// All is keyed in.
    pub fn pay(&mut self, plan: Plan, captured: &Captured) {
        let payment = self.voice.parts.clock.sid("PK");
        self.ask_connector(payment, plan, captured, true);
    }

    fn ask_connector(
        &mut self,
        payment: Sid,
        plan: Plan,
        captured: &Captured,
        is_of_document: bool,
    ) {
        let text = serde_json::to_string(captured).expect("digits are plain data");
        let sealed = self.voice.seal(&text);
        self.ask(Ask::Payment(Box::new(PaymentAsked { payment, plan, sealed, is_of_document })));
    }

    /// A failure of a connector is an alert as well.
    pub fn note_payment(&mut self, input: &Input) {
        if let Input::Paid(Err(failure)) = input {
            self.alert(failure.code, &format!("<Pay>: {}", failure.why));
        }
    }

    /// From here on what is pressed is secret, or no longer.
    pub fn keep_keys(&mut self, are_secret: bool) {
        if self.live.keys_are_secret != are_secret {
            self.live.keys_are_secret = are_secret;
            self.order(Order::KeepKeys { are_secret });
        }
    }
}

/// The month of a time, counted since the year 0.
fn month_of(at: Timestamp) -> u32 {
    let date = at.date();
    let mut parts = date.split('-').map(|part| part.parse::<u32>().unwrap_or(1));
    parts.next().unwrap_or(1) * 12 + parts.next().unwrap_or(1) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_counted() {
        assert_eq!(month_of(Timestamp::EPOCH), 1970 * 12);
        assert_eq!(month_of(Timestamp::from_seconds(1_795_219_200)), 2026 * 12 + 10);
    }
}
