//! `/v2/Forms/{type}` (verify §7): what a device's forms for push look like.

use rest::{Access, Field, Op, Record, Reply, Resource, Table, Wire};
use serde_json::json;

use crate::Verify;

// Differs: the members of Twilio's forms are unconfirmed; these are the parameters that are taken.
pub static FORM: Resource<Verify> = Resource {
    table: Table::product("Form", "verify", "", "/v2/Forms/{FormType}")
        .singleton()
        .access(Access::Keys("verify/forms"))
        .fields(&[
            Field::new("form_type", Wire::Enum(&["form-push"])),
            Field::new("forms", Wire::Json),
            Field::new("form_meta", Wire::Json),
            Field::new("url", Wire::Url),
        ]),
    ops: &[Op::fetch().by(|_, ctx| {
        Box::pin(async {
            if ctx.param("FormType") != "form-push" {
                return Err(ctx.not_found());
            }
            let mut record = Record::at("FormType", "form-push");
            record.set("form_type", "form-push").set(
                "forms",
                json!({
                    "create_factor": {
                        "FriendlyName": "string",
                        "FactorType": "push",
                        "Binding.Alg": "ES256",
                        "Binding.PublicKey": "string",
                        "Config.AppId": "string",
                        "Config.NotificationPlatform": "apn, fcm or none",
                        "Config.NotificationToken": "string",
                        "Config.SdkVersion": "string",
                    },
                    "verify_factor": {"AuthPayload": "string"},
                    "create_challenge": {
                        "FactorSid": "YF",
                        "Details.Message": "string",
                        "Details.Fields": "list of JSON",
                        "HiddenDetails": "JSON",
                        "ExpirationDate": "date",
                    },
                }),
            );
            Ok(Reply::Record(record))
        })
    })],
};
