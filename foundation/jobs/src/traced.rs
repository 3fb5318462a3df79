//! The trace that a promise is part of, kept in its payload: the first member of the object.

use telemetry::trace;

const BEFORE: &str = "{\"traceparent\":\"";
const AFTER: &str = "\",";

/// The payload with the span that is open here; as it is where there is none, or no object with
/// members.
pub(crate) fn keep(payload: String) -> String {
    match trace::traceparent() {
        Some(place) => with(&place, payload),
        None => payload,
    }
}

fn with(place: &str, payload: String) -> String {
    match payload.strip_prefix('{') {
        Some(members) if members != "}" => format!("{BEFORE}{place}{AFTER}{members}"),
        _ => payload,
    }
}

/// Takes the trace out again: a worker reads what was put in.
pub(crate) fn take(payload: &mut String) -> Option<String> {
    let (place, members) = payload.strip_prefix(BEFORE)?.split_once(AFTER)?;
    let (place, members) = (place.to_owned(), format!("{{{members}"));
    *payload = members;
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_json_and_comes_out_as_it_went_in() {
        let place = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (payload, is_kept) in [
            (r#"{"sid":"SM1"}"#, true),
            (r#"{"Variant":{"a":1}}"#, true),
            ("{}", false),
            ("[1]", false),
            ("null", false),
        ] {
            let mut kept = with(place, payload.to_owned());
            serde_json::from_str::<serde_json::Value>(&kept).unwrap();
            assert_eq!(take(&mut kept).as_deref(), is_kept.then_some(place), "{payload}");
            assert_eq!(kept, payload);
        }
    }
}
