//! `/v1/ComplianceInquiries`: sessions of a form that Twilio embeds into pages. Offhook has no such
//! form, and says so; the resources behind it can be made one by one.

use kernel::ApiError;
use rest::{Op, Resource, Table};

use crate::Trust;

// Differs: compliance inquiries, which open Twilio's embedded form, are not supported (20404).
const fn unsupported(create: bool) -> Op<Trust> {
    let op = if create { Op::create(&[]) } else { Op::update(&[]) };
    op.by(|_, ctx| {
        Box::pin(async move {
            let why = format!(
                "{} opens Twilio's embedded compliance form, which Offhook does not support: make \
                 the CustomerProfile, its EndUsers and SupportingDocuments, or the toll-free \
                 verification, through their own resources",
                ctx.table.name
            );
            Err(ApiError::new(20404, why))
        })
    })
}

const OPS: &[Op<Trust>] = &[unsupported(true), unsupported(false)];

pub static CUSTOMER: Resource<Trust> = Resource {
    table: Table::product(
        "ComplianceInquiry",
        "trusthub",
        "/v1/ComplianceInquiries/Customers/Initialize",
        "/v1/ComplianceInquiries/Customers/{CustomerId}/Initialize",
    ),
    ops: OPS,
};

pub static REGISTRATION: Resource<Trust> = Resource {
    table: Table::product(
        "ComplianceRegistration",
        "trusthub",
        "/v1/ComplianceInquiries/Registration/RegulatoryCompliance/GB/Initialize",
        "/v1/ComplianceInquiries/Registration/{RegistrationId}/RegulatoryCompliance/GB/Initialize",
    ),
    ops: OPS,
};

pub static TOLL_FREE: Resource<Trust> = Resource {
    table: Table::product(
        "ComplianceTollfreeInquiry",
        "trusthub",
        "/v1/ComplianceInquiries/Tollfree/Initialize",
        "",
    )
    .collection(),
    ops: &[unsupported(true)],
};
