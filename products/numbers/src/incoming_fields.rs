//! Parameters and fields of IncomingPhoneNumbers (voice-api §6.1).

use rest::{Field, Param, Wire};

/// Parameters that creation and update share.
const SHARED: [Param; 22] = [
    Param::one_of("ApiVersion", &["2010-04-01", "2008-08-01"]),
    Param::text("FriendlyName", 64).code(20002),
    Param::sid("SmsApplicationSid", &["AP"]).code(21420),
    Param::method("SmsFallbackMethod"),
    Param::url("SmsFallbackUrl"),
    Param::method("SmsMethod"),
    Param::url("SmsUrl"),
    Param::url("StatusCallback"),
    Param::method("StatusCallbackMethod"),
    Param::sid("VoiceApplicationSid", &["AP"]).code(21420),
    Param::boolean("VoiceCallerIdLookup"),
    Param::method("VoiceFallbackMethod"),
    Param::url("VoiceFallbackUrl"),
    Param::method("VoiceMethod"),
    Param::url("VoiceUrl"),
    Param::one_of("EmergencyStatus", &["Active", "Inactive"]),
    Param::sid("EmergencyAddressSid", &["AD"]),
    Param::sid("TrunkSid", &["TK"]),
    Param::sid("IdentitySid", &["RI"]),
    Param::sid("AddressSid", &["AD"]),
    Param::one_of("VoiceReceiveMode", &["voice", "fax"]),
    Param::sid("BundleSid", &["BU"]),
];

/// The shared parameters, then the operation's own.
const fn with<const N: usize, const ALL: usize>(extra: [Param; N]) -> [Param; ALL] {
    assert!(ALL == SHARED.len() + N);
    let mut all = [SHARED[0]; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < SHARED.len() { SHARED[at] } else { extra[at - SHARED.len()] };
        at += 1;
    }
    all
}

pub(crate) static CREATE: [Param; 24] =
    with([Param::address("PhoneNumber"), Param::text("AreaCode", 3).code(21451)]);
pub(crate) static CREATE_TYPED: [Param; 23] = with([Param::address("PhoneNumber").required(21421)]);
pub(crate) static UPDATE: [Param; 23] = with([Param::sid("AccountSid", &["AC"]).code(21470)]);

pub(crate) const LIST: &[Param] = &[
    Param::boolean("Beta"),
    Param::text("FriendlyName", 64),
    Param::address("PhoneNumber"),
    Param::one_of("Origin", &["twilio", "hosted"]),
];

const METHOD: Field = Field::new("", Wire::Method).empty("\"POST\"");

const fn method(name: &'static str) -> Field {
    let mut field = METHOD;
    field.name = name;
    field
}

/// URLs and application SIDs show `""` when unset, as recorded answers do.
const fn url(name: &'static str) -> Field {
    Field::new(name, Wire::Url).empty("\"\"")
}

pub(crate) const FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::sid("address_sid", &["AD"]),
    Field::new("address_requirements", Wire::Enum(&["none", "any", "local", "foreign"]))
        .empty("\"none\""),
    Field::text("api_version").empty("\"2010-04-01\""),
    Field::new("beta", Wire::Boolean).empty("false"),
    Field::new("capabilities", Wire::Json),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::text("friendly_name"),
    Field::sid("identity_sid", &["RI"]),
    Field::new("phone_number", Wire::Address),
    Field::text("origin").empty("\"twilio\""),
    Field::sid("sid", &["PN"]),
    Field::sid("sms_application_sid", &["AP"]).empty("\"\""),
    method("sms_fallback_method"),
    url("sms_fallback_url"),
    method("sms_method"),
    url("sms_url"),
    url("status_callback"),
    method("status_callback_method"),
    Field::sid("trunk_sid", &["TK"]),
    Field::text("uri"),
    Field::new("voice_receive_mode", Wire::Enum(&["voice", "fax"])).empty("\"voice\""),
    Field::sid("voice_application_sid", &["AP"]).empty("\"\""),
    Field::new("voice_caller_id_lookup", Wire::Boolean).empty("false"),
    method("voice_fallback_method"),
    url("voice_fallback_url"),
    method("voice_method"),
    url("voice_url"),
    Field::new("emergency_status", Wire::Enum(&["Active", "Inactive"])).empty("\"Inactive\""),
    Field::sid("emergency_address_sid", &["AD"]),
    Field::new(
        "emergency_address_status",
        Wire::Enum(&[
            "registered",
            "unregistered",
            "pending-registration",
            "registration-failure",
            "pending-unregistration",
            "unregistration-failure",
        ]),
    )
    .empty("\"unregistered\""),
    Field::sid("bundle_sid", &["BU"]),
    Field::text("status").empty("\"in-use\""),
    Field::text("type"),
];
