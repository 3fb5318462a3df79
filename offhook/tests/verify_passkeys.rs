//! Goal: a passkey is registered and proves who holds it, and nothing else does (verify §8).
//! Method: a software authenticator that makes what browsers send: CBOR by hand, ES256 signatures.

mod harness;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{Reply, Request, World, assert_error, worlds};
use serde_json::{Value, json};

const ADA: &str = "ada-00001";
const ORIGIN: &str = "https://owl.example";
const CREDENTIAL: &[u8] = b"credential-of-ada";

/// A passkey on a device.
struct Authenticator {
    key: EcdsaKeyPair,
    count: u32,
}

impl Authenticator {
    fn new() -> Self {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let key = document.unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref()).unwrap();
        Self { key, count: 0 }
    }

    fn client(kind: &str, challenge: &str, origin: &str) -> Vec<u8> {
        json!({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false})
            .to_string()
            .into_bytes()
    }

    fn data(&mut self, flags: u8) -> Vec<u8> {
        self.count += 1;
        let mut data = digest(&SHA256, b"owl.example").as_ref().to_vec();
        data.push(flags);
        data.extend(self.count.to_be_bytes());
        data
    }

    /// The body of a registration.
    fn register(&mut self, challenge: &str, origin: &str) -> Value {
        let mut data = self.data(0x45);
        data.extend([0; 16]);
        data.extend((CREDENTIAL.len() as u16).to_be_bytes());
        data.extend(CREDENTIAL);
        let point = self.key.public_key().as_ref();
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..]);
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt");
        object.push(0x64);
        object.extend(b"none");
        object.push(0x67);
        object.extend(b"attStmt");
        object.push(0xa0);
        object.push(0x68);
        object.extend(b"authData");
        object.extend([0x58, data.len() as u8]);
        object.extend(data);
        let id = URL_SAFE_NO_PAD.encode(CREDENTIAL);
        json!({"id": id, "rawId": id, "authenticatorAttachment": "platform", "type": "public-key",
            "response": {
                "attestationObject": URL_SAFE_NO_PAD.encode(object),
                "clientDataJSON": URL_SAFE_NO_PAD.encode(Self::client("webauthn.create", challenge, origin)),
                "transports": ["internal"]}})
    }

    /// The body of an assertion.
    fn assert(&mut self, challenge: &str) -> Value {
        let data = self.data(0x05);
        let client = Self::client("webauthn.get", challenge, ORIGIN);
        let signed = [&data[..], digest(&SHA256, &client).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        let id = URL_SAFE_NO_PAD.encode(CREDENTIAL);
        json!({"id": id, "rawId": id, "authenticatorAttachment": "platform", "type": "public-key",
            "response": {
                "authenticatorData": URL_SAFE_NO_PAD.encode(data),
                "clientDataJSON": URL_SAFE_NO_PAD.encode(client),
                "signature": URL_SAFE_NO_PAD.encode(signature.as_ref()),
                "userHandle": ""}})
    }
}

async fn post(world: &World, service: &str, what: &str, body: &Value) -> Reply {
    let path = format!("/_/verify/v2/Services/{service}/Passkeys/{what}");
    let request = Request::new("POST", &path).login(&world.login);
    world.send(request.body("application/json", body.to_string().into_bytes())).await
}

fn challenge_of(reply: &Reply) -> String {
    let challenge = reply.json()["options"]["publicKey"]["challenge"].clone();
    challenge.as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_registered_and_used() {
    for world in worlds().await {
        let form = [
            ("FriendlyName", "Owl"),
            ("Passkeys.RelyingParty.Id", "owl.example"),
            ("Passkeys.RelyingParty.Name", "Owl"),
            ("Passkeys.RelyingParty.Origins", ORIGIN),
        ];
        let service = world.post("/_/verify/v2/Services", &form).await.text_of("sid");
        let mut device = Authenticator::new();
        let wish = json!({"friendly_name": "Ada's laptop", "identity": ADA});
        let made = post(&world, &service, "Factors", &wish).await;
        assert_eq!((made.status, made.text_of("status")), (201, "unverified".into()), "{made:?}");
        assert_eq!(made.json()["options"]["publicKey"]["rp"]["id"], "owl.example");
        let challenge = challenge_of(&made);

        let evil = device.register(&challenge, "https://evil.example");
        assert_error(&post(&world, &service, "VerifyFactor", &evil).await, 60382, 400, "origin");
        let made_up = device.register("AAAA", ORIGIN);
        assert_error(&post(&world, &service, "VerifyFactor", &made_up).await, 60390, 404, "");
        let body = device.register(&challenge, ORIGIN);
        let verified = post(&world, &service, "VerifyFactor", &body).await;
        assert_eq!(
            (verified.status, verified.text_of("status")),
            (200, "verified".into()),
            "{verified:?}"
        );
        assert_error(&post(&world, &service, "VerifyFactor", &body).await, 60390, 404, "");

        for wish in [json!({"identity": ADA}), json!({})] {
            let asked = post(&world, &service, "Challenges", &wish).await;
            assert_eq!(
                (asked.status, asked.text_of("status")),
                (201, "pending".into()),
                "{asked:?}"
            );
            assert_eq!(asked.json()["links"], Value::Null);
            let challenge = challenge_of(&asked);
            // A thief has everything but the key.
            let mut thief = Authenticator::new();
            thief.count = 100;
            let forged = thief.assert(&challenge);
            assert_error(
                &post(&world, &service, "ApproveChallenge", &forged).await,
                60381,
                400,
                "signature",
            );
            let answer = device.assert(&challenge);
            let done = post(&world, &service, "ApproveChallenge", &answer).await;
            assert_eq!((done.status, done.text_of("status")), (200, "approved".into()), "{done:?}");
            assert_eq!(done.text_of("identity"), ADA);
            assert_error(
                &post(&world, &service, "ApproveChallenge", &answer).await,
                60391,
                404,
                "",
            );
        }
        // A counter that falls behind is a copy's.
        let asked = post(&world, &service, "Challenges", &json!({"identity": ADA})).await;
        device.count = 0;
        let copy = device.assert(&challenge_of(&asked));
        assert_error(
            &post(&world, &service, "ApproveChallenge", &copy).await,
            60379,
            400,
            "counter",
        );
        device.count = 100;
        world.advance(601).await;
        let late = device.assert(&challenge_of(&asked));
        assert_error(&post(&world, &service, "ApproveChallenge", &late).await, 60384, 400, "time");

        let nobody = post(&world, &service, "Challenges", &json!({"identity": "nobody-01"})).await;
        assert_error(&nobody, 60392, 404, "nobody-01");
        let nameless = post(&world, &service, "Factors", &json!({"identity": ADA})).await;
        assert_error(&nameless, 60388, 400, "friendly_name");
        let bare = world.post("/_/verify/v2/Services", &[("FriendlyName", "Bare")]).await;
        let refused = post(&world, &bare.text_of("sid"), "Factors", &wish).await;
        assert_error(&refused, 60371, 400, "RelyingParty");
        world.stop().await;
    }
}
