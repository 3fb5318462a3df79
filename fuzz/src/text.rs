//! What people and their programs write.

use numbering::{Address, E164, LatLong};
use serde_json::json;

fn with_text(octets: &[u8], read: impl Fn(&str)) {
    if let Ok(text) = std::str::from_utf8(octets) {
        read(text);
    }
}

pub fn twiml_voice(octets: &[u8]) {
    for kind in [None, Some("text/xml"), Some("text/plain")] {
        let _ = twiml::voice::parse(octets, kind, "https://app.example/voice");
    }
}

pub fn twiml_messaging(octets: &[u8]) {
    for kind in [None, Some("text/xml"), Some("text/plain")] {
        let _ = twiml::messaging::parse(octets, kind);
    }
}

/// SendGrid's templates.
pub fn handlebars(octets: &[u8]) {
    with_text(octets, |text| {
        if let Ok(template) = handlebars::Template::parse(text) {
            let _ = template.render(&sample(), true);
        }
    });
}

/// Templates of the mail API.
pub fn liquid(octets: &[u8]) {
    with_text(octets, |text| {
        if let Ok(template) = liquid::Template::parse(text) {
            let _ = template.render(&sample());
        }
    });
}

fn sample() -> serde_json::Value {
    json!({"a": 1, "b": "two", "c": [1, {"d": "<e>"}], "f": {"g": true, "h": null}})
}

/// Variables of content templates: JSON, a zero octet, the text they are filled in.
pub fn variables(octets: &[u8]) {
    with_text(octets, |text| {
        let (json, body) = text.split_once('\0').unwrap_or((text, "{{1}} {{name}}"));
        let _ = template::placeholders(body);
        if let Ok(values) = template::Values::parse(json) {
            let _ = values.fill(body);
        }
    });
}

/// Numbers, addresses, places, times and SIDs.
pub fn address(octets: &[u8]) {
    with_text(octets, |text| {
        if let Ok(number) = E164::parse(text) {
            assert_eq!(E164::parse(&number.to_string()), Ok(number));
        }
        for read in [Address::parse_to(text), Address::parse_from(text)] {
            let _ = read.map(|address| address.to_string());
        }
        let _ = LatLong::parse(text);
        if let Ok(sid) = text.parse::<kernel::Sid>() {
            assert_eq!(sid.to_string().parse(), Ok(sid));
        }
        let _ = kernel::Timestamp::parse(text);
    });
}

/// Segments hold the body and nothing else.
pub fn segments(octets: &[u8]) {
    with_text(octets, |text| {
        assert_eq!(sms::split(text).concat(), text);
        let _ = (sms::segments(text), sms::keyword(text), sms::smart_encode(text));
    });
    let _ = sms::gsm::decode(octets);
}

/// What a URL says about its webhooks.
pub fn overrides(octets: &[u8]) {
    with_text(octets, |text| {
        let _ = signature::Overrides::split(text);
        let _ = signature::sign("token", text, &[("To", "+14155552671")]);
        let _ = (signature::without_fragment(text), signature::with_query(text, &[("a", "b")]));
    });
}
