//! CloudEvents 1.0 as they are posted (webhooks §12.2).

use contracts::MessageContent;
use kernel::{Sid, SidGenerator, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::Entry;

use crate::catalog::{self, TEST_TYPE};

/// An event that was promised to a sink: what is needed to word it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promised {
    /// Its number among all events, for its id.
    pub seq: i64,
    /// The type it is sent as.
    pub name: String,
    pub schema_version: i64,
    /// What it is about.
    pub sid: String,
    pub at: Timestamp,
    /// The body of the event: a JSON object.
    pub facts: String,
}

impl Promised {
    /// The event as a subscriber to `name` gets it.
    pub fn of(entry: &Entry, name: &str, schema_version: i64) -> Self {
        Self {
            seq: entry.seq,
            name: name.to_owned(),
            schema_version,
            sid: entry.sid.clone(),
            at: entry.at,
            facts: entry.body.clone(),
        }
    }

    /// The test of a sink; `id` is given back to show that it arrived.
    pub fn test(sink: &str, id: &str, at: Timestamp, random: i64) -> Self {
        Self {
            seq: random,
            name: TEST_TYPE.to_owned(),
            schema_version: 1,
            sid: sink.to_owned(),
            at,
            facts: json!({"test_id": id}).to_string(),
        }
    }

    /// The message it is about, if it is about one.
    pub fn message(&self) -> Option<Sid> {
        let sid = self.sid.parse::<Sid>().ok()?;
        matches!(sid.prefix(), "SM" | "MM").then_some(sid)
    }

    /// The whole event; the same id however often it is sent.
    pub fn envelope(&self, account: Sid, content: Option<&MessageContent>) -> Json {
        let facts: Json = serde_json::from_str(&self.facts).unwrap_or(Json::Null);
        let schema = catalog::by_name(&self.name).map_or("EventStreams.TestSink", |t| t.schema);
        let (source, data) = match schema {
            "Messaging.MessageStatus" => {
                (self.message_path(account), self.status(account, &facts, content))
            }
            "Messaging.InboundMessageV1" => {
                (self.message_path(account), self.inbound(account, &facts, content))
            }
            "ErrorLogs.Error" => self.error(account, &facts),
            // Differs: the schema's name is unconfirmed; its members are those of the callback.
            "LinkShortening.LinkClicked" => (self.message_path(account), facts),
            "AccountSecurity.VerifyEventStreamEvent" => {
                (self.verification_path(account, &facts), facts)
            }
            _ => (format!("/v1/Sinks/{}", self.sid), facts),
        };
        json!({
            "specversion": "1.0",
            "type": self.name,
            "source": source,
            "id": self.id("EZ"),
            "dataschema": catalog::raw(schema, self.schema_version),
            "datacontenttype": "application/json",
            "time": self.time(),
            "data": data,
        })
    }

    fn id(&self, prefix: &str) -> Sid {
        SidGenerator::numbered(prefix, self.at, self.seq.unsigned_abs())
    }

    fn time(&self) -> String {
        self.at.format("%Y-%m-%dT%H:%M:%S.%3fZ")
    }

    fn message_path(&self, account: Sid) -> String {
        format!("/2010-04-01/Accounts/{account}/Messages/{}.json", self.sid)
    }

    fn verification_path(&self, account: Sid, facts: &Json) -> String {
        let service = facts["service_sid"].as_str().unwrap_or_default();
        format!("/v1/Accounts/{account}/Services/{service}/Verifications/{}", self.sid)
    }

    // Differs: operator codes, tags and times of receipts, which Twilio's schema has, are not known.
    fn status(&self, account: Sid, facts: &Json, content: Option<&MessageContent>) -> Json {
        let status = self.name.rsplit('.').next().unwrap_or_default();
        json!({
            "messageSid": self.sid,
            "timestamp": self.time(),
            "accountSid": account,
            "eventName": self.name,
            "apiVersion": "2010-04-01",
            "from": facts["from"],
            "to": facts["to"],
            "messageStatus": status.to_ascii_uppercase(),
            "messagingServiceSid": content.and_then(|content| content.service.as_deref()),
            "errorCode": facts["error_code"],
            "body": content.map(|content| content.body.as_str()),
            "numberOfSegments": content.map(|content| content.segments),
        })
    }

    // Differs: the places of sender and receiver, which Twilio's schema has, are left out.
    fn inbound(&self, account: Sid, facts: &Json, content: Option<&MessageContent>) -> Json {
        json!({
            "messageSid": self.sid,
            "timestamp": self.time(),
            "accountSid": account,
            "eventName": self.name,
            "from": facts["from"],
            "to": facts["to"],
            "numMedia": content.map(|content| content.media),
            "numSegments": content.map(|content| content.segments),
            "body": content.map(|content| content.body.as_str()),
            "messagingServiceSid": content.and_then(|content| content.service.as_deref()),
        })
    }

    /// The alert, named by the SID that Monitor shows it under.
    // Differs: the members of Twilio's schema are unconfirmed; these are an alert's.
    fn error(&self, account: Sid, facts: &Json) -> (String, Json) {
        let alert = self.id("NO");
        let level = facts["level"].as_str().unwrap_or_default().to_ascii_uppercase();
        let data = json!({
            "sid": alert,
            "account_sid": account,
            "error_code": facts["code"].to_string(),
            "level": level,
            "resource_sid": self.sid,
            "message": facts["message"],
            "request_url": facts["url"],
            "timestamp": self.time(),
        });
        (format!("/v1/Alerts/{alert}"), data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promised(name: &str, sid: &str, facts: Json) -> Promised {
        let at = Timestamp::parse("2026-01-02T03:04:05Z").unwrap();
        let (name, facts) = (name.to_owned(), facts.to_string());
        Promised { seq: 7, name, schema_version: 1, sid: sid.to_owned(), at, facts }
    }

    #[test]
    fn an_event_is_worded_by_its_schema() {
        let account = Sid::from_parts("AC", 1);
        let message = Sid::from_parts("SM", 2).to_string();
        let content = MessageContent { body: "hi".into(), segments: 1, media: 0, service: None };
        for (name, sid, facts, schema, data) in [
            (
                "com.twilio.messaging.message.failed",
                message.as_str(),
                json!({"from": "+1", "to": "+2", "error_code": 30003}),
                "Messaging.MessageStatus/1",
                json!({"messageStatus": "FAILED", "errorCode": 30003, "to": "+2", "body": "hi"}),
            ),
            (
                "com.twilio.messaging.inbound-message.received",
                &message,
                json!({"from": "+1", "to": "+2"}),
                "Messaging.InboundMessageV1/1",
                json!({"numMedia": 0, "body": "hi", "from": "+1"}),
            ),
            (
                "com.twilio.error-logs.error.logged",
                &message,
                json!({"code": 11200, "level": "error", "message": "no"}),
                "ErrorLogs.Error/1",
                json!({"error_code": "11200", "level": "ERROR", "resource_sid": message}),
            ),
            (
                "com.twilio.daptbt.link-shortening.link-clicked",
                &message,
                json!({"link": "https://example.com", "to": "+2"}),
                "LinkShortening.LinkClicked/1",
                json!({"link": "https://example.com", "to": "+2"}),
            ),
            (
                "com.twilio.accountsecurity.verify.verification.approved",
                "VE1",
                json!({"service_sid": "VA1", "verification_status": "APPROVED"}),
                "AccountSecurity.VerifyEventStreamEvent/1",
                json!({"verification_status": "APPROVED"}),
            ),
            (
                TEST_TYPE,
                "DG1",
                json!({"test_id": "x"}),
                "EventStreams.TestSink/1",
                json!({"test_id": "x"}),
            ),
        ] {
            let event = promised(name, sid, facts).envelope(account, Some(&content));
            assert_eq!(event["specversion"], "1.0");
            assert_eq!(event["time"], "2026-01-02T03:04:05.000Z");
            assert!(event["dataschema"].as_str().unwrap().ends_with(schema), "{event}");
            for (field, value) in data.as_object().unwrap() {
                assert_eq!(&event["data"][field], value, "{event}");
            }
        }
    }

    #[test]
    fn an_id_is_the_same_every_time() {
        let account = Sid::from_parts("AC", 1);
        let event = promised(TEST_TYPE, "DG1", json!({}));
        assert_eq!(event.envelope(account, None)["id"], event.envelope(account, None)["id"]);
    }
}
