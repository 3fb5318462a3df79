//! Parameters: decoding, then validation in table order.

use kernel::{ApiError, Sid, Timestamp};

use crate::table::{OpDecl, Param, Verb, Wire};

/// Decoded pairs in the order they came, before the table has seen them.
#[derive(Clone, Debug, Default)]
pub struct Pairs(pub Vec<(String, String)>);

/// Pairs that one request may carry; more is 20413.
const PAIRS_MAX: usize = 4096;

impl Pairs {
    /// Adds the pairs of `application/x-www-form-urlencoded` text.
    ///
    /// # Errors
    /// 20001 / 400 when a name or value is not UTF-8; 20413 / 413 beyond 4,096 pairs.
    pub fn add(&mut self, encoded: &[u8]) -> Result<(), ApiError> {
        for pair in encoded.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let name = decode(halves.next().unwrap_or_default());
            let value = decode(halves.next().unwrap_or_default());
            let name = name.map_err(|_| {
                ApiError::new(20001, "A parameter name is not valid UTF-8: percent-encode UTF-8")
            })?;
            let value = value.map_err(|_| {
                let fix = "percent-encode its UTF-8 bytes";
                ApiError::new(20001, format!("Parameter {name} is not valid UTF-8: {fix}"))
            })?;
            if self.0.len() == PAIRS_MAX {
                let why = format!("More than {PAIRS_MAX} parameters in one request");
                return Err(ApiError::new(20413, why));
            }
            self.0.push((name, value));
        }
        Ok(())
    }
}

impl Pairs {
    /// Adds the members of a JSON object: scalars as text, lists as repeated
    /// keys, objects as JSON text; null counts as absent.
    ///
    /// # Errors
    /// 20001 / 400 when the body is no JSON object.
    pub fn add_json(&mut self, body: &[u8]) -> Result<(), ApiError> {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body)
            .map_err(|error| {
                ApiError::new(20001, format!("The body is no JSON object: {error}"))
            })?;
        for (name, value) in object {
            let values = match value {
                serde_json::Value::Array(values) => values,
                other => vec![other],
            };
            for value in values {
                let text = match value {
                    serde_json::Value::Null => continue,
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
                self.0.push((name.clone(), text));
            }
        }
        Ok(())
    }
}

/// Percent-decoding with `+` as space; malformed escapes stay as they are.
fn decode(text: &[u8]) -> Result<String, std::string::FromUtf8Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => match tail.get(..2).and_then(hex_byte) {
                Some(decoded) => {
                    bytes.push(decoded);
                    rest = &tail[2..];
                }
                None => bytes.push(b'%'),
            },
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes)
}

/// Percent-decoding of a path segment: `+` stays a plus sign.
pub(crate) fn decode_path(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    decode(text.replace('+', "%2B").as_bytes()).ok()
}

fn hex_byte(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)
}

/// The parameters of one request, checked against its operation.
#[derive(Clone, Debug, Default)]
pub struct Form {
    values: Vec<(&'static str, String)>,
    maps: Vec<(&'static str, String, String)>,
}

impl Form {
    /// Takes what the operation knows and ignores the rest (rest-conventions §8.6).
    /// A scalar that is repeated counts once, its first value.
    ///
    /// # Errors
    /// The code the table gives, in table order: missing before malformed.
    pub fn parse(op: &OpDecl, pairs: Pairs) -> Result<Self, ApiError> {
        let mut form = Self::default();
        for (name, value) in pairs.0 {
            // `DateSent<=x` with the whole operator percent-encoded names `DateSent<=`.
            let name = match name.strip_suffix("=") {
                Some(short) if short.ends_with(['<', '>']) => short.to_owned(),
                _ => name,
            };
            for param in op.params {
                if param.name == name {
                    if param.repeats || !form.has(param.name) {
                        form.values.push((param.name, value));
                    }
                    break;
                }
                if param.wire == Wire::PrefixedMap
                    && let Some(key) =
                        name.strip_prefix(param.name).and_then(|k| k.strip_prefix('.'))
                {
                    form.maps.push((param.name, key.to_owned(), value));
                    break;
                }
            }
        }
        for param in op.params {
            form.check(param, op.verb)?;
        }
        Ok(form)
    }

    fn check(&self, param: &Param, verb: Verb) -> Result<(), ApiError> {
        let mut given = self.values.iter().filter(|(name, _)| *name == param.name).peekable();
        if let Some(code) = param.required
            && given.peek().is_none_or(|(_, value)| value.is_empty())
        {
            return Err(missing(param.name, code));
        }
        for (_, value) in given {
            // An empty value clears a field on update and counts as absent elsewhere.
            if value.is_empty() {
                continue;
            }
            // No text column can hold it. Addresses are judged by their handlers.
            if value.contains('\0') && (param.wire != Wire::Address || verb == Verb::List) {
                let why = format!("{} has a NUL character: leave it out", param.name);
                return Err(ApiError::new(20001, why));
            }
            if value.chars().nth(param.max_chars as usize).is_some() {
                let why = format!("{} is longer than {} characters", param.name, param.max_chars);
                return Err(ApiError::new(param.code, why));
            }
            // A filter on a date the platform cannot read is refused like any malformed value.
            if let Err(why) = well_formed(param, value, verb) {
                let why = format!("{} is not valid: {why}", param.name);
                return Err(ApiError::new(param.code, why));
            }
        }
        Ok(())
    }

    /// True when the parameter came, also when it is empty.
    pub fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(known, _)| *known == name)
    }

    /// The first value as it came, which may be empty.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The first value, unless it is empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// All values of a repeated key that are not empty.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let values =
            self.values.iter().filter(|(known, value)| *known == name && !value.is_empty());
        values.map(|(_, value)| value.as_str()).collect()
    }

    /// The pairs of a prefixed map, without the prefix.
    pub fn map(&self, name: &str) -> Vec<(&str, &str)> {
        let pairs = self.maps.iter().filter(|(known, ..)| *known == name);
        pairs.map(|(_, key, value)| (key.as_str(), value.as_str())).collect()
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(|value| value.trim().parse().ok())
    }

    pub fn boolean(&self, name: &str) -> Option<bool> {
        self.text(name).and_then(parse_boolean)
    }

    pub fn sid(&self, name: &str) -> Option<Sid> {
        self.text(name).and_then(|value| value.parse().ok())
    }

    pub fn time(&self, name: &str) -> Option<Timestamp> {
        self.text(name).and_then(|value| Timestamp::parse(value).ok())
    }

    /// The half-open range that `Name`, `Name<` and `Name>` ask for
    /// (rest-conventions §3): `<` is on or before, `>` on or after, the bare name
    /// that day or instant; a bare date means the whole day. So does midnight under
    /// the bare name: SDKs can send a day in no other way.
    pub fn range(
        &self,
        [exact, before, after]: [&str; 3],
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let span = |name: &str| {
            let text = self.text(name)?;
            let start = Timestamp::parse(text).ok()?;
            let midnight = start.as_micros() % 86_400_000_000 == 0;
            let day = Timestamp::is_date_only(text) || (midnight && name == exact);
            let length = std::time::Duration::from_secs(if day { 86_400 } else { 1 });
            Some((start, start + length))
        };
        if let Some((start, end)) = span(exact) {
            return (Some(start), Some(end));
        }
        (span(after).map(|(start, _)| start), span(before).map(|(_, end)| end))
    }
}

/// The refusal of a missing parameter: product APIs have one wording (20001).
pub fn missing(name: &str, code: u32) -> ApiError {
    match code {
        20001 => ApiError::missing(name),
        _ => ApiError::new(code, format!("A '{name}' parameter is required")),
    }
}

/// `true`, `True`, `TRUE` and `1`; likewise false.
pub(crate) fn parse_boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "1" => Some(true),
        "false" | "False" | "FALSE" | "0" => Some(false),
        _ => None,
    }
}

fn well_formed(param: &Param, value: &str, verb: Verb) -> Result<(), String> {
    let fine = match param.wire {
        Wire::Integer(min, max) => {
            return match value.trim().parse::<i64>() {
                Ok(number) if (min..=max).contains(&number) => Ok(()),
                _ => Err(format!("'{value}' is not an integer from {min} to {max}")),
            };
        }
        Wire::Number => {
            return match value.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(()),
                _ => Err(format!("'{value}' is not a number")),
            };
        }
        Wire::Boolean => {
            return match parse_boolean(value) {
                Some(_) => Ok(()),
                None => Err(format!("'{value}' is neither true nor false")),
            };
        }
        Wire::Sid(prefixes) => {
            let fits = |sid: Sid| prefixes.is_empty() || prefixes.contains(&sid.prefix());
            return if value.parse::<Sid>().is_ok_and(fits) {
                Ok(())
            } else if prefixes.is_empty() {
                Err(format!("'{value}' is not a SID"))
            } else {
                let form = prefixes.join(" or ");
                Err(format!("'{value}' is not a SID that begins with {form}"))
            };
        }
        Wire::Url => return check_url(value),
        Wire::Method => {
            return match value {
                "GET" | "POST" | "get" | "post" => Ok(()),
                _ => Err(format!("'{value}' is neither GET nor POST")),
            };
        }
        Wire::Enum(values) if verb != Verb::List => {
            return if values.contains(&value) {
                Ok(())
            } else {
                Err(format!("'{value}' is none of {}", values.join(", ")))
            };
        }
        Wire::DateTime | Wire::Date => Timestamp::parse(value).is_ok(),
        Wire::Json => serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok(),
        _ => true,
    };
    if fine { Ok(()) } else { Err(format!("'{value}' has the wrong form")) }
}

/// An absolute http(s) URL with a host that has no underscore (messaging §1).
pub fn check_url(value: &str) -> Result<(), String> {
    let url = url::Url::parse(value)
        .map_err(|_| format!("'{value}' is not an absolute URL such as https://example.com/sms"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("'{value}' is not an http or https URL"));
    }
    match url.host_str() {
        None | Some("") => Err(format!("'{value}' has no host")),
        Some(host) if host.contains('_') => Err(format!("the host of '{value}' has an underscore")),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Op;

    const PARAMS: &[Param] = &[
        Param::address("To").required(21604),
        Param::text("Body", 5).code(21617),
        Param::url("MediaUrl").code(21620).list(),
        Param::integer("ValidityPeriod", 1, 36000).code(21624),
        Param::boolean("SmartEncoded"),
        Param::date_time("DateSent"),
        Param::date_time("DateSent<"),
        Param::date_time("DateSent>"),
        Param::new("AddOns", Wire::PrefixedMap),
    ];

    fn parse(body: &str) -> Result<Form, ApiError> {
        let mut pairs = Pairs::default();
        pairs.add(body.as_bytes())?;
        Form::parse(&Op::<()>::create(PARAMS).decl, pairs)
    }

    #[test]
    fn faults_come_in_table_order_with_their_codes() {
        for (body, code) in [
            ("", 21604),
            ("To=&Body=toolong", 21604),
            ("To=a&Body=toolong&MediaUrl=x", 21617),
            ("To=a&MediaUrl=ftp%3A%2F%2Fx", 21620),
            ("To=a&MediaUrl=http%3A%2F%2Fa_b.c%2F", 21620),
            ("To=a&ValidityPeriod=36001", 21624),
            ("To=a&SmartEncoded=maybe", 20001),
            ("To=a&DateSent=soon", 20001),
            ("To=%FF", 20001),
            ("To=a&Body=x%00y", 20001),
        ] {
            assert_eq!(parse(body).map_err(|error| error.code).err(), Some(code), "{body}");
        }
    }

    #[test]
    fn lists_maps_and_scalars_come_as_clients_send_them() {
        let form = parse(
            "To=%2B1&To=2&MediaUrl=http://a/1&MediaUrl=http://a/2&AddOns.x.y=1&Other=z&Body=a+b",
        )
        .unwrap();
        assert_eq!(form.text("To"), Some("+1"));
        assert_eq!(form.list("MediaUrl"), ["http://a/1", "http://a/2"]);
        assert_eq!(form.map("AddOns"), [("x.y", "1")]);
        assert_eq!(form.text("Body"), Some("a b"));
        assert!(!form.has("Other"));
    }

    #[test]
    fn date_filters_take_the_operator_from_the_name() {
        let day = Timestamp::parse("2024-02-01").unwrap();
        let next = Timestamp::parse("2024-02-02").unwrap();
        let names = ["DateSent", "DateSent<", "DateSent>"];
        for (body, range) in [
            ("DateSent=2024-02-01", (Some(day), Some(next))),
            ("DateSent=2024-02-01T00:00:00Z", (Some(day), Some(next))),
            ("DateSent%3E=2024-02-01", (Some(day), None)),
            ("DateSent>=2024-02-01", (Some(day), None)),
            ("DateSent%3C=2024-02-01", (None, Some(next))),
            ("DateSent%3C%3D=2024-02-01", (None, Some(next))),
            ("DateSent%3E%3D=2024-02-01", (Some(day), None)),
            ("", (None, None)),
        ] {
            assert_eq!(parse(&format!("To=1&{body}")).unwrap().range(names), range, "{body}");
        }
    }

    #[test]
    fn paths_keep_their_plus_signs() {
        assert_eq!(decode_path("+1415").as_deref(), Some("+1415"));
        assert_eq!(decode_path("%2B1415+").as_deref(), Some("+1415+"));
        assert_eq!(decode_path("%FF"), None);
    }
}
