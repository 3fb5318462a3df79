//! Goal: addresses, credentials of other services and ICE servers are kept and shown as they should
//! be. Method: the API from outside.

mod harness;

use harness::{account_path, assert_error, worlds};
use serde_json::{Value, json};

const OFFICE: [(&str, &str); 6] = [
    ("CustomerName", "Owl"),
    ("Street", "1 Main St"),
    ("City", "San Francisco"),
    ("Region", "CA"),
    ("PostalCode", "94105"),
    ("IsoCountry", "us"),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_address_stays_while_a_number_has_it() {
    for world in worlds().await {
        let made = world.post(&world.path("Addresses.json"), &OFFICE).await;
        assert_eq!(made.status, 201, "{made:?}");
        let address = made.text_of("sid");
        assert_eq!(made.text_of("iso_country"), "US");
        assert_eq!(
            (&made.json()["validated"], &made.json()["verified"]),
            (&json!(false), &json!(false))
        );
        for (param, value, mentions) in [
            ("Street", "", "Street"),
            ("IsoCountry", "QQ", "IsoCountry"),
            ("PostalCode", "9410", "PostalCode"),
        ] {
            let mut form = OFFICE.to_vec();
            form.retain(|(name, _)| *name != param);
            form.push((param, value));
            let reply = world.post(&world.path("Addresses.json"), &form).await;
            assert_error(&reply, 21628, 400, mentions);
        }
        let one = world.path(&format!("Addresses/{address}.json"));
        let moved = world.post(&one, &[("PostalCode", "94107"), ("FriendlyName", "HQ")]).await;
        assert_eq!((moved.status, moved.text_of("postal_code")), (200, "94107".into()));
        let listed = world.get(&world.path("Addresses.json?FriendlyName=HQ")).await.json();
        assert_eq!(listed["addresses"][0]["sid"], json!(address));

        let dependents = world.path(&format!("Addresses/{address}/DependentPhoneNumbers.json"));
        let listed = world.get(&dependents).await.json();
        assert_eq!(listed["dependent_phone_numbers"], json!([]));
        world.configure(&[("AddressSid", &address)]).await;
        let listed = world.get(&dependents).await.json();
        assert_eq!(listed["dependent_phone_numbers"][0]["phone_number"], json!(world.number));
        assert_error(&world.delete(&one).await, 20409, 409, "PN");
        world.configure(&[("AddressSid", "")]).await;
        let other = world.subaccount("Other").await;
        let theirs = account_path(&other.user, &format!("Addresses/{address}.json"));
        assert_error(&world.get_as(&other, &theirs).await, 20404, 404, "");
        assert_eq!(world.delete(&one).await.status, 204);
        assert_error(&world.get(&dependents).await, 20404, 404, "");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_kept_and_not_shown() {
    for world in worlds().await {
        let aws = "/_/accounts/v1/Credentials/AWS";
        let form = [("Credentials", "AKIA:hush-hush"), ("FriendlyName", "Backups")];
        let made = world.post(aws, &form).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert!(!made.text().contains("hush"), "{made:?}");
        assert_error(&world.post(aws, &[("Credentials", "AKIA")]).await, 20001, 400, "Credentials");
        let keys = "/_/accounts/v1/Credentials/PublicKeys";
        assert_error(&world.post(keys, &[("PublicKey", "x")]).await, 20001, 400, "PublicKey");
        let pem = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----";
        let key = world.post(keys, &[("PublicKey", pem)]).await;
        assert_eq!(key.status, 201, "{key:?}");
        let listed = world.get(aws).await.json();
        assert_eq!(listed["credentials"].as_array().map(Vec::len), Some(1), "{listed}");
        let one = format!("{aws}/{}", made.text_of("sid"));
        let named = world.post(&one, &[("FriendlyName", "Archive")]).await;
        assert_eq!(named.text_of("friendly_name"), "Archive");
        assert_eq!(world.delete(&one).await.status, 204);
        assert_eq!(world.get(&one).await.status, 404);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_name_the_operators_servers() {
    let config = "[[voice.ice_servers]]\nurl = 'stun:stun.example.com'\n\
                  [[voice.ice_servers]]\nurl = 'turn:turn.example.com'\nsecret = 'shared'";
    let config = offhook::config::Config::read_text(config).unwrap();
    for world in harness::worlds_with(&move |settings| settings.config = config.clone()).await {
        let made = world.post(&world.path("Tokens.json"), &[("Ttl", "600")]).await;
        assert_eq!((made.status, made.text_of("ttl")), (201, "600".into()), "{made:?}");
        let token = made.json();
        let servers = token["ice_servers"].as_array().unwrap();
        assert_eq!(
            servers[0],
            json!({"url": "stun:stun.example.com", "urls": "stun:stun.example.com"})
        );
        assert_eq!(
            (&servers[1]["username"], &servers[1]["credential"]),
            (&token["username"], &token["password"])
        );
        assert!(token["username"].as_str().unwrap().ends_with(world.sid()), "{token}");
        assert_ne!(token["password"], Value::Null);
        assert_error(
            &world.post(&world.path("Tokens.json"), &[("Ttl", "0")]).await,
            20001,
            400,
            "Ttl",
        );
        world.stop().await;
    }
    for world in worlds().await {
        let made = world.post(&world.path("Tokens.json"), &[]).await.json();
        assert_eq!((&made["ice_servers"], &made["ttl"]), (&json!([]), &json!("86400")));
        world.stop().await;
    }
}
