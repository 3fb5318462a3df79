//! The parameters and fields of toll-free verifications (compliance §6).

use rest::{Field, Param, Wire};

pub(super) const STATUSES: &[&str] =
    &["PENDING_REVIEW", "IN_REVIEW", "TWILIO_APPROVED", "TWILIO_REJECTED"];
const OPT_IN_TYPES: &[&str] = &[
    "VERBAL",
    "WEB_FORM",
    "PAPER_FORM",
    "VIA_TEXT",
    "MOBILE_QR_CODE",
    "IMPORT",
    "IMPORT_PLEASE_REPLACE",
];
const BUSINESS_TYPES: &[&str] =
    &["PRIVATE_PROFIT", "PUBLIC_PROFIT", "SOLE_PROPRIETOR", "NON_PROFIT", "GOVERNMENT"];
const PROVIDERS: &[&str] = &["CAMPAIGN_VERIFY"];

/// What a creation must have, and an update may.
const NEEDED: [Param; 9] = [
    Param::text("BusinessName", 1024),
    Param::text("BusinessWebsite", 2048),
    Param::text("NotificationEmail", 320),
    Param::text("UseCaseCategories", 64).list(),
    Param::text("UseCaseSummary", 4096),
    Param::text("ProductionMessageSample", 4096),
    Param::text("OptInImageUrls", 2048).list(),
    Param::one_of("OptInType", OPT_IN_TYPES),
    Param::text("MessageVolume", 32),
];

/// What both may have.
const OPTIONAL: [Param; 24] = [
    Param::text("BusinessStreetAddress", 1024),
    Param::text("BusinessStreetAddress2", 1024),
    Param::text("BusinessCity", 255),
    Param::text("BusinessStateProvinceRegion", 255),
    Param::text("BusinessPostalCode", 64),
    Param::text("BusinessCountry", 64),
    Param::text("AdditionalInformation", 4096),
    Param::text("BusinessContactFirstName", 255),
    Param::text("BusinessContactLastName", 255),
    Param::text("BusinessContactEmail", 320),
    Param::text("BusinessContactPhone", 64),
    Param::text("BusinessRegistrationNumber", 255),
    Param::text("BusinessRegistrationAuthority", 255),
    Param::text("BusinessRegistrationCountry", 64),
    Param::one_of("BusinessType", BUSINESS_TYPES),
    Param::text("BusinessRegistrationPhoneNumber", 64),
    Param::text("DoingBusinessAs", 1024),
    Param::text("OptInConfirmationMessage", 4096),
    Param::text("HelpMessageSample", 4096),
    Param::text("PrivacyPolicyUrl", 2048),
    Param::text("TermsAndConditionsUrl", 2048),
    Param::boolean("AgeGatedContent"),
    Param::text("OptInKeywords", 255).list(),
    Param::one_of("VettingProvider", PROVIDERS),
];

const VETTING_ID: Param = Param::text("VettingId", 1024);

const CREATE_LENGTH: usize = NEEDED.len() + OPTIONAL.len() + 4;
const UPDATE_LENGTH: usize = NEEDED.len() + OPTIONAL.len() + 2;

pub(super) const CREATE: &[Param] = &{
    let mut all = [VETTING_ID; CREATE_LENGTH];
    let mut at = 0;
    while at < NEEDED.len() {
        all[at] = NEEDED[at].required(20001);
        at += 1;
    }
    all[at] = Param::sid("TollfreePhoneNumberSid", &["PN"]).required(20001).code(30436);
    all[at + 1] = Param::sid("CustomerProfileSid", &["BU"]);
    all[at + 2] = Param::text("ExternalReferenceId", 255);
    with_optional(all, at + 3)
};

pub(super) const UPDATE: &[Param] = &{
    let mut all = [VETTING_ID; UPDATE_LENGTH];
    let mut at = 0;
    while at < NEEDED.len() {
        all[at] = NEEDED[at];
        at += 1;
    }
    all[at] = Param::text("EditReason", 4096);
    with_optional(all, at + 1)
};

/// Writes the optional ones from `at` on.
const fn with_optional<const N: usize>(mut all: [Param; N], at: usize) -> [Param; N] {
    let mut next = 0;
    while next < OPTIONAL.len() {
        all[at + next] = OPTIONAL[next];
        next += 1;
    }
    all
}

pub(super) const LIST: &[Param] = &[
    Param::sid("TollfreePhoneNumberSid", &["PN"]),
    Param::one_of("Status", STATUSES),
    Param::text("ExternalReferenceId", 255),
    Param::boolean("IncludeSubAccounts"),
    Param::text("TrustProductSid", 34).list(),
];

pub(super) const FIELDS: &[Field] = &[
    Field::sid("sid", &["HH"]),
    Field::sid("account_sid", &["AC"]),
    Field::sid("customer_profile_sid", &["BU"]),
    Field::sid("trust_product_sid", &["BU"]),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::sid("regulated_item_sid", &["RA"]),
    Field::text("business_name"),
    Field::text("business_street_address"),
    Field::text("business_street_address2"),
    Field::text("business_city"),
    Field::text("business_state_province_region"),
    Field::text("business_postal_code"),
    Field::text("business_country"),
    Field::text("business_website"),
    Field::text("business_contact_first_name"),
    Field::text("business_contact_last_name"),
    Field::text("business_contact_email"),
    Field::text("business_contact_phone"),
    Field::text("notification_email"),
    Field::new("use_case_categories", Wire::Json).empty("[]"),
    Field::text("use_case_summary"),
    Field::text("production_message_sample"),
    Field::new("opt_in_image_urls", Wire::Json).empty("[]"),
    Field::new("opt_in_type", Wire::Enum(OPT_IN_TYPES)),
    Field::text("message_volume"),
    Field::text("additional_information"),
    Field::sid("tollfree_phone_number_sid", &["PN"]),
    Field::text("tollfree_phone_number"),
    Field::new("status", Wire::Enum(STATUSES)),
    Field::new("url", Wire::Url),
    Field::text("rejection_reason"),
    Field::new("error_code", Wire::Integer(0, i64::MAX)),
    Field::new("edit_expiration", Wire::Iso8601),
    Field::new("edit_allowed", Wire::Boolean),
    Field::text("business_registration_number"),
    Field::text("business_registration_authority"),
    Field::text("business_registration_country"),
    Field::new("business_type", Wire::Enum(BUSINESS_TYPES)),
    Field::text("business_registration_phone_number"),
    Field::text("doing_business_as"),
    Field::text("opt_in_confirmation_message"),
    Field::text("help_message_sample"),
    Field::new("privacy_policy_url", Wire::Url),
    Field::new("terms_and_conditions_url", Wire::Url),
    Field::new("age_gated_content", Wire::Boolean),
    Field::new("opt_in_keywords", Wire::Json).empty("[]"),
    Field::new("rejection_reasons", Wire::Json),
    Field::new("resource_links", Wire::Json).empty("{}"),
    Field::text("external_reference_id"),
    Field::text("vetting_id"),
    Field::new("vetting_provider", Wire::Enum(PROVIDERS)),
    Field::new("vetting_id_expiration", Wire::Iso8601),
];
