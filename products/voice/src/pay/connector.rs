//! Who makes tokens and charges: connectors that the operator configures.
//!
//! A connector is an address of the operator's that is sent the card as signed JSON and answers a
//! token or a confirmation (docs/guides/payments.md has its shape), or the test connector, which
//! takes the test numbers that card processors publish and no others.

use std::time::Duration;

use kernel::{Secret, Sid};
use outbound::{Method, RawRequest};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use twiml::voice::payment::{Captured, Field, PayFailure, PayOutcome, PaymentMethod, Plan, Postal};

use crate::Voice;

/// The connector of a `<Pay>` that names none.
const DEFAULT: &str = "Default";
/// How long a connector may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Characters of what a connector says that are passed on.
const SAID_CHARS_MAX: usize = 500;

/// Cards that processors publish for tests; the second list is declined.
const TEST_CARDS: &[&str] = &[
    "4242424242424242",
    "4111111111111111",
    "4012888888881881",
    "5555555555554444",
    "5105105105105100",
    "2223003122003222",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
    "6011000990139424",
    "30569309025904",
    "36227206271667",
    "3530111333300000",
    "3566002020360505",
    "6759649826438453",
];
const DECLINED_CARDS: &[&str] = &["4000000000000002", "4000000000009995"];
const TEST_ROUTING: &str = "110000000";
const TEST_ACCOUNT: &str = "000123456789";

/// One of `[[pay]]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct PayConnector {
    /// As `paymentConnector` names it.
    pub name: String,
    pub kind: PayConnectorKind,
}

#[derive(Clone, Debug)]
pub enum PayConnectorKind {
    Http {
        url: String,
        /// Signs what is sent.
        secret: Secret,
    },
    /// Takes test numbers alone.
    Test,
}

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    url: Option<String>,
    secret: Option<Secret>,
    #[serde(default)]
    test: bool,
}

impl TryFrom<Written> for PayConnector {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { name, url, secret, test } = written;
        let kind = match (url, secret, test) {
            (None, None, true) => PayConnectorKind::Test,
            (Some(url), Some(secret), false) => PayConnectorKind::Http { url, secret },
            _ => return Err(format!("[[pay]] '{name}' needs url and secret, or test = true")),
        };
        Ok(Self { name, kind })
    }
}

impl Voice {
    /// The connector of this name. A laptop has the test connector without a word.
    pub(super) fn connector(&self, name: &str) -> Option<PayConnectorKind> {
        let known = self.parts.connectors.iter().find(|known| known.name == name);
        let is_usual = self.parts.development && name == DEFAULT;
        known.map(|known| known.kind.clone()).or(is_usual.then_some(PayConnectorKind::Test))
    }

    /// Asks for the payment, once: what is not answered is a failure, for it may have been made.
    pub(super) async fn make_payment(
        &self,
        account: Sid,
        call: Sid,
        payment: Sid,
        plan: &Plan,
        captured: &Captured,
    ) -> PayOutcome {
        match self.connector(&plan.connector) {
            None => Err(no_connector(&plan.connector)),
            Some(PayConnectorKind::Test) => {
                let id = payment.to_string();
                let hash = self.parts.sealer.mac("pay-test").of(&[id.as_bytes()]);
                let hex: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
                test(plan, captured, &hex)
            }
            Some(PayConnectorKind::Http { url, secret }) => {
                let body = asked(account, call, payment, plan, captured).to_string().into_bytes();
                let signature = signature::sign_hub(&secret.0, &body);
                let headers = vec![
                    ("Content-Type".to_owned(), "application/json".to_owned()),
                    ("Idempotency-Key".to_owned(), payment.to_string()),
                    ("X-Hub-Signature-256".to_owned(), signature),
                ];
                let request = RawRequest {
                    headers,
                    body,
                    body_bytes_max: ANSWER_BYTES_MAX,
                    total_timeout: PATIENCE,
                    ..RawRequest::new(Method::Post, url)
                };
                match self.parts.client.raw(request).await {
                    Ok(answer) => outcome(plan, answer.status, &answer.body),
                    Err(failure) => Err(PayFailure {
                        code: 64002,
                        why: format!("the Pay connector cannot be reached: {}", failure.message),
                        said: None,
                    }),
                }
            }
        }
    }
}

pub(super) fn no_connector(name: &str) -> PayFailure {
    let why = format!("no Pay connector '{name}' is configured");
    PayFailure { code: 64004, why, said: None }
}

fn test(plan: &Plan, captured: &Captured, id: &str) -> PayOutcome {
    let get = |field| captured.get(field).unwrap_or_default();
    let fail = |code, why: &str| Err(PayFailure { code, why: why.to_owned(), said: None });
    match plan.method {
        PaymentMethod::CreditCard if DECLINED_CARDS.contains(&get(Field::CardNumber)) => {
            return fail(64012, "the test connector declines this card, as it always does");
        }
        PaymentMethod::CreditCard if !TEST_CARDS.contains(&get(Field::CardNumber)) => {
            return fail(64022, "the test connector takes test cards alone");
        }
        PaymentMethod::AchDebit
            if (get(Field::RoutingNumber), get(Field::AccountNumber))
                != (TEST_ROUTING, TEST_ACCOUNT) =>
        {
            return fail(64023, "the test connector takes its test account alone");
        }
        _ => {}
    }
    Ok(vec![match plan.amount {
        Some(_) => ("PaymentConfirmationCode".to_owned(), format!("ch_test_{id}")),
        None => ("PaymentToken".to_owned(), format!("tok_test_{id}")),
    }])
}

/// What a connector is asked.
fn asked(account: Sid, call: Sid, payment: Sid, plan: &Plan, captured: &Captured) -> Json {
    let get = |field| captured.get(field);
    let postal = match &plan.postal {
        Postal::Known(code) => Some(code.as_str()),
        _ => get(Field::PostalCode),
    };
    let parameters: Map<String, Json> =
        plan.parameters.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let mut body = json!({
        "id": payment,
        "account_sid": account,
        "call_sid": call,
        "operation": if plan.amount.is_some() { "charge" } else { "tokenize" },
        "payment_method": plan.method.as_str(),
        "token_type": plan.token_type,
        "amount": plan.amount,
        "currency": plan.currency,
        "description": plan.description,
        "parameters": parameters,
    });
    match plan.method {
        PaymentMethod::CreditCard => {
            let expires = get(Field::ExpirationDate).unwrap_or_default();
            body["card"] = json!({
                "number": get(Field::CardNumber),
                "type": captured.card_type().map(|kind| kind.as_str()),
                "expiration_month": expires.get(..2),
                "expiration_year": expires.get(2..).map(|year| format!("20{year}")),
                "security_code": get(Field::SecurityCode),
                "postal_code": postal,
            });
        }
        PaymentMethod::AchDebit => {
            body["bank_account"] = json!({
                "routing_number": get(Field::RoutingNumber),
                "account_number": get(Field::AccountNumber),
                "type": plan.account_type,
            });
        }
    }
    body
}

/// What a connector answered.
fn outcome(plan: &Plan, status: u16, body: &[u8]) -> PayOutcome {
    let answer: Json = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| answer[name].as_str().filter(|text| !text.is_empty());
    let made = match plan.amount {
        Some(_) => text("confirmation_code").map(|code| ("PaymentConfirmationCode", code)),
        None => text("token").map(|token| ("PaymentToken", token)),
    };
    if let (200..=299, Some((name, value)), None) = (status, made, text("error")) {
        let mut params = vec![(name.to_owned(), value.to_owned())];
        params.extend(text("profile_id").map(|id| ("ProfileId".to_owned(), id.to_owned())));
        return Ok(params);
    }
    let (code, why) = match (text("error"), status, &plan.amount) {
        (Some("card-declined"), ..) => (64012, "the card is declined"),
        (Some("charge-declined"), ..) => (64008, "the charge is declined"),
        (Some("token-declined"), ..) => (64010, "no token is made"),
        (Some("currency-unsupported"), ..) => (64011, "the connector does not take this currency"),
        (Some("method-unsupported"), ..) => (64013, "the connector does not take this method"),
        (Some("token-type-unsupported"), ..) => (64006, "the connector makes no such tokens"),
        (Some("tokens-unsupported"), ..) => (64005, "the connector makes no tokens"),
        (Some("charges-unsupported"), ..) => (64007, "the connector does not charge"),
        (Some("parameter-missing"), ..) => (64015, "the connector needs another parameter"),
        (Some("unauthorized"), ..) | (None, 401 | 403, _) => (64009, "the connector refuses us"),
        (Some("configuration"), ..) => (64001, "the connector is not set up"),
        (Some(_), _, Some(_)) => (64008, "the charge is declined"),
        (Some(_), _, None) => (64010, "no token is made"),
        (None, 200..=299, _) => (64001, "the connector's answer has neither result nor error"),
        (None, ..) => (64002, "the connector does not work"),
    };
    let said: Option<String> =
        text("message").map(|message| message.chars().take(SAID_CHARS_MAX).collect());
    Err(PayFailure { code, why: why.to_owned(), said: said.map(|said| masked(&said)) })
}

/// Long numbers are left out of what a connector says: they may be the card's.
fn masked(said: &str) -> String {
    let mut out = String::with_capacity(said.len());
    let mut run = String::new();
    for letter in said.chars().chain([' ']) {
        if letter.is_ascii_digit() {
            run.push(letter);
            continue;
        }
        if !run.is_empty() && matches!(letter, ' ' | '-') && run.len() < 64 {
            // Digits in groups are one number.
            run.push(letter);
            continue;
        }
        close(&mut out, &mut run);
        out.push(letter);
    }
    close(&mut out, &mut run);
    out.trim_end().to_owned()
}

fn close(out: &mut String, run: &mut String) {
    match run.bytes().filter(u8::is_ascii_digit).count() {
        12.. => out.push_str("(number) "),
        _ => out.push_str(run),
    }
    run.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(attributes: &[(&str, &'static str)]) -> Plan {
        let get = |name: &str| {
            attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        };
        Plan::read(get, vec![("a".into(), "b".into())]).unwrap()
    }

    fn captured(plan: &Plan, values: &[(Field, &str)]) -> Captured {
        let mut captured = Captured::default();
        for (field, value) in values {
            captured.keep(*field, value, plan, 0).unwrap();
        }
        captured
    }

    #[test]
    fn the_test_connector_takes_test_numbers_alone() {
        let card = plan(&[("chargeAmount", "1")]);
        let bank = plan(&[("paymentMethod", "ach-debit")]);
        for (plan, values, expected) in [
            (&card, vec![(Field::CardNumber, "4242424242424242")], Ok("PaymentConfirmationCode")),
            (&card, vec![(Field::CardNumber, "4000000000000002")], Err(64012)),
            (&card, vec![(Field::CardNumber, "4917610000000000")], Err(64022)),
            (
                &bank,
                vec![(Field::RoutingNumber, "110000000"), (Field::AccountNumber, "000123456789")],
                Ok("PaymentToken"),
            ),
            (
                &bank,
                vec![(Field::RoutingNumber, "110000000"), (Field::AccountNumber, "1234")],
                Err(64023),
            ),
        ] {
            let got = test(plan, &captured(plan, &values), "1");
            let got = got.map(|params| params[0].0.clone()).map_err(|failure| failure.code);
            assert_eq!(got, expected.map(str::to_owned), "{values:?}");
        }
    }

    #[test]
    fn a_connector_is_asked_and_answers() {
        let charge = plan(&[("chargeAmount", "20.45")]);
        let token = plan(&[]);
        let sid = |text: &str| text.parse::<Sid>().unwrap();
        let values = [(Field::CardNumber, "4242424242424242"), (Field::ExpirationDate, "1230")];
        let body = asked(
            sid("AC00000000000000000000000000000001"),
            sid("CA00000000000000000000000000000001"),
            sid("PK00000000000000000000000000000001"),
            &charge,
            &captured(&charge, &values),
        );
        assert_eq!(body["operation"], "charge");
        assert_eq!(body["parameters"], json!({ "a": "b" }));
        assert_eq!(
            (&body["card"]["expiration_month"], &body["card"]["expiration_year"]),
            (&json!("12"), &json!("2030"))
        );
        for (plan, status, answer, expected) in [
            (&charge, 200, r#"{"confirmation_code":"c"}"#, Ok("PaymentConfirmationCode")),
            (&token, 201, r#"{"token":"t"}"#, Ok("PaymentToken")),
            (&token, 200, r#"{"confirmation_code":"c"}"#, Err(64001)),
            (&charge, 402, r#"{"error":"card-declined"}"#, Err(64012)),
            (&charge, 200, r#"{"error":"other","confirmation_code":"c"}"#, Err(64008)),
            (&token, 400, r#"{"error":"other"}"#, Err(64010)),
            (&token, 401, "", Err(64009)),
            (&token, 500, "<html>", Err(64002)),
        ] {
            let got = outcome(plan, status, answer.as_bytes());
            let got = got.map(|params| params[0].0.clone()).map_err(|failure| failure.code);
            assert_eq!(got, expected.map(str::to_owned), "{status} {answer}");
        }
    }

    #[test]
    fn what_a_connector_says_has_no_card_in_it() {
        for (said, expected) in [
            ("declined: 4242424242424242 is stolen", "declined: (number) is stolen"),
            ("card 4242-4242-4242-4242.", "card (number) ."),
            ("card 4242 4242 4242 4242", "card (number)"),
            ("code 51, try 2 more", "code 51, try 2 more"),
        ] {
            assert_eq!(masked(said), expected);
        }
    }
}
