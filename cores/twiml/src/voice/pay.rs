//! Pay: the payer keys in a card or a bank account, step by step, and a connector is asked (twiml
//! §6.9).
//!
//! Opening, asking for each field as often as allowed, processing. What is keyed in is not part of
//! the machine's state as it is written: whoever writes it down takes it out with
//! [`Machine::secrets`], seals it, and gives it back.

use serde::{Deserialize, Serialize};

use super::document::Element;
use super::machine::{Action, Machine, State};
use super::payment::{Captured, CardType, Field, PayOutcome, Plan, failure_params};
use super::prompt::{Progress, Prompt, Step};
use super::talk::{Input, Output, Params, alert, pair};

/// A Pay under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pay {
    verb: Element,
    plan: Plan,
    action: Option<Action>,
    status: Option<Action>,
    stage: Stage,
    prompt: Option<Prompt>,
    /// The timer that counts; 0 while none does.
    timer: u32,
    /// The month in which it began, counted since the year 0.
    month: u32,
    /// The caller has gone.
    gone: bool,
    #[serde(skip)]
    keyed: Keyed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Opening,
    Asking {
        field: Field,
        attempt: u64,
        error: Option<String>,
    },
    /// The connector is asked; its answer waits for the end of the prompt.
    Processing {
        outcome: Option<PayOutcome>,
    },
}

/// What must not be written down as it is.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Keyed {
    captured: Captured,
    /// Keys since the prompt.
    digits: String,
    /// The first of two entries that have to be the same.
    first: Option<String>,
}

impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyed")
    }
}

impl Machine {
    /// What was keyed in and must not be written down as it is; `None` when there is nothing.
    pub fn secrets(&self) -> Option<String> {
        let State::Paying(pay) = &self.state else { return None };
        let text = serde_json::to_string(&pay.keyed).expect("digits are plain data");
        (pay.keyed != Keyed::default()).then_some(text)
    }

    /// A `Pay` is under way.
    pub fn is_paying(&self) -> bool {
        matches!(self.state, State::Paying(_))
    }

    /// Gives back what [`Machine::secrets`] had.
    pub fn give_secrets(&mut self, secrets: &str) {
        if let (State::Paying(pay), Ok(keyed)) = (&mut self.state, serde_json::from_str(secrets)) {
            pay.keyed = keyed;
        }
    }

    pub(super) fn pay(&mut self, verb: Element, out: &mut Vec<Output>) {
        let parameters = verb.children.iter().filter(|child| child.name == "Parameter");
        let parameters = parameters.filter_map(|noun| {
            Some((noun.get("name")?.to_owned(), noun.get("value").unwrap_or_default().to_owned()))
        });
        let plan = Plan::read(|name| verb.get(name), parameters.collect());
        let action = self.action_or_self(&verb, out);
        let plan = match plan {
            Ok(plan) => plan,
            Err((code, why)) => {
                out.push(alert(code, format!("<Pay>: {why}")));
                let params = vec![
                    pair("Result", "validation-error"),
                    pair("PayErrorCode", code.to_string()),
                    pair("PaymentError", why),
                ];
                if let Some(action) = action {
                    self.request(action, params, out);
                }
                return;
            }
        };
        let status = verb.get("statusCallback").map(str::to_owned);
        let status = status.and_then(|url| self.absolute(&url, 11100, out));
        let status = status.map(|url| Action { url, method: verb.method("statusCallbackMethod") });
        self.answer(out);
        out.push(Output::OpenPay(Box::new(plan.clone())));
        self.state = State::Paying(Box::new(Pay {
            verb,
            plan,
            action,
            status,
            stage: Stage::Opening,
            prompt: None,
            timer: 0,
            month: 0,
            gone: false,
            keyed: Keyed::default(),
        }));
    }

    pub(super) fn on_pay(&mut self, mut pay: Box<Pay>, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::PayOpened { month } if pay.stage == Stage::Opening => {
                pay.month = month;
                return self.next_field(pay, out);
            }
            Input::PayRefused(failure) if pay.stage == Stage::Opening => {
                let params = failure_params(&failure);
                return self.paid(*pay, "payment-connector-error", params, out);
            }
            Input::Digits(keys) if matches!(pay.stage, Stage::Asking { .. }) => {
                return self.keyed(pay, &keys, out);
            }
            Input::Timer { id } if id == pay.timer && id != 0 => {
                pay.timer = 0;
                return self.entered(pay, out);
            }
            Input::Paid(outcome) => {
                pay.stage = Stage::Processing { outcome: Some(outcome) };
                return self.processed(pay, out);
            }
            input => {
                if let Some(mut prompt) = pay.prompt.take() {
                    match prompt.on(&input, self, out) {
                        Progress::Over => return self.prompted(pay, out),
                        _ => pay.prompt = Some(prompt),
                    }
                }
            }
        }
        self.state = State::Paying(pay);
    }

    /// Asks for what is missing first, or goes on to the connector.
    fn next_field(&mut self, mut pay: Box<Pay>, out: &mut Vec<Output>) {
        match pay.plan.missing(&pay.keyed.captured).first() {
            Some(field) => self.ask_field(pay, *field, 1, None, out),
            None => {
                pay.stage = Stage::Processing { outcome: None };
                pay.tell("payment-processing", 1, None, out);
                out.push(Output::Pay(Box::new((pay.plan.clone(), pay.keyed.captured.clone()))));
                self.begin_prompt(pay, "payment-processing", 1, None, out);
            }
        }
    }

    fn ask_field(
        &mut self,
        mut pay: Box<Pay>,
        field: Field,
        attempt: u64,
        error: Option<&str>,
        out: &mut Vec<Output>,
    ) {
        pay.keyed.digits.clear();
        pay.keyed.first = None;
        let kept = error.map(str::to_owned);
        pay.stage = Stage::Asking { field, attempt, error: kept };
        pay.tell(field.as_str(), attempt, error, out);
        self.begin_prompt(pay, field.as_str(), attempt, error, out);
    }

    fn begin_prompt(
        &mut self,
        mut pay: Box<Pay>,
        step: &str,
        attempt: u64,
        error: Option<&str>,
        out: &mut Vec<Output>,
    ) {
        let mut steps = Vec::new();
        match pay.prompt_for(step, attempt, error) {
            Some(noun) => {
                for child in &noun.children {
                    steps.extend(Step::of(child, self, false, out));
                }
            }
            None => steps.push(pay.usual(step, error)),
        }
        let mut prompt = Prompt::new(steps);
        match prompt.begin(self, out) {
            Progress::Running => {
                pay.prompt = Some(prompt);
                self.state = State::Paying(pay);
            }
            _ => self.prompted(pay, out),
        }
    }

    /// A prompt has been heard.
    fn prompted(&mut self, mut pay: Box<Pay>, out: &mut Vec<Output>) {
        if matches!(pay.stage, Stage::Processing { .. }) {
            return self.processed(pay, out);
        }
        self.wait_for_key(&mut pay, out);
        self.state = State::Paying(pay);
    }

    fn wait_for_key(&mut self, pay: &mut Pay, out: &mut Vec<Output>) {
        pay.timer = self.id();
        let millis = pay.verb.integer("timeout").unwrap_or(5).saturating_mul(1000);
        out.push(Output::Timer { id: pay.timer, millis });
    }

    /// Keys one after the other; those that are left belong to the next field.
    fn keyed(&mut self, mut pay: Box<Pay>, keys: &str, out: &mut Vec<Output>) {
        let mut keys = keys.chars();
        while let Some(key) = keys.next() {
            let Stage::Asking { field, .. } = pay.stage else { break };
            if pay.prompt.take().is_some() {
                out.push(Output::Stop);
            }
            pay.timer = 0;
            match key {
                '*' => return self.paid(*pay, "caller-interrupted-with-star", Params::new(), out),
                '0'..='9' => pay.keyed.digits.push(key),
                _ => {}
            }
            if key != '#' && !pay.keyed.captured.is_full(field, &pay.keyed.digits) {
                continue;
            }
            self.entered(pay, out);
            // The field was good or bad: it goes on with the next, or it is over.
            let rest: String = keys.collect();
            match std::mem::replace(&mut self.state, State::Idle) {
                State::Paying(pay) if !rest.is_empty() => return self.keyed(pay, &rest, out),
                state => self.state = state,
            }
            return;
        }
        if matches!(pay.stage, Stage::Asking { .. }) {
            self.wait_for_key(&mut pay, out);
        }
        self.state = State::Paying(pay);
    }

    /// No more keys come for this field.
    fn entered(&mut self, mut pay: Box<Pay>, out: &mut Vec<Output>) {
        let Stage::Asking { field, attempt, .. } = pay.stage.clone() else {
            self.state = State::Paying(pay);
            return;
        };
        let digits = std::mem::take(&mut pay.keyed.digits);
        let result = match (pay.keyed.first.take(), digits.is_empty()) {
            (_, true) => Err("input-timeout"),
            (Some(first), _) if first != digits => Err("input-matching-failed"),
            (first, _) => {
                let mut captured = pay.keyed.captured.clone();
                captured.keep(field, &digits, &pay.plan, pay.month).map(|()| (first, captured))
            }
        };
        match result {
            Ok((None, _)) if pay.matches(field, attempt) => {
                pay.keyed.first = Some(digits);
                let step = format!("{}-matcher", field.as_str());
                self.begin_prompt(pay, &step, attempt, None, out);
            }
            Ok((_, captured)) => {
                pay.keyed.captured = captured;
                self.next_field(pay, out);
            }
            Err(error) if attempt < pay.verb.integer("maxAttempts").unwrap_or(1) => {
                self.ask_field(pay, field, attempt + 1, Some(error), out);
            }
            Err(error) => {
                pay.tell(field.as_str(), attempt, Some(error), out);
                self.paid(*pay, "too-many-failed-attempts", Params::new(), out);
            }
        }
    }

    /// The connector has answered, or the prompt is over: both must be.
    fn processed(&mut self, pay: Box<Pay>, out: &mut Vec<Output>) {
        let is_heard = pay.prompt.is_none() || pay.gone;
        match pay.stage.clone() {
            Stage::Processing { outcome: Some(outcome) } if is_heard => match outcome {
                Ok(params) => self.paid(*pay, "success", params, out),
                Err(failure) => {
                    let params = failure_params(&failure);
                    self.paid(*pay, "payment-connector-error", params, out);
                }
            },
            _ => self.state = State::Paying(pay),
        }
    }

    /// It is over; the action is told how.
    fn paid(&mut self, pay: Pay, result: &str, more: Params, out: &mut Vec<Output>) {
        if pay.prompt.is_some() && !pay.gone {
            out.push(Output::Stop);
        }
        out.push(Output::ClosePay);
        let mut params = vec![pair("Result", result)];
        params.extend(pay.keyed.captured.masked(&pay.plan));
        params.extend(more);
        match pay.action {
            Some(Action { url, method }) if pay.gone => {
                self.state = State::Over;
                out.push(Output::Post { url, method, params });
            }
            None if pay.gone => self.state = State::Over,
            Some(action) => self.request(action, params, out),
            None => self.step(out),
        }
    }

    /// What a connector was asked is waited for: it may have charged the card.
    pub(super) fn hung_up_while_paying(&mut self, mut pay: Box<Pay>, out: &mut Vec<Output>) {
        pay.gone = true;
        match pay.stage {
            Stage::Processing { .. } => self.processed(pay, out),
            _ => self.paid(*pay, "caller-hung-up", Params::new(), out),
        }
    }
}

impl Pay {
    /// The application is told how far it is.
    fn tell(&self, step: &str, attempt: u64, error: Option<&str>, out: &mut Vec<Output>) {
        let Some(Action { url, method }) = self.status.clone() else { return };
        let mut params = vec![pair("For", step), pair("Attempt", attempt.to_string())];
        params.extend(error.map(|error| pair("ErrorType", error)));
        params.extend(self.keyed.captured.masked(&self.plan));
        out.push(Output::Post { url, method, params });
    }

    /// The prompt that says the most about this moment; of equals the first.
    fn prompt_for(&self, step: &str, attempt: u64, error: Option<&str>) -> Option<&Element> {
        let card = self.keyed.captured.card_type();
        let mut best: Option<(usize, &Element)> = None;
        for noun in self.verb.children.iter().filter(|child| child.name == "Prompt") {
            let Some(weight) = weight(noun, step, attempt, error, card) else { continue };
            if best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, noun));
            }
        }
        best.map(|(_, noun)| noun)
    }

    /// Whether the field is to be keyed in twice.
    fn matches(&self, field: Field, attempt: u64) -> bool {
        let nouns = self.verb.children.iter().filter(|child| child.name == "Prompt");
        nouns.filter(|noun| noun.flag("requireMatchingInputs", false)).any(|noun| {
            weight(noun, field.as_str(), attempt, None, self.keyed.captured.card_type()).is_some()
        })
    }

    /// What is said where the document says nothing.
    ///
    /// Differs: the words are English whatever the `language`, which says how they are spoken.
    fn usual(&self, step: &str, error: Option<&str>) -> Step {
        let is_amex = self.keyed.captured.card_type() == Some(CardType::Amex);
        let request = match step {
            "payment-card-number" => "Please enter your card number, then press pound.",
            "expiration-date" => {
                "Please enter when your card expires: two digits for the month, two for the year."
            }
            "security-code" if is_amex => {
                "Please enter the four digit security code from the front of your card."
            }
            "security-code" => {
                "Please enter the three digit security code from the back of your card."
            }
            "postal-code" => "Please enter your postal code, then press pound.",
            "bank-routing-number" => "Please enter the nine digits of your bank routing number.",
            "bank-account-number" => "Please enter your bank account number, then press pound.",
            "payment-processing" => "Please wait while your payment is processed.",
            _ => "Please enter the same digits once more.",
        };
        let complaint = match error {
            None => "",
            Some("input-timeout") => "Nothing was entered. ",
            Some("invalid-card-type") => "Cards of this kind are not taken. ",
            Some("input-matching-failed") => "The two entries are not the same. ",
            Some(_) => "That is not valid. ",
        };
        Step::Say {
            text: format!("{complaint}{request}"),
            voice: None,
            language: self.verb.get("language").map(str::to_owned),
            loops: 1,
        }
    }
}

/// How much a `Prompt` says about a moment; `None` when it is about another.
fn weight(
    noun: &Element,
    step: &str,
    attempt: u64,
    error: Option<&str>,
    card: Option<CardType>,
) -> Option<usize> {
    if !noun.words("for").contains(&step) {
        return None;
    }
    let mut weight = 0;
    let mut fits = |name: &str, is_it: &dyn Fn(&str) -> bool| match noun.get(name) {
        None => true,
        Some(_) => {
            weight += 1;
            noun.words(name).into_iter().any(is_it)
        }
    };
    // The prompt's word for it is shorter than the callback's.
    let is_error = |word: &str| {
        error.is_some_and(|error| error == word || error.strip_prefix("input-") == Some(word))
    };
    let fits = fits("attempt", &|word| word.parse() == Ok(attempt))
        && fits("errorType", &is_error)
        && fits("cardType", &|word| card.is_some_and(|card| card.as_str() == word));
    fits.then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;
    use crate::voice::payment::PayFailure;
    use crate::voice::{Role, Sound, Source};

    /// November 2026.
    const MONTH: u32 = 2026 * 12 + 10;

    /// A payer who hears every prompt to its end.
    struct Payer {
        machine: Machine,
        asked: Vec<String>,
        timer: u32,
        told: Vec<String>,
        plan: Option<Captured>,
    }

    impl Payer {
        fn new(pay: &str) -> Self {
            let mut machine = Machine::new(Role::Call, true);
            let source = Source::Url { url: "https://app.example/a".into(), method: Method::Post };
            machine.start(source, None);
            let body = format!("<Response>{pay}</Response>").into_bytes();
            let out = machine.on(Input::Fetched {
                id: 1,
                body,
                content_type: Some("text/xml".into()),
                url: "https://app.example/a".into(),
            });
            let mut payer =
                Self { machine, asked: Vec::new(), timer: 0, told: Vec::new(), plan: None };
            payer.hear(out);
            payer
        }

        fn opened(pay: &str) -> Self {
            let mut payer = Self::new(pay);
            payer.on(Input::PayOpened { month: MONTH });
            payer
        }

        fn on(&mut self, input: Input) {
            // As whoever keeps the machine does: what is written down has no digits in it.
            let secrets = self.machine.secrets();
            let written = serde_json::to_string(&self.machine).unwrap();
            assert!(!written.contains("42424242"), "{written}");
            self.machine = serde_json::from_str(&written).unwrap();
            if let Some(secrets) = secrets {
                self.machine.give_secrets(&secrets);
            }
            let out = self.machine.on(input);
            self.hear(out);
        }

        fn hear(&mut self, out: Vec<Output>) {
            for output in out {
                let shown = |params: &Params| {
                    let pairs: Vec<String> =
                        params.iter().map(|(n, v)| format!("{n}={v}")).collect();
                    pairs.join("&")
                };
                match output {
                    Output::Play { id, sound: Sound::Say { text, .. } } => {
                        self.asked.push(text);
                        self.on(Input::Played { id });
                    }
                    Output::Timer { id, millis } => {
                        assert_eq!(millis, 5000);
                        self.timer = id;
                    }
                    Output::Post { params, .. } => self.told.push(shown(&params)),
                    Output::Fetch { params, .. } => {
                        self.told.push(format!("action {}", shown(&params)))
                    }
                    Output::Pay(order) => {
                        assert!(!format!("{order:?}").contains("4242"));
                        self.plan = Some(order.1);
                    }
                    Output::ClosePay => self.told.push("closed".into()),
                    Output::Alert { code, .. } => self.told.push(format!("alert {code}")),
                    Output::Stop | Output::OpenPay(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }

        fn press(&mut self, keys: &str) {
            self.on(Input::Digits(keys.into()));
        }

        fn last(&self) -> &str {
            self.told.last().map_or("", String::as_str)
        }
    }

    #[test]
    fn a_card_is_keyed_in_and_charged() {
        let mut payer = Payer::opened("<Pay chargeAmount=\"20.45\" statusCallback=\"/s\"/>");
        assert_eq!(payer.asked, ["Please enter your card number, then press pound."]);
        payer.press("4242424242");
        payer.press("424242#");
        assert!(payer.last().contains("For=expiration-date&Attempt=1"), "{:?}", payer.told);
        assert!(
            payer.last().contains("PaymentCardNumber=xxxx-xxxx-xxxx-4242&PaymentCardType=visa")
        );
        payer.press("1230");
        payer.press("123");
        payer.press("94105#");
        let captured = payer.plan.clone().expect("the connector is asked");
        assert_eq!(captured.get(Field::CardNumber), Some("4242424242424242"));
        assert!(payer.last().starts_with("For=payment-processing"), "{:?}", payer.told);
        payer.on(Input::Paid(Ok(vec![pair("PaymentConfirmationCode", "ch_1")])));
        assert_eq!(
            payer.last(),
            "action Result=success&PaymentMethod=credit-card\
             &PaymentCardNumber=xxxx-xxxx-xxxx-4242&PaymentCardType=visa&ExpirationDate=1230\
             &SecurityCode=***&PaymentCardPostalCode=94105&PaymentConfirmationCode=ch_1"
        );
        assert_eq!(payer.machine.secrets(), None);
    }

    #[test]
    fn all_keys_at_once_are_several_fields() {
        let mut payer = Payer::opened("<Pay postalCode=\"94105\"/>");
        payer.press("4242424242424242#1230123");
        assert!(payer.plan.is_some(), "{:?}", payer.asked);
        let failure = PayFailure { code: 64012, why: "refused".into(), said: Some("no".into()) };
        payer.on(Input::Paid(Err(failure)));
        assert!(payer.last().starts_with("action Result=payment-connector-error&"));
        assert!(
            payer.last().ends_with("PayErrorCode=64012&PaymentError=refused&ConnectorError=no"),
            "{:?}",
            payer.told
        );
    }

    #[test]
    fn attempts_are_counted_and_prompts_chosen() {
        let mut payer = Payer::opened(
            "<Pay maxAttempts=\"3\"><Prompt for=\"payment-card-number\"><Say>number</Say></Prompt>\
             <Prompt for=\"payment-card-number\" attempt=\"2\" errorType=\"timeout\"><Say>slow</Say>\
             </Prompt><Prompt for=\"payment-card-number\" attempt=\"2 3\"><Say>again</Say></Prompt>\
             <Prompt for=\"security-code\" cardType=\"amex\"><Say>four</Say></Prompt></Pay>",
        );
        payer.on(Input::Timer { id: payer.timer });
        payer.press("4242424242424241#");
        payer.press("378282246310005");
        payer.press("1230");
        assert_eq!(payer.asked[..3], ["number", "slow", "again"]);
        assert_eq!(payer.asked.last().map(String::as_str), Some("four"));
        for _ in 0..3 {
            payer.press("123#");
        }
        assert!(
            payer.last().starts_with("action Result=too-many-failed-attempts"),
            "{:?}",
            payer.told
        );
    }

    #[test]
    fn what_must_match_is_keyed_in_twice() {
        let mut payer = Payer::opened(
            "<Pay securityCode=\"false\" postalCode=\"false\" maxAttempts=\"2\">\
             <Prompt for=\"expiration-date\" requireMatchingInputs=\"true\"><Say>when</Say></Prompt></Pay>",
        );
        payer.press("4242424242424242#");
        payer.press("1230");
        payer.press("1229");
        assert_eq!(payer.asked[1..], ["when", "Please enter the same digits once more.", "when"]);
        payer.press("1230");
        payer.press("1230");
        assert!(payer.plan.is_some());
    }

    #[test]
    fn it_ends_with_a_star_a_hang_up_or_without_a_connector() {
        let mut payer = Payer::opened("<Pay/>");
        payer.press("42*");
        assert_eq!(
            payer.last(),
            "action Result=caller-interrupted-with-star&PaymentMethod=credit-card"
        );
        let mut payer = Payer::opened("<Pay/>");
        payer.on(Input::HungUp);
        assert_eq!(payer.last(), "Result=caller-hung-up&PaymentMethod=credit-card");
        let mut payer = Payer::new("<Pay/>");
        let failure = PayFailure { code: 64004, why: "none".into(), said: None };
        payer.on(Input::PayRefused(failure));
        assert!(payer.last().contains("Result=payment-connector-error"));
        assert!(payer.last().contains("PayErrorCode=64004"));
        let payer = Payer::new("<Pay chargeAmount=\"much\"/>");
        assert_eq!(payer.told[0], "alert 64003");
        assert!(payer.last().starts_with("action Result=validation-error&PayErrorCode=64003"));
        // Who hangs up while the connector is asked is told of by a request alone.
        let mut payer = Payer::opened("<Pay paymentMethod=\"ach-debit\"/>");
        payer.press("110000000000123456789#");
        payer.on(Input::HungUp);
        assert!(!payer.machine.is_over());
        payer.on(Input::Paid(Ok(vec![pair("PaymentToken", "t")])));
        assert!(payer.machine.is_over());
        assert!(payer.last().starts_with("Result=success&PaymentMethod=ach-debit"));
        assert!(payer.last().contains("BankAccountNumber=xxxxxxxxxx89"), "{}", payer.last());
    }
}
