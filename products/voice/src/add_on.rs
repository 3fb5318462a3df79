//! `/Recordings/{RE}/AddOnResults` and their payloads: what add-ons made of a recording.
//!
//! Differs: there is no marketplace and no add-on to install, so a recording has no results; the
//! words of one are its transcriptions.

use rest::{Access, Field, Op, Resource, Table, Wire};

use crate::Voice;
use crate::recording::KIND as RECORDING;

const KIND: &str = "RecordingAddOnResult";
const PAYLOAD_KIND: &str = "RecordingAddOnResultPayload";
const ACCESS: Access = Access::Keys("voice/recordings");

pub static RESULT: Resource<Voice> = Resource {
    table: Table::v2010(
        KIND,
        "/2010-04-01/Accounts/{AccountSid}/Recordings/{ReferenceSid}/AddOnResults",
        "/2010-04-01/Accounts/{AccountSid}/Recordings/{ReferenceSid}/AddOnResults/{Sid}",
    )
    .key("add_on_results")
    .sid("XR")
    .under(RECORDING)
    .fields(&[
        Field::sid("sid", &["XR"]),
        Field::sid("account_sid", &["AC"]),
        Field::new(
            "status",
            Wire::Enum(&[
                "canceled",
                "completed",
                "deleted",
                "failed",
                "in-progress",
                "init",
                "processing",
                "queued",
            ]),
        ),
        Field::sid("add_on_sid", &["XB"]),
        Field::sid("add_on_configuration_sid", &["XE"]),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::new("date_completed", Wire::Rfc2822),
        Field::sid("reference_sid", &["RE"]),
        Field::new("subresource_uris", Wire::UriMap),
    ])
    .links(&[("payloads", "/Payloads")])
    .access(ACCESS),
    ops: &[Op::list(&[]), Op::fetch(), Op::delete()],
};

pub static PAYLOAD: Resource<Voice> = Resource {
    table: Table::v2010(
        PAYLOAD_KIND,
        "/2010-04-01/Accounts/{AccountSid}/Recordings/{ReferenceSid}/AddOnResults/{AddOnResultSid}/Payloads",
        "/2010-04-01/Accounts/{AccountSid}/Recordings/{ReferenceSid}/AddOnResults/{AddOnResultSid}/Payloads/{Sid}",
    )
    .key("payloads")
    .sid("XH")
    .under(KIND)
    .fields(&[
        Field::sid("sid", &["XH"]),
        Field::sid("add_on_result_sid", &["XR"]),
        Field::sid("account_sid", &["AC"]),
        Field::text("label"),
        Field::sid("add_on_sid", &["XB"]),
        Field::sid("add_on_configuration_sid", &["XE"]),
        Field::text("content_type"),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::sid("reference_sid", &["RE"]),
        Field::new("subresource_uris", Wire::UriMap),
    ])
    .links(&[("data", "/Data")])
    .access(ACCESS),
    ops: &[Op::list(&[]), Op::fetch(), Op::delete()],
};

pub static DATA: Resource<Voice> = Resource {
    table: Table::v2010(
        "RecordingAddOnResultPayloadData",
        "",
        "/2010-04-01/Accounts/{AccountSid}/Recordings/{ReferenceSid}/AddOnResults/{AddOnResultSid}/Payloads/{PayloadSid}/Data",
    )
    .singleton()
    .fields(&[Field::new("redirect_to", Wire::Url)])
    .access(ACCESS),
    ops: &[Op::fetch().status(307).by(|_, ctx| Box::pin(async move { Err(ctx.not_found()) }))],
};
