//! `/v1/Services` and what is in their pools (messaging §12): the tables.

use kernel::ApiError;
use rest::{Ctx, Draft, Field, Op, Param, Resource, Table, Verb, Wire};
use serde_json::{Value as Json, json};

use super::pool;
use crate::{Messaging, links, opt_out};

pub(crate) const SERVICE_KIND: &str = "MessagingService";

const USECASES: &[&str] =
    &["notifications", "marketing", "verification", "discussion", "poll", "undeclared"];
const SCAN: &[&str] = &["inherit", "enable", "disable"];

/// The settings, with the name optional or not.
const fn settings(friendly_name: Param) -> [Param; 16] {
    [
        friendly_name,
        Param::url("InboundRequestUrl"),
        Param::method("InboundMethod"),
        Param::url("FallbackUrl"),
        Param::method("FallbackMethod"),
        Param::url("StatusCallback"),
        Param::boolean("StickySender").default("true"),
        Param::boolean("MmsConverter").default("true"),
        Param::boolean("SmartEncoding").default("true"),
        Param::one_of("ScanMessageContent", SCAN).default("inherit"),
        Param::boolean("FallbackToLongCode").default("true"),
        Param::boolean("AreaCodeGeomatch").default("true"),
        Param::integer("ValidityPeriod", 1, 36_000).default("36000"),
        Param::boolean("SynchronousValidation").default("false"),
        Param::one_of("Usecase", USECASES).code(21713).default("undeclared"),
        Param::boolean("UseInboundWebhookOnNumber").default("false"),
    ]
}

const CREATE: &[Param] = &settings(Param::text("FriendlyName", 64).required(20001));
const UPDATE: &[Param] = &settings(Param::text("FriendlyName", 64));

const FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::sid("sid", &["MG"]),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::text("friendly_name"),
    Field::new("inbound_request_url", Wire::Url),
    Field::new("inbound_method", Wire::Method),
    Field::new("fallback_url", Wire::Url),
    Field::new("fallback_method", Wire::Method),
    Field::new("status_callback", Wire::Url),
    Field::new("sticky_sender", Wire::Boolean),
    Field::new("smart_encoding", Wire::Boolean),
    Field::new("mms_converter", Wire::Boolean),
    Field::new("fallback_to_long_code", Wire::Boolean),
    Field::new("scan_message_content", Wire::Enum(SCAN)),
    Field::new("area_code_geomatch", Wire::Boolean),
    Field::new("validity_period", Wire::Integer(1, 36_000)),
    Field::new("synchronous_validation", Wire::Boolean),
    Field::text("usecase"),
    Field::new("us_app_to_person_registered", Wire::Boolean).empty("false"),
    Field::new("use_inbound_webhook_on_number", Wire::Boolean),
    Field::new("links", Wire::UriMap),
    Field::new("url", Wire::Url),
];

pub static SERVICE: Resource<Messaging> = Resource {
    table: Table::product(SERVICE_KIND, "messaging", "/v1/Services", "/v1/Services/{Sid}")
        .key("services")
        .sid("MG")
        .fields(FIELDS)
        .links(&[
            ("phone_numbers", "/PhoneNumbers"),
            ("short_codes", "/ShortCodes"),
            ("alpha_senders", "/AlphaSenders"),
            ("messages", "/Messages"),
            ("us_app_to_person", "/Compliance/Usa2p"),
            ("us_app_to_person_usecases", "/Compliance/Usa2p/Usecases"),
            ("channel_senders", "/ChannelSenders"),
            ("destination_alpha_senders", "/DestinationAlphaSenders"),
        ]),
    ops: &[
        Op::create(CREATE),
        Op::list(&[]),
        Op::fetch(),
        Op::update(UPDATE).with(|m, ctx, draft| Box::pin(async move { changed(m, ctx, draft) })),
        Op::delete().with(|m, ctx, draft| Box::pin(async move { changed(m, ctx, draft) })),
    ],
};

/// A service takes its pool with it.
fn changed(messaging: &Messaging, _: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    if draft.verb == Verb::Delete {
        let service = draft.sid.clone();
        draft.batch.run(
            "DELETE FROM resource WHERE account_sid = $1 AND parent = $2",
            vec![service.as_str().into()],
        );
        draft.batch.run(
            "DELETE FROM sticky_sender WHERE account_sid = $1 AND service_sid = $2",
            vec![service.as_str().into()],
        );
        for claim in [opt_out::SERVICE_CLAIM, links::SERVICE_CLAIM] {
            draft.batch.run(
                "DELETE FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3",
                vec![claim.into(), service.as_str().into()],
            );
        }
    }
    let memory = messaging.memory.clone();
    draft.afterwards(move || memory.invalidate());
    Ok(())
}

const MEMBER_FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::sid("sid", &["PN"]),
    Field::sid("service_sid", &["MG"]),
    Field::text("phone_number"),
    Field::text("country_code"),
    Field::new("capabilities", Wire::Json).empty("[]"),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("url", Wire::Url),
];

const CODE_FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::sid("sid", &["SC"]),
    Field::sid("service_sid", &["MG"]),
    Field::text("short_code"),
    Field::text("country_code"),
    Field::new("capabilities", Wire::Json).empty("[]"),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("url", Wire::Url),
];

const ALPHA_FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::sid("sid", &["AI"]),
    Field::sid("service_sid", &["MG"]),
    Field::text("alpha_sender"),
    Field::new("capabilities", Wire::Json).empty("[]"),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("url", Wire::Url),
];

const DESTINATION_FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::sid("sid", &["AI"]),
    Field::sid("service_sid", &["MG"]),
    Field::text("alpha_sender"),
    Field::text("iso_country_code").empty("\"\""),
    Field::new("capabilities", Wire::Json).empty("[]"),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("url", Wire::Url),
];

pub static PHONE_NUMBER: Resource<Messaging> = Resource {
    table: Table::product(
        pool::PHONE_NUMBER,
        "messaging",
        "/v1/Services/{ServiceSid}/PhoneNumbers",
        "/v1/Services/{ServiceSid}/PhoneNumbers/{Sid}",
    )
    .key("phone_numbers")
    .sid("PN")
    .borrowed_sids()
    .under(SERVICE_KIND)
    .fields(MEMBER_FIELDS),
    ops: &[
        Op::create(&[Param::sid("PhoneNumberSid", &["PN"]).required(20001)])
            .with(|m, ctx, draft| Box::pin(pool::add_number(m, ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::delete().with(|m, ctx, draft| Box::pin(async move { pool::remove(m, ctx, draft) })),
    ],
};

pub static SHORT_CODE: Resource<Messaging> = Resource {
    table: Table::product(
        pool::SHORT_CODE,
        "messaging",
        "/v1/Services/{ServiceSid}/ShortCodes",
        "/v1/Services/{ServiceSid}/ShortCodes/{Sid}",
    )
    .key("short_codes")
    .sid("SC")
    .borrowed_sids()
    .under(SERVICE_KIND)
    .fields(CODE_FIELDS),
    ops: &[
        Op::create(&[Param::sid("ShortCodeSid", &["SC"]).required(20001)])
            .with(|m, ctx, draft| Box::pin(pool::add_number(m, ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::delete().with(|m, ctx, draft| Box::pin(async move { pool::remove(m, ctx, draft) })),
    ],
};

pub static ALPHA_SENDER: Resource<Messaging> = Resource {
    table: Table::product(
        pool::ALPHA_SENDER,
        "messaging",
        "/v1/Services/{ServiceSid}/AlphaSenders",
        "/v1/Services/{ServiceSid}/AlphaSenders/{Sid}",
    )
    .key("alpha_senders")
    .sid("AI")
    .under(SERVICE_KIND)
    .fields(ALPHA_FIELDS),
    ops: &[
        Op::create(&[Param::text("AlphaSender", 64).required(21708)])
            .with(|m, ctx, draft| Box::pin(pool::add_alpha(m, ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::delete().with(|m, ctx, draft| Box::pin(async move { pool::remove(m, ctx, draft) })),
    ],
};

pub static DESTINATION_ALPHA_SENDER: Resource<Messaging> = Resource {
    table: Table::product(
        pool::DESTINATION_ALPHA_SENDER,
        "messaging",
        "/v1/Services/{ServiceSid}/DestinationAlphaSenders",
        "/v1/Services/{ServiceSid}/DestinationAlphaSenders/{Sid}",
    )
    .key("alpha_senders")
    .sid("AI")
    .under(SERVICE_KIND)
    .fields(DESTINATION_FIELDS),
    ops: &[
        Op::create(&[
            Param::text("AlphaSender", 64).required(21708),
            Param::text("IsoCountryCode", 2).default(""),
        ])
        .with(|m, ctx, draft| Box::pin(pool::add_alpha(m, ctx, draft))),
        Op::list(&[Param::text("IsoCountryCode", 2)]),
        Op::fetch(),
        Op::delete().with(|m, ctx, draft| Box::pin(async move { pool::remove(m, ctx, draft) })),
    ],
};

pub static CHANNEL_SENDER: Resource<Messaging> = Resource {
    table: Table::product(
        pool::CHANNEL_SENDER,
        "messaging",
        "/v1/Services/{MessagingServiceSid}/ChannelSenders",
        "/v1/Services/{MessagingServiceSid}/ChannelSenders/{Sid}",
    )
    .key("senders")
    .sid("XE")
    .borrowed_sids()
    .under(SERVICE_KIND)
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::sid("messaging_service_sid", &["MG"]),
        Field::sid("sid", &["XE"]),
        Field::text("sender"),
        Field::text("sender_type"),
        Field::text("country_code"),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
        Field::new("url", Wire::Url),
    ]),
    ops: &[
        Op::create(&[Param::sid("Sid", &["XE"]).required(20001)])
            .with(|m, ctx, draft| Box::pin(pool::add_channel(m, ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::delete().with(|m, ctx, draft| Box::pin(async move { pool::remove(m, ctx, draft) })),
    ],
};

const USECASE_FIELDS: &[Field] = &[Field::new("usecases", Wire::Json).empty("[]")];

/// `/v1/Services/Usecases`: what a service may declare to be for.
pub static USECASE: Resource<Messaging> = Resource {
    table: Table::product(
        "MessagingUsecase",
        "messaging",
        "/v1/Services/Usecases",
        "/v1/Services/Usecases",
    )
    .singleton()
    .fields(USECASE_FIELDS),
    ops: &[Op::fetch().by(|_, _| {
        Box::pin(async {
            let mut record = rest::Record::new("");
            record.set("usecases", usecases());
            Ok(rest::Reply::Record(record))
        })
    })],
};

fn usecases() -> Json {
    let describe = |usecase: &str| match usecase {
        "notifications" => ("Notify my users", "Account, order and appointment notices"),
        "marketing" => ("Market my services", "Promotions and campaigns"),
        "verification" => ("Verify users", "One-time passcodes and sign-in checks"),
        "discussion" => ("Engage in a discussion", "Two-way conversations"),
        "poll" => ("Poll my audience", "Surveys and votes"),
        _ => ("Undeclared", "No use case declared"),
    };
    USECASES
        .iter()
        .map(|usecase| {
            let (name, purpose) = describe(usecase);
            json!({"usecase": usecase, "description": name, "purpose": purpose})
        })
        .collect()
}
