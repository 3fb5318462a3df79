//! `/Calls/{CA}/Payments` and `/Calls/{CA}/Siprec` (voice-api §12): services of others that a
//! connector of the console would join to a call.
//!
//! Differs: there are no connectors here: no card processor and no SIPREC recorder can be
//! installed, so both are refused for whatever connector is named.

use kernel::ApiError;
use rest::{Access, Ctx, Field, Op, Param, Reply, Resource, Table, Wire};

use crate::Voice;
use crate::lifecycle::Status;
use crate::resource::existing as existing_call;

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

/// 21220 unless somebody talks in the call of the path.
async fn check_running(ctx: &Ctx) -> Result<(), ApiError> {
    let call = existing_call(ctx, "CallSid").await?;
    match call.status {
        Status::InProgress => Ok(()),
        status => Err(ApiError::new(21220, format!("Call is not in-progress: it is {status}"))),
    }
}

/// 64004: whatever connector is named, it is not installed.
async fn pay(ctx: &Ctx) -> Result<Reply, ApiError> {
    check_running(ctx).await?;
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

/// `Name`, `ConnectorName`, … and the ninety-nine numbered parameters.
macro_rules! siprec_params {
    ($($number:literal)+) => {
        &[
            Param::text("Name", 255),
            Param::text("ConnectorName", 255),
            Param::one_of("Track", &["inbound_track", "outbound_track", "both_tracks"]),
            Param::url("StatusCallback").code(21205),
            Param::method("StatusCallbackMethod").code(21209),
            $(
                Param::text(concat!("Parameter", $number, ".Name"), 255),
                Param::text(concat!("Parameter", $number, ".Value"), 500),
            )+
        ]
    };
}

pub static SIPREC: Resource<Voice> = Resource {
    table: Table::v2010(
        "Siprec",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Siprec",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Siprec/{Sid}",
    )
    .sid("SR")
    .fields(&[
        Field::sid("sid", &["SR"]),
        Field::sid("account_sid", &["AC"]),
        Field::sid("call_sid", &["CA"]),
        Field::text("name"),
        Field::new("status", Wire::Enum(&["in-progress", "stopped"])),
        Field::new("date_updated", Wire::Rfc2822),
        Field::text("uri"),
    ])
    .access(Access::Keys("voice/siprec")),
    ops: &[
        Op::create(siprec_params![
            1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33
            34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
            64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93
            94 95 96 97 98 99
        ])
        .status(200)
        .by(|_, ctx| Box::pin(record(ctx))),
        Op::update(&[Param::one_of("Status", &["stopped"]).required(20001)])
            .by(|_, ctx| Box::pin(async move { Err(ctx.not_found()) })),
    ],
};

/// 20001: whatever connector is named, it is not installed.
async fn record(ctx: &Ctx) -> Result<Reply, ApiError> {
    check_running(ctx).await?;
    let name = ctx.form.text("ConnectorName").unwrap_or_default();
    let why = format!("ConnectorName: no SIPREC connector '{name}' is installed, nor can one be");
    Err(ApiError::new(20001, why))
}
