//! What applications are told about a call (voice-api §4).

use kernel::{Sid, Timestamp};
use numbering::E164;
use twiml::voice::Params;

use crate::call::Call;

/// The parameters of every request about a call.
pub(crate) fn standard(account: Sid, call: &Call, status: &str) -> Params {
    let mut params = Params::with_capacity(28);
    let mut add = |name: &str, value: &str| params.push((name.to_owned(), value.to_owned()));
    add("AccountSid", &account.to_string());
    add("ApiVersion", "2010-04-01");
    add("CallSid", &call.sid.to_string());
    add("CallStatus", status);
    let (from, to) = (call.from.as_str(), call.to.as_str());
    for (name, address) in [("From", from), ("To", to), ("Caller", from), ("Called", to)] {
        add(name, address);
        let number = E164::parse(address).ok();
        let country = number.and_then(E164::country).map_or("", |country| country.iso);
        let place = number.and_then(numbering::locate);
        let (city, state, zip) = place
            .as_ref()
            .map_or(("", "", ""), |place| (place.city.as_str(), place.state, place.zip));
        add(&format!("{name}City"), city);
        add(&format!("{name}State"), state);
        add(&format!("{name}Zip"), zip);
        add(&format!("{name}Country"), country);
    }
    add("Direction", call.direction);
    if let Some(parent) = call.parent {
        add("ParentCallSid", &parent.to_string());
    }
    if let Some(application) = call.setup.application {
        add("ApplicationSid", &application.to_string());
    }
    if let Some(name) = &call.setup.caller_name {
        add("CallerName", name);
    }
    for (name, value) in &call.setup.network {
        add(name, value);
    }
    if let Some(by) = &call.answered_by {
        add("AnsweredBy", by);
    }
    params
}

/// What is added in a status callback.
pub(crate) fn progress(call: &Call, sequence: u32, at: Timestamp) -> Params {
    let mut params = Params::new();
    let mut add = |name: &str, value: String| params.push((name.to_owned(), value));
    add("Timestamp", at.rfc2822());
    add("CallbackSource", "call-progress-events".into());
    add("SequenceNumber", sequence.to_string());
    if let Some(seconds) = call.duration_seconds() {
        add("CallDuration", seconds.to_string());
        // Billed minutes.
        add("Duration", ((seconds + 59) / 60).to_string());
        if let Some(code) = call.setup.sip_response {
            add("SipResponseCode", code.to_string());
        }
    }
    params
}
