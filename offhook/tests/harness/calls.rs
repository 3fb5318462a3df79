//! Calls of a world: moving the clock through them, and what handsets do.

use serde_json::{Value, json};

use super::{Reply, World};

impl World {
    /// A call by the main account, from its number to this one unless the form says otherwise.
    pub async fn call(&self, to: &str, form: &[(&str, &str)]) -> Reply {
        let mut all = vec![("From", self.number.as_str()), ("To", to)];
        all.retain(|(name, _)| !form.iter().any(|(given, _)| given == name));
        all.extend_from_slice(form);
        self.post(&self.path("Calls.json"), &all).await
    }

    /// A call that must be placed; its SID.
    pub async fn called(&self, to: &str, form: &[(&str, &str)]) -> String {
        let reply = self.call(to, form).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.text_of("sid")
    }

    pub async fn fetch_call(&self, sid: &str) -> Value {
        self.get(&self.path(&format!("Calls/{sid}.json"))).await.json()
    }

    /// Moves the clock a second at a time until the call has this status.
    pub async fn through_call(&self, sid: &str, status: &str) -> Value {
        for _ in 0..600 {
            self.settle().await;
            let call = self.fetch_call(sid).await;
            if call["status"] == status {
                return call;
            }
            self.advance(1).await;
        }
        panic!("{sid} is not {status} but {}", self.fetch_call(sid).await);
    }

    /// Somebody does something on a handset.
    pub async fn deed(&self, handset: &str, what: &str, body: Value) {
        let reply = self.own("POST", &format!("handsets/{handset}/{what}"), body).await;
        assert_eq!(reply.status, 200, "{what}: {reply:?}");
    }

    /// Somebody calls the main account's number; the SID of the call.
    pub async fn dial_in(&self, handset: &str) -> String {
        let reply = self.own("POST", &format!("handsets/{handset}/calls"), json!({})).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.text_of("sid")
    }

    /// Tells a handset how to behave.
    pub async fn behave(&self, handset: &str, change: Value) {
        let reply = self.own("PUT", &format!("handsets/{handset}"), change).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// The calls of a handset, newest first.
    pub async fn legs(&self, handset: &str) -> Vec<Value> {
        let reply = self.own("GET", &format!("handsets/{handset}/calls"), Value::Null).await;
        reply.json()["calls"].as_array().cloned().unwrap_or_default()
    }

    /// Lines of the newest call of a handset.
    pub async fn lines(&self, handset: &str) -> Vec<(String, String)> {
        let legs = self.legs(handset).await;
        let heard = legs.first().and_then(|leg| leg["heard"].as_array().cloned());
        let heard = heard.unwrap_or_default();
        let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        heard.iter().map(|line| (text(line, "sound"), text(line, "text"))).collect()
    }

    /// Moves the clock until this is among the lines of the newest call of a handset: `say Hello`.
    pub async fn hears(&self, handset: &str, line: &str) {
        for _ in 0..600 {
            self.settle().await;
            if self.heard(handset).await.iter().any(|known| known == line) {
                return;
            }
            self.advance(1).await;
        }
        panic!("{handset} does not hear {line}: {:?}", self.heard(handset).await);
    }

    /// What the newest call of a handset sounded like: `say Hello`.
    pub async fn heard(&self, handset: &str) -> Vec<String> {
        let lines = self.lines(handset).await;
        let shown = |(sound, text): &(String, String)| format!("{sound} {text}").trim().to_owned();
        lines.iter().map(shown).collect()
    }

    pub async fn press(&self, handset: &str, digits: &str) {
        self.deed(handset, "digits", json!({ "digits": digits })).await;
        self.settle().await;
    }
}
