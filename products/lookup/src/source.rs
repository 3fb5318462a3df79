//! Where what numbering plans do not say comes from.

use std::sync::Arc;

use contracts::{
    Caller, Line, LineKind, LineStatus, Person, Pumping, Subscriber, Subscribers, Unavailable,
};
use kernel::{Secret, Timestamp};
use outbound::{Client, Method, RawRequest};
use serde::Deserialize;
use serde_json::json;

/// Who is asked.
pub enum Source {
    Network(Arc<dyn Subscribers>),
    Http(HttpSource),
}

impl Source {
    pub(crate) async fn ask(&self, number: &str) -> Result<Subscriber, Unavailable> {
        match self {
            Self::Network(network) => network.subscriber(number).await,
            Self::Http(source) => source.ask(number).await,
        }
    }
}

/// A service of the operator's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSourceConfig {
    /// Gets a POST of `{"phone_number": "+14155550100"}` and answers what it knows.
    pub url: String,
    /// Sent as `Authorization: Bearer …`.
    #[serde(default)]
    pub token: Option<Secret>,
}

/// Such a service, connected.
pub struct HttpSource {
    config: HttpSourceConfig,
    client: Arc<Client>,
}

/// What the service answers; what is left out is not known.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    /// `mobile`, `landline` or `voip`.
    line_type: Option<String>,
    carrier_name: Option<String>,
    mobile_country_code: Option<String>,
    mobile_network_code: Option<String>,
    caller_name: Option<String>,
    is_business: bool,
    /// `active`, `inactive`, `reachable` or `unreachable`.
    line_status: Option<String>,
    call_forwarding: Option<bool>,
    /// ISO 8601; an empty text is never.
    sim_swapped_at: Option<String>,
    reassigned_at: Option<String>,
    pumping_score: Option<u8>,
    blocked_at: Option<String>,
    person: Option<AnswerPerson>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AnswerPerson {
    first_name: String,
    last_name: String,
    address_line: String,
    city: String,
    state: String,
    postal_code: String,
    country: String,
    national_id: String,
    date_of_birth: String,
}

impl HttpSource {
    pub fn new(config: HttpSourceConfig, client: Arc<Client>) -> Self {
        Self { config, client }
    }

    async fn ask(&self, number: &str) -> Result<Subscriber, Unavailable> {
        let mut request = RawRequest::new(Method::Post, self.config.url.as_str());
        request.headers = vec![("Content-Type".into(), "application/json".into())];
        if let Some(token) = &self.config.token {
            request.headers.push(("Authorization".into(), format!("Bearer {}", token.0)));
        }
        request.body = json!({"phone_number": number}).to_string().into_bytes();
        let answer = self.client.raw(request).await;
        let answer = answer.map_err(|failure| Unavailable(failure.message))?;
        match answer.status {
            200 => {}
            404 => return Ok(Subscriber::default()),
            status => return Err(Unavailable(format!("the data source answered {status}"))),
        }
        let answer: Answer = serde_json::from_slice(&answer.body)
            .map_err(|error| Unavailable(format!("the data source's JSON: {error}")))?;
        Ok(answer.into())
    }
}

impl From<Answer> for Subscriber {
    fn from(answer: Answer) -> Self {
        let moment = |text: Option<String>| {
            text.map(|text| Timestamp::parse(&text).ok().filter(|_| !text.is_empty()))
        };
        let kind = match answer.line_type.as_deref() {
            Some("mobile") => Some(LineKind::Mobile),
            Some("landline") => Some(LineKind::Landline),
            Some("voip") => Some(LineKind::Voip),
            _ => None,
        };
        Self {
            line: kind.map(|kind| Line {
                kind,
                carrier: answer.carrier_name.unwrap_or_default(),
                mobile_country_code: answer.mobile_country_code,
                mobile_network_code: answer.mobile_network_code,
            }),
            caller: answer.caller_name.map(|name| Caller { name, is_business: answer.is_business }),
            status: match answer.line_status.as_deref() {
                Some("active") => Some(LineStatus::Active),
                Some("inactive") => Some(LineStatus::Inactive),
                Some("reachable") => Some(LineStatus::Reachable),
                Some("unreachable") => Some(LineStatus::Unreachable),
                _ => None,
            },
            is_forwarding: answer.call_forwarding,
            sim_swapped_at: moment(answer.sim_swapped_at),
            reassigned_at: moment(answer.reassigned_at),
            person: answer.person.map(|person| Person {
                first_name: person.first_name,
                last_name: person.last_name,
                address_line: person.address_line,
                city: person.city,
                state: person.state,
                postal_code: person.postal_code,
                country: person.country,
                national_id: person.national_id,
                date_of_birth: person.date_of_birth,
            }),
            pumping: answer.pumping_score.map(|score| Pumping {
                score: score.min(100),
                blocked_at: moment(answer.blocked_at).flatten(),
            }),
        }
    }
}
