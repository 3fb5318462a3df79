//! `/Calls/{CA}/Payments` (voice-api §12): services of others that a connector of the console would
//! join to a call.
//!
//! Differs: there are no connectors here: no card processor can be installed, so payments are refused
//! for whatever connector is named.

use kernel::ApiError;
use rest::{Access, Ctx, Field, Op, Param, Reply, Resource, Table, Wire};

use crate::{Voice, along};

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
        Field::sid("account_sid", &["AC"]),
        Field::sid("call_sid", &["CA"]),
        Field::sid("sid", &["PK"]),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::text("uri"),
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
            Param::text("Input", 16),
            Param::integer("MinPostalCodeLength", 0, 32),
            Param::new("Parameter", Wire::Json),
            Param::text("PaymentConnector", 255),
            Param::one_of("PaymentMethod", &["credit-card", "ach-debit"]).code(64013),
            Param::boolean("PostalCode"),
            Param::boolean("SecurityCode"),
            Param::integer("Timeout", 1, 600),
            Param::one_of("TokenType", &["one-time", "reusable", "payment-method"]).code(64006),
            Param::text("ValidCardTypes", 255),
        ])
        .by(|_, ctx| Box::pin(pay(ctx))),
        Op::update(&[
            KEY,
            CALLBACK,
            Param::one_of("Capture", CAPTURES).code(64020),
            Param::one_of("Status", &["complete", "cancel"]).code(64020),
        ])
        .status(202)
        .by(|_, ctx| Box::pin(no_payment(ctx))),
    ],
};

/// 64004: whatever connector is named, it is not installed.
async fn pay(ctx: &Ctx) -> Result<Reply, ApiError> {
    along::running_call(ctx).await?;
    let name = ctx.form.text("PaymentConnector").unwrap_or("Default");
    let why = format!("PaymentConnector: no Pay connector '{name}' is installed, nor can one be");
    Err(ApiError::new(64004, why))
}

/// 64018 for a step that names none; of payments there are none.
async fn no_payment(ctx: &Ctx) -> Result<Reply, ApiError> {
    if ctx.form.text("Capture").is_none() && ctx.form.text("Status").is_none() {
        return Err(ApiError::new(64018, "A 'Capture' or a 'Status' is required"));
    }
    Err(ctx.not_found())
}
