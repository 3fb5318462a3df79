//! Goal: signatures are byte for byte those of Twilio's helper libraries. Method: vectors computed
//! with twilio-node 6.2.0 (HMAC-SHA1) and twilio-python 9.13.0 (HMAC-SHA256).

use signature::{
    sign, sign_shared_key, validate, validate_body, validate_shared_key, with_body_hash, with_query,
};

const A: &str = "12345";
const B: &str = "1c892n40nd03kdnc0112slzkl3091j20";

struct Vector {
    name: &'static str,
    token: &'static str,
    url: &'static str,
    /// A JSON object; an array as value is a repeated parameter.
    params: &'static str,
    /// The URL the receiver saw, when a proxy changed it.
    received: Option<&'static str>,
    signature: &'static str,
    is_accepted: bool,
}

#[rustfmt::skip]
const FORM: &[Vector] = &[
    Vector {
        name: "V1", token: A,
        url: "https://mycompany.com/myapp.php?foo=1&bar=2",
        params: r#"{"CallSid":"CA1234567890ABCDE","Caller":"+14158675309","Digits":"1234","From":"+14158675309","To":"+18005551212"}"#,
        received: None,
        signature: "RSOYDt4T1cUTdK1PDd93/VVr8B8=", is_accepted: true,
    },
    Vector {
        name: "V2", token: A,
        url: "https://example.com/myapp.php?foo=1&bar=2",
        params: r#"{"CallSid":"CA1234567890ABCDE","Caller":"+12349013030","Digits":"1234","From":"+12349013030","To":"+18005551212"}"#,
        received: None,
        signature: "vNe7KK2kJwCsxc9K3OLkkKB3qqI=", is_accepted: true,
    },
    Vector {
        name: "V2b", token: A,
        url: "https://example.com/myapp.php?foo=1&bar=2",
        params: r#"{"CallSid":"CA1234567890ABCDE","Caller":"+14158675310","Digits":"1234","From":"+14158675310","To":"+18005551212"}"#,
        received: None,
        signature: "L/OH5YylLD5NRKLltdqwSvS0BnU=", is_accepted: true,
    },
    Vector {
        name: "V3", token: B,
        url: "https://hooks.example.com/sms",
        params: r#"{"ToCountry":"US","ToState":"CA","SmsMessageSid":"SM0123456789abcdef0123456789abcdef","NumMedia":"0","ToCity":"","FromZip":"94105","SmsSid":"SM0123456789abcdef0123456789abcdef","FromState":"CA","SmsStatus":"received","FromCity":"SAN FRANCISCO","Body":"Hello, world & friends = 100% 😀","FromCountry":"US","To":"+14155550100","ToZip":"","NumSegments":"1","MessageSid":"SM0123456789abcdef0123456789abcdef","AccountSid":"AC0123456789abcdef0123456789abcdef","From":"+14155550199","ApiVersion":"2010-04-01"}"#,
        received: None,
        signature: "xnEXkZ29c28BcEvB8x0dCEcaY1c=", is_accepted: true,
    },
    Vector {
        name: "V4", token: B,
        url: "https://hooks.example.com/sms?Body=Hi+there&From=%2B14155550199&To=%2B14155550100",
        params: r#"{}"#,
        received: None,
        signature: "J+pnz5Dq+jgjlLJtpkqCrH0pQiQ=", is_accepted: true,
    },
    Vector {
        name: "V5", token: B,
        url: "https://hooks.example.com/multi",
        params: r#"{"Sid":["SM222","SM111","SM222"],"Alpha":"x"}"#,
        received: None,
        signature: "tKAXnHO9sSXFy0QWvbk1QWjBx1c=", is_accepted: true,
    },
    Vector {
        name: "V6", token: B,
        url: "https://hooks.example.com/sort",
        params: r#"{"b":"1","B":"2","_c":"3","a":"4","A1":"5","A":"6","AA":"7"}"#,
        received: None,
        signature: "ug4zU/wGtvCSZNFXwn/+S5oceK4=", is_accepted: true,
    },
    Vector {
        name: "V7", token: B,
        url: "https://hooks.example.com/status",
        params: r#"{}"#,
        received: None,
        signature: "oc960xnfPGothQM9esPcb7EPBqY=", is_accepted: true,
    },
    Vector {
        name: "V8", token: B,
        url: "https://hooks.example.com/sms",
        params: r#"{"Body":"p"}"#,
        received: Some("https://hooks.example.com:443/sms"),
        signature: "umSAv8wm2FPJA6l06Boi35tGv2c=", is_accepted: true,
    },
    Vector {
        name: "V9", token: B,
        url: "https://hooks.example.com:443/sms",
        params: r#"{"Body":"p"}"#,
        received: Some("https://hooks.example.com/sms"),
        signature: "GbBP4uBScKUcnlcD+iL/3/aZQoo=", is_accepted: true,
    },
    Vector {
        name: "V10", token: B,
        url: "https://hooks.example.com:8443/sms",
        params: r#"{"Body":"p"}"#,
        received: None,
        signature: "mMAfPiJOm3OqlQzySdQs4OBEEic=", is_accepted: true,
    },
    Vector {
        name: "V11", token: B,
        url: "https://hooks.example.com/sms",
        params: r#"{"Body":"p"}"#,
        received: Some("https://hooks.example.com:8443/sms"),
        signature: "umSAv8wm2FPJA6l06Boi35tGv2c=", is_accepted: true,
    },
    Vector {
        name: "V12", token: B,
        url: "http://hooks.example.com:80/sms",
        params: r#"{"Body":"p"}"#,
        received: Some("http://hooks.example.com/sms"),
        signature: "GGls1Kfh3xfCUDS23po/N+m7+q0=", is_accepted: true,
    },
    Vector {
        name: "V13", token: B,
        url: "https://user:pass@hooks.example.com/sms",
        params: r#"{"Body":"p"}"#,
        received: None,
        signature: "FOO721F8TxBKVj6TXogqaNQVBrs=", is_accepted: true,
    },
    Vector {
        name: "V14", token: B,
        url: "https://user:pass@hooks.example.com:8080/sms?x=1",
        params: r#"{"Body":"p"}"#,
        received: None,
        signature: "KwiMvzGGvbvgHVJBQJQ3rSa8/rw=", is_accepted: true,
    },
    Vector {
        name: "V15", token: B,
        url: "https://hooks.example.com/sms",
        params: r#"{"Body":"p"}"#,
        received: Some("https://user:pass@hooks.example.com/sms"),
        signature: "umSAv8wm2FPJA6l06Boi35tGv2c=", is_accepted: false,
    },
    Vector {
        name: "V16", token: B,
        url: "https://hooks.example.com/sms?q=it's+ok",
        params: r#"{"Body":"p"}"#,
        received: None,
        signature: "8sx1hDGsvajgbvPm57kVkQ3cYFQ=", is_accepted: true,
    },
    Vector {
        name: "V17", token: B,
        url: "https://hooks.example.com/status?job=42",
        params: r#"{"ApiVersion":"2010-04-01","MessageStatus":"delivered","RawDlrDoneDate":"2511211430","SmsSid":"SM0123456789abcdef0123456789abcdef","SmsStatus":"delivered","To":"+14155550199","From":"+14155550100","MessageSid":"SM0123456789abcdef0123456789abcdef","AccountSid":"AC0123456789abcdef0123456789abcdef"}"#,
        received: None,
        signature: "+Hff0WqnCl3zWVL93AmkeW9XFwo=", is_accepted: true,
    },
    Vector {
        name: "V18", token: B,
        url: "http://[::1]:9000/sms",
        params: r#"{"Body":"p"}"#,
        received: None,
        signature: "7thJrX2mAYFdpBI9NbnPlfIV464=", is_accepted: true,
    },
    Vector {
        name: "V19", token: B,
        url: "wss://media.example.com/stream",
        params: r#"{}"#,
        received: None,
        signature: "FKsPMZZR2nywOucP3Rg5cfGMQu8=", is_accepted: true,
    },
    Vector {
        name: "V20", token: B,
        url: "https://hooks.example.com/sms/",
        params: r#"{"Body":"p"}"#,
        received: None,
        signature: "BKbAd/JLgfc9aMFVvU94AsGwwVI=", is_accepted: true,
    },
];

const JSON_BODY: &[u8] = br#"{"specversion":"1.0","type":"com.twilio.messaging.message.sent","data":{"messageSid":"SM1"}}"#;

/// Configured URL, URL with the body hash, signature under token B.
#[rustfmt::skip]
const JSON: &[(&str, &str, &str)] = &[
    // V21
    ("https://hooks.example.com/json",
     "https://hooks.example.com/json?bodySHA256=40621727f265c1d25859d76cc5398328f54b5ce866ec8fe06301aa64c25ff908",
     "rn5eanIOIJH/zvejRm2WEq6J/RI="),
    // V22
    ("https://hooks.example.com/json?a=1",
     "https://hooks.example.com/json?a=1&bodySHA256=40621727f265c1d25859d76cc5398328f54b5ce866ec8fe06301aa64c25ff908",
     "UfjLNYSmDkqghsKgQjVxwQjaXNw="),
];

fn pairs(json: &str) -> Vec<(String, String)> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
    let text = |value: serde_json::Value| value.as_str().unwrap().to_owned();
    let mut pairs = Vec::new();
    for (name, value) in object {
        match value {
            serde_json::Value::Array(values) => {
                pairs.extend(values.into_iter().map(|value| (name.clone(), text(value))));
            }
            value => pairs.push((name, text(value))),
        }
    }
    pairs
}

#[test]
fn form_vectors() {
    for vector in FORM {
        let Vector { name, token, url, signature, .. } = *vector;
        let params = pairs(vector.params);
        assert_eq!(sign(token, url, &params), signature, "{name}");
        assert!(validate(token, url, &params, signature), "{name}");
        let received = vector.received.unwrap_or(url);
        assert_eq!(validate(token, received, &params, signature), vector.is_accepted, "{name}");
    }
}

#[test]
fn json_vectors() {
    for (configured, url, signature) in JSON {
        assert_eq!(with_body_hash(configured, JSON_BODY), *url);
        assert_eq!(sign::<&str, &str>(B, url, &[]), *signature);
        assert!(validate_body(B, url, JSON_BODY, signature));
        assert!(!validate_body(B, url, b"{}", signature));
        assert!(!validate_body(B, configured, JSON_BODY, signature));
    }
}

#[test]
fn get_vector_is_built_from_its_parameters() {
    let params = [("Body", "Hi there"), ("From", "+14155550199"), ("To", "+14155550100")];
    let v4 = FORM.iter().find(|vector| vector.name == "V4").unwrap();
    assert_eq!(with_query("https://hooks.example.com/sms", &params), v4.url);
}

#[test]
fn shared_key_vector() {
    let (secret, url) = ("whsec_shared_key_secret_0123456789", "https://hooks.example.com/sms");
    let params = [("Body", "p"), ("From", "+14155550199")];
    let signature = "8isTNGNRHLx3BlI5ezg5LFQ5clghtnB03Bgz9aTmXQo=";
    assert_eq!(sign_shared_key(secret, url, &params), signature);
    assert!(validate_shared_key(secret, url, &params, signature));
    assert!(!validate(secret, url, &params, signature));
}

#[test]
fn anything_else_is_refused() {
    let v1 = &FORM[0];
    let params = pairs(v1.params);
    for signature in ["", "RSOYDt4T1cUTdK1PDd93/VVr8B8", "rSOYDt4T1cUTdK1PDd93/VVr8B8="] {
        assert!(!validate(A, v1.url, &params, signature), "{signature}");
    }
    assert!(!validate(B, v1.url, &params, v1.signature));
    assert!(!validate(A, "https://mycompany.com/myapp.php?foo=1", &params, v1.signature));
    assert!(!validate(A, v1.url, &params[1..], v1.signature));
}
