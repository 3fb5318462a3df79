//! `/Calls/{CA}/Payments` (voice-api §12): an agent asks for one field after the other while the
//! call goes on, and the caller keys it in.
//!
//! Differs: a `*` lets the caller begin the field again; what Twilio makes of it is unpublished.

use std::time::Duration;

use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Field as Shown, Op, Param, Reply, Resource, Table, Wire};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use twiml::Method;
use twiml::voice::Params;
use twiml::voice::payment::{Captured, Field, PayOutcome, PaymentMethod, Plan, failure_params};

use crate::act::Act;
use crate::call::{Call, Hook};
use crate::letter::{Letter, What};
use crate::resource::existing as existing_call;
use crate::{Voice, along, user_message};

/// Idempotency keys of updates that are remembered.
const KEYS_MAX: usize = 64;
/// Seconds between two keys, where nobody says.
const TIMEOUT_SECONDS: u64 = 5;

/// Of the API; the verb knows `commercial-savings` too.
const ACCOUNT_TYPES: &[&str] = &["consumer-checking", "consumer-savings", "commercial-checking"];
const CAPTURES: &[&str] = &[
    "payment-card-number",
    "expiration-date",
    "security-code",
    "postal-code",
    "bank-routing-number",
    "bank-account-number",
];

const KEY: Param = Param::text("IdempotencyKey", 255).required(20001);
const CALLBACK: Param = Param::url("StatusCallback").code(21205).required(21205);

pub static PAYMENT: Resource<Voice> = Resource {
    table: Table::v2010(
        "Payments",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Payments",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Payments/{Sid}",
    )
    .sid("PK")
    .fields(&[
        Shown::sid("account_sid", &["AC"]),
        Shown::sid("call_sid", &["CA"]),
        Shown::sid("sid", &["PK"]),
        Shown::new("date_created", Wire::Rfc2822),
        Shown::new("date_updated", Wire::Rfc2822),
        Shown::text("uri"),
    ])
    .access(Access::Keys("voice/payments")),
    ops: &[
        Op::create(&[
            KEY,
            CALLBACK,
            Param::one_of("BankAccountType", ACCOUNT_TYPES).code(64020),
            Param::new("ChargeAmount", Wire::Number).code(64003),
            Param::text("Currency", 8).code(64011),
            Param::text("Description", 1024),
            Param::one_of("Input", &["dtmf"]).code(64020),
            Param::integer("MinPostalCodeLength", 0, 10),
            Param::new("Parameter", Wire::Json),
            Param::text("PaymentConnector", 255),
            Param::one_of("PaymentMethod", &["credit-card", "ach-debit"]).code(64013),
            Param::boolean("PostalCode"),
            Param::boolean("SecurityCode"),
            Param::integer("Timeout", 1, 600),
            Param::one_of("TokenType", &["one-time", "reusable", "payment-method"]).code(64006),
            Param::text("ValidCardTypes", 255),
        ])
        .by(|voice, ctx| Box::pin(create(voice, ctx))),
        Op::update(&[
            KEY,
            CALLBACK,
            Param::one_of("Capture", CAPTURES).code(64020),
            Param::one_of("Status", &["complete", "cancel"]).code(64020),
        ])
        .status(202)
        .by(|voice, ctx| Box::pin(update(voice, ctx))),
    ],
};

/// A payment that runs on a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payment {
    pub sid: Sid,
    plan: Plan,
    callback: Hook,
    timeout_seconds: u64,
    /// What the caller keys in now.
    capturing: Option<Field>,
    /// Counts what restarts the timer, so that an older one means nothing.
    round: u32,
    /// What was keyed in: a [`Keyed`] in JSON, sealed. Empty: nothing.
    sealed: String,
    /// The connector is asked.
    pub is_processing: bool,
    /// Of updates that were made already.
    keys: Vec<String>,
}

/// What is sealed.
#[derive(Default, Serialize, Deserialize)]
struct Keyed {
    captured: Captured,
    /// Of the field that is being keyed in.
    digits: String,
}

/// What the API asks of a payment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    Capture(Field),
    Complete,
    Cancel,
}

impl Voice {
    fn keyed(&self, payment: &Payment) -> Keyed {
        let text = self.unseal(&payment.sealed).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

impl Act<'_> {
    /// The payment with this SID, out of its call; put back by whoever goes on with it.
    fn take_payment(&mut self, sid: Sid) -> Option<Payment> {
        self.live.payment.take_if(|payment| payment.sid == sid)
    }

    fn put_payment(&mut self, mut payment: Payment, keyed: &Keyed) {
        let text = serde_json::to_string(keyed).expect("digits are plain data");
        payment.sealed = self.voice.seal(&text);
        self.live.payment = Some(payment);
    }

    pub fn start_payment(&mut self, payment: Payment) {
        if self.live.payment.is_some() || self.is_paying() {
            let error = ("ErrorType".to_owned(), "session-in-progress".to_owned());
            return self.tell_payment(&payment, &Keyed::default(), vec![error]);
        }
        let keyed = Keyed::default();
        self.tell_payment(&payment, &keyed, Vec::new());
        self.put_payment(payment, &keyed);
    }

    pub fn step_payment(&mut self, sid: Sid, key: String, callback: String, step: Step) {
        let Some(mut payment) = self.take_payment(sid) else { return };
        let mut keyed = self.voice.keyed(&payment);
        if payment.is_processing || payment.keys.contains(&key) {
            return self.live.payment = Some(payment);
        }
        payment.keys.push(key);
        if payment.keys.len() > KEYS_MAX {
            payment.keys.remove(0);
        }
        payment.callback.url = callback;
        keyed.digits.clear();
        match step {
            Step::Capture(field) => {
                payment.capturing = Some(field);
                self.keep_keys(true);
                self.wait_for_payment(&mut payment);
                self.tell_payment(&payment, &keyed, Vec::new());
            }
            Step::Complete => {
                payment.capturing = None;
                payment.is_processing = true;
                self.keep_keys(false);
                self.ask_connector(payment.sid, payment.plan.clone(), &keyed.captured, false);
            }
            Step::Cancel => return self.end_payment(payment, &keyed, "canceled", Params::new()),
        }
        self.put_payment(payment, &keyed);
    }

    /// Keys of the caller, if they are a payment's; false when they are not.
    pub fn key_payment(&mut self, keys: &str) -> bool {
        let is_capturing = |payment: &mut Payment| payment.capturing.is_some();
        let Some(mut payment) = self.live.payment.take_if(is_capturing) else { return false };
        let mut keyed = self.voice.keyed(&payment);
        for key in keys.chars() {
            let Some(field) = payment.capturing else { break };
            match key {
                '*' => keyed.digits.clear(),
                '0'..='9' => keyed.digits.push(key),
                _ => {}
            }
            if key == '#' || keyed.captured.is_full(field, &keyed.digits) {
                self.check_payment(&mut payment, &mut keyed, field);
            }
        }
        if let Some(field) = payment.capturing {
            self.wait_for_payment(&mut payment);
            let partial = vec![
                (field.param().to_owned(), "x".repeat(keyed.digits.len())),
                ("PartialResult".to_owned(), "true".to_owned()),
            ];
            self.tell_payment(&payment, &keyed, partial);
        }
        self.put_payment(payment, &keyed);
        true
    }

    /// Nobody pressed anything for a while.
    pub fn payment_timed_out(&mut self, sid: Sid, round: u32) {
        let Some(mut payment) = self.take_payment(sid) else { return };
        let mut keyed = self.voice.keyed(&payment);
        if let (Some(field), true) = (payment.capturing, payment.round == round) {
            self.check_payment(&mut payment, &mut keyed, field);
        }
        self.put_payment(payment, &keyed);
    }

    fn wait_for_payment(&mut self, payment: &mut Payment) {
        payment.round += 1;
        let (sid, round) = (payment.sid, payment.round);
        let after = Duration::from_secs(payment.timeout_seconds);
        self.send_in(after, What::PaymentTimeout { payment: sid, round });
    }

    /// No more keys come for this field.
    fn check_payment(&mut self, payment: &mut Payment, keyed: &mut Keyed, field: Field) {
        let digits = std::mem::take(&mut keyed.digits);
        let month = super::month_of(self.at);
        let result = match digits.is_empty() {
            true => Err("input-timeout"),
            false => keyed.captured.keep(field, &digits, &payment.plan, month),
        };
        let more = match result {
            Ok(()) => vec![("PartialResult".to_owned(), "false".to_owned())],
            Err(error) => vec![("ErrorType".to_owned(), error.to_owned())],
        };
        self.tell_payment(payment, keyed, more);
        payment.capturing = None;
        self.keep_keys(false);
    }

    /// The connector has answered.
    pub fn payment_made(&mut self, sid: Sid, outcome: PayOutcome) {
        let Some(payment) = self.take_payment(sid) else { return };
        let keyed = self.voice.keyed(&payment);
        let (result, params) = match outcome {
            Ok(params) => ("success", params),
            Err(failure) => {
                self.alert(failure.code, &format!("Payments: {}", failure.why));
                ("payment-connector-error", failure_params(&failure))
            }
        };
        self.end_payment(payment, &keyed, result, params);
    }

    /// The call is over: so is the payment, unless the connector is asked already.
    pub fn payment_hung_up(&mut self) {
        let Some(payment) = self.live.payment.take_if(|payment| !payment.is_processing) else {
            return;
        };
        let keyed = self.voice.keyed(&payment);
        self.end_payment(payment, &keyed, "caller-hung-up", Params::new());
    }

    /// Differs: how Twilio calls the result of a payment that was cancelled is unpublished.
    fn end_payment(&mut self, mut payment: Payment, keyed: &Keyed, result: &str, more: Params) {
        payment.capturing = None;
        self.keep_keys(false);
        let mut params = vec![("Result".to_owned(), result.to_owned())];
        params.extend(more);
        self.tell_payment(&payment, keyed, params);
    }

    fn tell_payment(&mut self, payment: &Payment, keyed: &Keyed, more: Params) {
        let Payment { sid, plan, callback, capturing, .. } = payment;
        let missing: Vec<&str> =
            plan.missing(&keyed.captured).into_iter().map(Field::as_str).collect();
        let mut params: Params = [
            ("PaymentSid", sid.to_string()),
            ("PaymentConnector", plan.connector.clone()),
            ("TokenType", plan.token_type.clone()),
            ("ChargeAmount", plan.amount.clone().unwrap_or_else(|| "0".to_owned())),
            ("Currency", plan.currency.clone()),
            ("Required", missing.join(" ")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        params.extend(capturing.map(|field| ("Capture".to_owned(), field.as_str().to_owned())));
        let names: Vec<&String> = more.iter().map(|(name, _)| name).collect();
        let mut known = keyed.captured.masked(plan);
        known.retain(|(name, _)| !names.contains(&name));
        params.extend(known);
        params.extend(more);
        self.post(&callback.clone(), params);
    }
}

/// A plan from the parameters of a request, whose names are those of the verb.
fn plan(ctx: &Ctx) -> Result<Plan, ApiError> {
    let given = |name: &str| {
        let mut letters = name.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        let name: String = first.into_iter().chain(letters).collect();
        ctx.form.text(&name)
    };
    let parameters = match ctx.form.text("Parameter").map(serde_json::from_str::<Json>) {
        Some(Ok(Json::Object(members))) => members
            .into_iter()
            .map(|(name, value)| match value {
                Json::String(text) => (name, text),
                other => (name, other.to_string()),
            })
            .collect(),
        _ => Vec::new(),
    };
    Plan::read(given, parameters).map_err(|(code, why)| ApiError::new(code, why))
}

async fn create(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = along::running_call(ctx).await?;
    let plan = plan(ctx)?;
    if voice.connector(&plan.connector).is_none() {
        let name = &plan.connector;
        let why = format!("PaymentConnector: no Pay connector '{name}' is configured");
        return Err(ApiError::new(64004, why));
    }
    let payment = Payment {
        sid: call.sid,
        plan,
        callback: Hook {
            url: ctx.form.text("StatusCallback").unwrap_or_default().to_owned(),
            method: Method::Post,
            events: Vec::new(),
        },
        timeout_seconds: match ctx.form.integer("Timeout") {
            Some(seconds) => u64::try_from(seconds).unwrap_or(TIMEOUT_SECONDS),
            None => TIMEOUT_SECONDS,
        },
        capturing: None,
        round: 0,
        sealed: String::new(),
        is_processing: false,
        keys: Vec::new(),
    };
    user_message::make(ctx, &call, "PK", Map::new(), |batch, sid| {
        let what = What::StartPayment(Box::new(Payment { sid, ..payment.clone() }));
        voice.send(batch, Letter { call: call.sid, at: ctx.now, what });
    })
    .await
}

async fn update(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = existing_call(ctx, "CallSid").await?;
    let step = match (ctx.form.text("Capture").and_then(Field::parse), ctx.form.text("Status")) {
        (_, Some("complete")) => Step::Complete,
        (_, Some(_)) => Step::Cancel,
        (Some(field), None) => Step::Capture(field),
        (None, None) => return Err(ApiError::new(64018, "A 'Capture' or a 'Status' is required")),
    };
    let failed = |error| rest::store_error(ctx, error);
    let (kind, parent) = (ctx.table.name, call.sid.to_string());
    let doc = rest::load(&ctx.store, kind, &parent, ctx.param("Sid")).await.map_err(failed)?;
    let doc = doc.ok_or_else(|| ctx.not_found())?;
    let key = ctx.form.text("IdempotencyKey").unwrap_or_default().to_owned();
    if let Some(why) = refusal(voice, &call, &doc.sid, &key, &step) {
        return Err(why);
    }
    let callback = ctx.form.text("StatusCallback").unwrap_or_default().to_owned();
    let mut batch = ctx.store.batch();
    if let Ok(payment) = doc.sid.parse() {
        let what = What::StepPayment { payment, key, callback, step };
        voice.send(&mut batch, Letter { call: call.sid, at: ctx.now, what });
    }
    rest::revise(&mut batch, kind, &parent, &doc, &doc.fields, ctx.now);
    ctx.store.commit(batch).await.map_err(failed)?;
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

/// Why a payment cannot take a step now.
fn refusal(voice: &Voice, call: &Call, sid: &str, key: &str, step: &Step) -> Option<ApiError> {
    let refused = |code, why: String| Some(ApiError::new(code, why));
    let live = call.live.as_ref().and_then(|live| live.payment.as_ref());
    let Some(payment) = live.filter(|payment| payment.sid.to_string() == sid) else {
        return refused(64021, "The payment is over, or has not begun".to_owned());
    };
    if payment.keys.iter().any(|known| known == key) {
        return None;
    }
    if payment.is_processing {
        return refused(64021, "The payment is being processed already".to_owned());
    }
    match step {
        Step::Capture(field) if !allows(&payment.plan, *field) => {
            let method = payment.plan.method.as_str();
            refused(64021, format!("Capture: {} has no {}", method, field.as_str()))
        }
        Step::Complete => {
            let missing = payment.plan.missing(&voice.keyed(payment).captured);
            let names: Vec<&str> = missing.into_iter().map(Field::as_str).collect();
            let is_whole = names.is_empty();
            let why = || format!("Required fields are missing: {}", names.join(", "));
            (!is_whole).then(|| ApiError::new(64019, why()))
        }
        Step::Capture(_) | Step::Cancel => None,
    }
}

/// A payment of this method has this field, asked for or not.
fn allows(plan: &Plan, field: Field) -> bool {
    let is_bank = matches!(field, Field::RoutingNumber | Field::AccountNumber);
    is_bank == (plan.method == PaymentMethod::AchDebit)
}
