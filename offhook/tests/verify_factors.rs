//! Goal: entities, factors and challenges prove who somebody is, and nobody else (verify §7).
//! Method: authenticator codes made here with HMAC, and a device that enrols with an access token,
//! signs its calls, and answers challenges as the mobile SDKs do.

mod harness;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::{Login, Request, WebhookSink, World, assert_error, strict_worlds, worlds};
use serde_json::{Value, json};

const ADA: &str = "ada-00001";
/// Base32 of the secret below.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const SECRET_BYTES: &[u8] = b"12345678901234567890";

fn at(rest: &str) -> String {
    format!("/_/verify/v2{rest}")
}

async fn made(world: &World, path: &str, form: &[(&str, &str)]) -> Value {
    let reply = world.post(path, form).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()
}

async fn service(world: &World) -> String {
    let made = made(world, &at("/Services"), &[("FriendlyName", "Owl")]).await;
    made["sid"].as_str().unwrap().to_owned()
}

/// Ada's path of a service.
fn ada(service: &str, rest: &str) -> String {
    at(&format!("/Services/{service}/Entities/{ADA}{rest}"))
}

/// The six digits of RFC 6238 at these seconds.
fn code_at(seconds: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET_BYTES);
    let tag = hmac::sign(&key, &(seconds / 30).to_be_bytes());
    let bytes = tag.as_ref();
    let at = usize::from(bytes[19] & 15);
    let word = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}

fn now(world: &World) -> i64 {
    world.platform().clock.now().as_micros() / 1_000_000
}

/// Ada's verified TOTP factor.
async fn authenticator(world: &World, service: &str) -> String {
    let form =
        [("FriendlyName", "Ada's phone"), ("FactorType", "totp"), ("Binding.Secret", SECRET)];
    let factor = made(world, &ada(service, "/Factors"), &form).await;
    assert_eq!(
        (&factor["status"], &factor["binding"]["secret"]),
        (&json!("unverified"), &json!(SECRET))
    );
    let uri = format!(
        "otpauth://totp/Owl:Ada%27s%20phone?secret={SECRET}&issuer=Owl&algorithm=SHA1&digits=6&period=30"
    );
    assert_eq!(factor["binding"]["uri"], uri);
    assert_eq!(
        factor["config"],
        json!({"alg": "sha1", "skew": 1, "code_length": 6, "time_step": 30})
    );
    let sid = factor["sid"].as_str().unwrap().to_owned();
    let path = ada(service, &format!("/Factors/{sid}"));
    let verified = world.post(&path, &[("AuthPayload", &code_at(now(world)))]).await;
    assert_eq!(verified.text_of("status"), "verified", "{verified:?}");
    assert!(verified.json().get("binding").is_none());
    sid
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authenticator_proves_itself_once_per_code() {
    for world in worlds().await {
        let service = service(&world).await;
        let factor = authenticator(&world, &service).await;
        let challenges = ada(&service, "/Challenges");
        let used = code_at(now(&world));
        let ask = |code: String| {
            let (world, challenges, factor) = (&world, &challenges, &factor);
            async move {
                let form = [("FactorSid", factor.as_str()), ("AuthPayload", code.as_str())];
                made(world, challenges, &form).await
            }
        };
        assert_eq!(ask(used).await["status"], "pending", "a code is taken once");
        world.advance(90).await;
        let code = code_at(now(&world));
        let approved = ask(code.clone()).await;
        assert_eq!(approved["status"], "approved");
        assert!(approved["date_responded"].is_string() && approved["details"].is_null());
        assert_eq!(ask(code.clone()).await["status"], "pending", "a replay");

        // A challenge that waits: five wrong codes, then none any more.
        world.advance(90).await;
        let open = made(&world, &challenges, &[("FactorSid", &factor)]).await;
        let one = format!("{challenges}/{}", open["sid"].as_str().unwrap());
        for _ in 0..5 {
            assert_error(&world.post(&one, &[("AuthPayload", &code)]).await, 60324, 403, "");
        }
        let fine = code_at(now(&world));
        assert_error(&world.post(&one, &[("AuthPayload", &fine)]).await, 60308, 429, "");
        let open = made(&world, &challenges, &[("FactorSid", &factor)]).await;
        let one = format!("{challenges}/{}", open["sid"].as_str().unwrap());
        let fine = code_at(now(&world));
        assert_eq!(world.post(&one, &[("AuthPayload", &fine)]).await.text_of("status"), "approved");
        assert_error(&world.post(&one, &[("AuthPayload", &fine)]).await, 60322, 403, "");
        let late = made(&world, &challenges, &[("FactorSid", &factor)]).await;
        world.advance(301).await;
        let one = format!("{challenges}/{}", late["sid"].as_str().unwrap());
        assert_eq!(world.get(&one).await.text_of("status"), "expired");
        let fine = code_at(now(&world));
        assert_error(&world.post(&one, &[("AuthPayload", &fine)]).await, 60323, 403, "");
        let listed = world.get(&format!("{challenges}?Status=approved")).await.json();
        assert_eq!(listed["challenges"].as_array().unwrap().len(), 2);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn factors_and_entities_have_their_rules() {
    for world in worlds().await {
        let service = service(&world).await;
        let entities = at(&format!("/Services/{service}/Entities"));
        let entity = made(&world, &entities, &[("Identity", ADA)]).await;
        assert!(entity["url"].as_str().unwrap().ends_with(&format!("/Entities/{ADA}")));
        assert_eq!(entity["links"]["factors"], entity["links"]["new_factors"]);
        assert_error(&world.post(&entities, &[("Identity", ADA)]).await, 60301, 409, ADA);
        for bad in ["short", "with space", "ada@owl.example", &"x".repeat(65)] {
            assert_error(
                &world.post(&entities, &[("Identity", bad)]).await,
                60300,
                400,
                "Identity",
            );
        }
        let factors = ada(&service, "/Factors");
        let totp = [("FriendlyName", "Phone"), ("FactorType", "totp")];
        let factor = made(&world, &factors, &totp).await;
        assert_eq!(factor["binding"]["secret"].as_str().unwrap().len(), 32);
        let path = format!("{factors}/{}", factor["sid"].as_str().unwrap());
        for _ in 0..5 {
            assert_error(&world.post(&path, &[("AuthPayload", "000")]).await, 60311, 403, "");
        }
        assert_error(&world.post(&path, &[("AuthPayload", "000")]).await, 60310, 429, "");
        let sid = factor["sid"].as_str().unwrap();
        let early = world.post(&ada(&service, "/Challenges"), &[("FactorSid", sid)]).await;
        assert_error(&early, 60318, 403, sid);
        let secret = [totp[0], totp[1], ("Binding.Secret", SECRET)];
        made(&world, &factors, &secret).await;
        assert_error(&world.post(&factors, &secret).await, 60317, 409, ADA);
        for (form, code, names) in [
            (vec![totp[0], totp[1], ("Binding.Secret", "1!")], 60314, "Binding.Secret"),
            (vec![totp[0], ("FactorType", "fax")], 60300, "FactorType"),
            (vec![totp[0], ("FactorType", "push")], 60300, "Binding.PublicKey"),
            (vec![totp[0], totp[1], ("Config.TimeStep", "5")], 60300, "Config.TimeStep"),
            (vec![totp[0], totp[1], ("Metadata", "[1]")], 60300, "Metadata"),
        ] {
            assert_error(&world.post(&factors, &form).await, code, 400, names);
        }
        let listed = world.get(&factors).await.json();
        assert_eq!(listed["factors"].as_array().unwrap().len(), 2, "{listed}");
        assert!(!listed.to_string().contains(SECRET));
        assert_eq!(world.delete(&path).await.status, 204);
        assert_eq!(world.delete(&ada(&service, "")).await.status, 204);
        assert_error(&world.get(&factors).await, 20404, 404, ADA);
        // The same secret can be somebody's again.
        made(&world, &factors, &secret).await;
        world.stop().await;
    }
}

/// A simulated device with a factor.
struct Device {
    key: Vec<u8>,
    account: String,
    kid: String,
    path: String,
    sid: String,
}

impl Device {
    fn key_pair() -> Vec<u8> {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        document.unwrap().as_ref().to_vec()
    }

    /// DER of a SubjectPublicKeyInfo, in base64.
    fn public(key: &[u8]) -> String {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key).unwrap();
        let head = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        STANDARD.encode([&head, pair.public_key().as_ref()].concat())
    }

    async fn enrol(world: &World, service: &str) -> Self {
        let tokens = at(&format!("/Services/{service}/AccessTokens"));
        let token = made(world, &tokens, &[("Identity", ADA), ("FactorType", "push")]).await;
        let login = Login::new("token", token["token"].as_str().unwrap());
        let key = Self::key_pair();
        let public = Self::public(&key);
        let form = [
            ("FriendlyName", "Ada's phone"),
            ("FactorType", "push"),
            ("Binding.Alg", "ES256"),
            ("Binding.PublicKey", public.as_str()),
            ("Config.AppId", "com.owl.app"),
            ("Config.NotificationPlatform", "fcm"),
            ("Config.NotificationToken", "an-address-of-more-than-32-characters"),
            ("Config.SdkVersion", "1.0"),
        ];
        let path = ada(service, "/Factors");
        let other = path.replace(ADA, "bob-00001");
        assert_error(&world.post_as(&login, &other, &form).await, 60313, 403, "identity");
        assert_error(&world.get_as(&login, &path).await, 70051, 401, "factors/list");
        let factor = world.post_as(&login, &path, &form).await;
        assert_eq!(factor.status, 201, "{factor:?}");
        let factor = factor.json();
        let sid = factor["sid"].as_str().unwrap().to_owned();
        let kid = factor["config"]["credential_sid"].as_str().unwrap().to_owned();
        let device =
            Self { key, account: world.sid().to_owned(), kid, path: format!("{path}/{sid}"), sid };
        let proof = STANDARD.encode(device.der(device.sid.as_bytes()));
        let forged = STANDARD.encode(device.der(b"something else"));
        let refused =
            world.post_as(&device.login(), &device.path, &[("AuthPayload", &forged)]).await;
        assert_error(&refused, 60311, 403, "");
        let verified =
            world.post_as(&device.login(), &device.path, &[("AuthPayload", &proof)]).await;
        assert_eq!(verified.text_of("status"), "verified", "{verified:?}");
        device
    }

    fn der(&self, message: &[u8]) -> Vec<u8> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.key).unwrap();
        pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    fn jwt(&self, header: &Value, payload: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(header), part(payload));
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.key).unwrap();
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn login_at(&self, now: i64) -> Login {
        let header =
            json!({"alg": "ES256", "typ": "JWT", "cty": "twilio-pba;v=1", "kid": self.kid});
        let payload = json!({"sub": self.account, "nbf": now, "exp": now + 600});
        Login::new("token", self.jwt(&header, &payload))
    }

    fn login(&self) -> Login {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        self.login_at(now.as_secs() as i64)
    }

    /// The answer to a challenge as the SDK builds it: the named fields as they came.
    async fn answer(&self, world: &World, path: &str, status: &str) -> String {
        let shown = world.get_as(&self.login(), path).await;
        let fields = shown.header("twilio-verify-signature-fields").expect("it waits").to_owned();
        let body = shown.json();
        let mut payload = serde_json::Map::new();
        for name in fields.split(',') {
            payload.insert(name.to_owned(), body[name].clone());
            assert!(body.get(name).is_some(), "{name} is not in {body}");
        }
        payload.insert("status".into(), status.into());
        self.jwt(&json!({"typ": "JWT", "alg": "ES256"}), &Value::Object(payload))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_enrols_and_answers_challenges() {
    for world in worlds().await {
        let service = service(&world).await;
        let hook = WebhookSink::start().await;
        let hooks = at(&format!("/Services/{service}/Webhooks"));
        let events =
            [("FriendlyName", "All"), ("EventTypes", "*"), ("WebhookUrl", &hook.at("/verify"))];
        made(&world, &hooks, &events).await;
        let device = Device::enrol(&world, &service).await;
        let challenges = ada(&service, "/Challenges");
        let form = [
            ("FactorSid", device.sid.as_str()),
            ("Details.Message", "Sign in?"),
            ("Details.Fields", r#"{"label":"Place","value":"Graz"}"#),
            ("HiddenDetails", r#"{"ip":"10.0.0.1"}"#),
        ];
        for (answer, status) in [("approved", "approved"), ("denied", "denied")] {
            let open = made(&world, &challenges, &form).await;
            assert_eq!(open["details"]["fields"], json!([{"label": "Place", "value": "Graz"}]));
            let path = format!("{challenges}/{}", open["sid"].as_str().unwrap());
            let jwt = device.answer(&world, &path, answer).await;
            // Another key's signature, and another challenge's answer, are nothing.
            let thief = Device {
                key: Device::key_pair(),
                account: device.account.clone(),
                kid: device.kid.clone(),
                path: device.path.clone(),
                sid: device.sid.clone(),
            };
            let payload = jwt.split('.').nth(1).unwrap();
            let payload: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
            let forged = thief.jwt(&json!({"typ": "JWT", "alg": "ES256"}), &payload);
            let refused = world.post_as(&device.login(), &path, &[("AuthPayload", &forged)]).await;
            assert_error(&refused, 60324, 403, "");
            let mut other = payload.clone();
            other["sid"] = json!("YC00000000000000000000000000000001");
            let other = device.jwt(&json!({"typ": "JWT", "alg": "ES256"}), &other);
            assert_error(
                &world.post_as(&device.login(), &path, &[("AuthPayload", &other)]).await,
                60324,
                403,
                "",
            );
            let none = device.jwt(&json!({"typ": "JWT", "alg": "none"}), &payload);
            assert_error(
                &world.post_as(&device.login(), &path, &[("AuthPayload", &none)]).await,
                60324,
                403,
                "",
            );
            assert_eq!(world.get_as(&thief.login(), &path).await.status, 401);

            let done = world.post_as(&device.login(), &path, &[("AuthPayload", &jwt)]).await;
            assert_eq!(done.text_of("status"), status, "{done:?}");
            assert_error(&world.post(&path, &[("AuthPayload", &jwt)]).await, 60322, 403, "");
            let shown = world.get(&path).await;
            assert_eq!(
                (shown.text_of("status"), shown.header("twilio-verify-signature-fields")),
                (status.into(), None)
            );
        }
        let seen = hook.wait("/verify", 4).await;
        let kinds: Vec<_> = seen.iter().filter_map(|request| request.param("type")).collect();
        for kind in ["factor.created", "factor.verified", "challenge.approved", "challenge.denied"]
        {
            assert!(kinds.iter().any(|known| known == kind), "{kinds:?}");
        }

        // A push for one that waits: three times, and only for devices that get any.
        let open = made(&world, &challenges, &form).await;
        let notify = format!("{challenges}/{}/Notifications", open["sid"].as_str().unwrap());
        for _ in 0..3 {
            let sent = made(&world, &notify, &[]).await;
            assert_eq!((&sent["priority"], &sent["ttl"]), (&json!("high"), &json!(300)));
            let sid = sent["sid"].as_str().unwrap();
            assert_eq!(world.events("push.notification", sid).await.len(), 1);
        }
        assert_error(&world.post(&notify, &[]).await, 60309, 429, "");

        let old = device.login_at(1_000_000_000);
        assert_eq!(world.get_as(&old, &device.path).await.status, 401);
        let elsewhere = ada(&service, "/Factors/YF00000000000000000000000000000001");
        assert_error(&world.get_as(&device.login(), &elsewhere).await, 20404, 404, "");
        assert_error(&world.get_as(&device.login(), &at("/Services")).await, 70051, 401, "");
        assert_eq!(
            world.send(Request::new("DELETE", &device.path).login(&device.login())).await.status,
            204
        );
        assert_eq!(world.get_as(&device.login(), &device.path).await.status, 401);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn access_tokens_expire_and_cannot_be_made_up() {
    for world in worlds().await {
        let service = service(&world).await;
        let tokens = at(&format!("/Services/{service}/AccessTokens"));
        for (form, names) in [
            (&[("FactorType", "push")][..], "Identity"),
            (&[("Identity", ADA), ("FactorType", "totp")], "FactorType"),
            (&[("Identity", ADA), ("FactorType", "push"), ("Ttl", "301")], "Ttl"),
        ] {
            assert_error(&world.post(&tokens, form).await, 60305, 400, names);
        }
        let token = made(&world, &tokens, &[("Identity", ADA), ("FactorType", "push")]).await;
        let one = world.get(&format!("{tokens}/{}", token["sid"].as_str().unwrap())).await;
        assert_eq!(one.json()["token"], Value::Null, "it is shown once");
        let path = ada(&service, "/Factors");
        let login = Login::new("token", token["token"].as_str().unwrap());
        let try_it = |login: Login| {
            let (world, path) = (&world, &path);
            async move { world.post_as(&login, path, &[]).await.status }
        };
        assert_eq!(try_it(login.clone()).await, 400);
        for bad in ["", "x", "a.b.c", &login.password[1..]] {
            assert_eq!(try_it(Login::new("token", bad)).await, 401, "{bad}");
        }
        world.advance(61).await;
        assert_eq!(try_it(login).await, 401);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entities_are_made_so_fast() {
    for world in strict_worlds().await {
        let service = service(&world).await;
        let entities = at(&format!("/Services/{service}/Entities"));
        for number in 0..40 {
            made(&world, &entities, &[("Identity", &format!("entity-{number:03}"))]).await;
        }
        let next = world.post(&entities, &[("Identity", "entity-040")]).await;
        assert_error(&next, 60328, 429, "40");
        world.stop().await;
    }
}
