//! Goal: SIP domains, trunks and their lists are kept, found by carriers, and guard what is called
//! (voice-api §13–§15). Method: the API from outside, and the ports that carriers ask.

mod harness;

use contracts::{SipDirectory, SipPlaceKind, SipPurpose};
use harness::{Login, Reply, World, assert_error, eventually, worlds};
use serde_json::{Value, json};

const PASSWORD: &str = "Correct-Horse-9";

fn sip(world: &World, rest: &str) -> String {
    world.path(&format!("SIP/{rest}"))
}

async fn made(world: &World, path: &str, form: &[(&str, &str)]) -> Value {
    let reply = world.post(path, form).await;
    assert_eq!(reply.status, 201, "{path}: {reply:?}");
    reply.json()
}

fn sid(value: &Value) -> String {
    value["sid"].as_str().expect("a SID").to_owned()
}

/// A list of credentials with `ann`, and one of addresses with 192.0.2.0/24.
async fn lists(world: &World) -> (String, String) {
    let path = sip(world, "CredentialLists.json");
    let credentials = sid(&made(world, &path, &[("FriendlyName", "People")]).await);
    let path = sip(world, &format!("CredentialLists/{credentials}/Credentials.json"));
    let ann = made(world, &path, &[("Username", "ann"), ("Password", PASSWORD)]).await;
    assert_eq!(ann["username"], "ann");
    assert!(!ann.to_string().contains(PASSWORD) && ann.get("password").is_none(), "{ann}");
    let path = sip(world, "IpAccessControlLists.json");
    let addresses = sid(&made(world, &path, &[("FriendlyName", "Office")]).await);
    let path = sip(world, &format!("IpAccessControlLists/{addresses}/IpAddresses.json"));
    let form = [("FriendlyName", "All"), ("IpAddress", "192.0.2.0"), ("CidrPrefixLength", "24")];
    assert_eq!(made(world, &path, &form).await["cidr_prefix_length"], 24);
    (credentials, addresses)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_found_with_what_is_mapped_to_it() {
    for world in worlds().await {
        let (credentials, addresses) = lists(&world).await;
        let form = [
            ("DomainName", "Acme.sip.twilio.com"),
            ("VoiceUrl", "https://example.com/voice"),
            ("SipRegistration", "true"),
            ("Secure", "true"),
        ];
        let domain = made(&world, &sip(&world, "Domains.json"), &form).await;
        assert_eq!(domain["domain_name"], "acme.sip.twilio.com");
        assert_eq!((&domain["auth_type"], &domain["voice_method"]), (&json!(""), &json!("POST")));
        assert_eq!(domain["byoc_trunk_sid"], Value::Null);
        let domain = sid(&domain);
        let directory = world.platform().trunking.clone();
        let place = directory.place("ACME.sip.twilio.com.").await.unwrap().expect("it is there");
        assert!(place.calls.is_closed() && place.secure && place.kind == SipPlaceKind::Domain);
        assert_eq!(
            (place.account.to_string(), place.sid.to_string()),
            (world.sid().to_owned(), domain.clone())
        );

        // The legacy path and Auth/Calls are one storage.
        let legacy = sip(&world, &format!("Domains/{domain}/CredentialListMappings.json"));
        let mapped = made(&world, &legacy, &[("CredentialListSid", &credentials)]).await;
        assert_eq!((&mapped["sid"], &mapped["domain_sid"]), (&json!(credentials), &json!(domain)));
        assert_eq!(mapped["friendly_name"], "People");
        let again = world.post(&legacy, &[("CredentialListSid", &credentials)]).await;
        assert_error(&again, 21231, 400, "mapped");
        let calls =
            sip(&world, &format!("Domains/{domain}/Auth/Calls/CredentialListMappings.json"));
        let listed = world.get(&calls).await.json();
        assert_eq!(listed["contents"][0]["sid"], json!(credentials));
        let path =
            sip(&world, &format!("Domains/{domain}/Auth/Calls/IpAccessControlListMappings.json"));
        made(&world, &path, &[("IpAccessControlListSid", &addresses)]).await;
        let path = sip(
            &world,
            &format!("Domains/{domain}/Auth/Registrations/CredentialListMappings.json"),
        );
        made(&world, &path, &[("CredentialListSid", &credentials)]).await;
        let fetched = world.get(&sip(&world, &format!("Domains/{domain}.json"))).await.json();
        assert_eq!(fetched["auth_type"], "CREDENTIAL_LIST,IP_ACL");

        let place = directory.place("acme.sip.twilio.com").await.unwrap().expect("it is there");
        assert!(place.calls.needs_password);
        assert!(place.calls.admits_address("192.0.2.9".parse().unwrap()));
        assert!(!place.calls.admits_address("198.51.100.9".parse().unwrap()));
        assert!(place.registrations.as_ref().is_some_and(|access| access.needs_password));
        for (purpose, user, expected) in [
            (SipPurpose::Call, "ann", Some(PASSWORD)),
            (SipPurpose::Registration, "ann", Some(PASSWORD)),
            (SipPurpose::Call, "bob", None),
        ] {
            let known = directory.password(&place, purpose, user).await.unwrap();
            assert_eq!(known.as_deref(), expected, "{purpose:?} {user}");
        }
        let route = directory.instructions(place.account, place.sid).await.unwrap().unwrap();
        assert_eq!(route.url.as_deref(), Some("https://example.com/voice"));

        // What is mapped stays; a domain takes its mappings with it.
        let list = sip(&world, &format!("CredentialLists/{credentials}.json"));
        assert_error(&world.delete(&list).await, 21241, 400, "mapped");
        let block = sip(&world, &format!("IpAccessControlLists/{addresses}.json"));
        assert_error(&world.delete(&block).await, 21236, 400, "mapped");
        let path = sip(&world, &format!("Domains/{domain}.json"));
        assert_eq!(world.delete(&path).await.status, 204);
        assert!(directory.place("acme.sip.twilio.com").await.unwrap().is_none());
        assert_eq!(world.delete(&list).await.status, 204);
        assert_eq!(world.delete(&block).await.status, 204);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named() {
    for world in worlds().await {
        let (credentials, addresses) = lists(&world).await;
        let people = sip(&world, &format!("CredentialLists/{credentials}/Credentials.json"));
        let office = sip(&world, &format!("IpAccessControlLists/{addresses}/IpAddresses.json"));
        let trunks = "/_/trunking/v1/Trunks";
        for (path, form, code, mentions) in [
            (sip(&world, "Domains.json"), vec![], 21232, "DomainName"),
            (
                sip(&world, "Domains.json"),
                vec![("DomainName", "acme.example.com")],
                21232,
                "end in",
            ),
            (
                sip(&world, "Domains.json"),
                vec![("DomainName", "a_b.sip.twilio.com")],
                21232,
                "letters",
            ),
            (sip(&world, "CredentialLists.json"), vec![("FriendlyName", "People")], 21240, "taken"),
            (
                sip(&world, "IpAccessControlLists.json"),
                vec![("FriendlyName", "Office")],
                21235,
                "taken",
            ),
            (people.clone(), vec![("Username", "bob"), ("Password", "short")], 21243, "Password"),
            (people.clone(), vec![("Username", "ann"), ("Password", PASSWORD)], 21243, "ann"),
            (people, vec![("Username", "a:b"), ("Password", PASSWORD)], 21243, "Username"),
            (
                office.clone(),
                vec![("FriendlyName", "x"), ("IpAddress", "300.1.1.1")],
                21238,
                "IPv4",
            ),
            (
                office,
                vec![("FriendlyName", "x"), ("IpAddress", "1.1.1.1"), ("CidrPrefixLength", "33")],
                21238,
                "CidrPrefixLength",
            ),
            (trunks.into(), vec![("DomainName", "acme.sip.twilio.com")], 21245, "pstn.twilio.com"),
            (trunks.into(), vec![("TransferMode", "both")], 20001, "TransferMode"),
            ("/_/voice/v1/IpRecords".into(), vec![("IpAddress", "x")], 20001, "IpAddress"),
            (
                "/_/voice/v1/ByocTrunks".into(),
                vec![("ConnectionPolicySid", "NY00000000000000000000000000000000")],
                20001,
                "ConnectionPolicySid",
            ),
            (
                "/_/voice/v1/DialingPermissions/BulkCountryUpdates".into(),
                vec![("UpdateRequest", "[{\"iso_code\":\"QQ\"}]")],
                20001,
                "QQ",
            ),
        ] {
            assert_error(&world.post(&path, &form).await, code, 400, mentions);
        }
        let unknown =
            sip(&world, "Domains/SD00000000000000000000000000000000/CredentialListMappings.json");
        assert_error(
            &world.post(&unknown, &[("CredentialListSid", &credentials)]).await,
            20404,
            404,
            "",
        );
        world.stop().await;
    }
}

/// Hosts are unique over all accounts, and nothing of one account is seen by another.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_do_not_meet() {
    for world in worlds().await {
        let other = world.subaccount("Other").await;
        let form = [("DomainName", "one.sip.twilio.com")];
        let domain = sid(&made(&world, &sip(&world, "Domains.json"), &form).await);
        let path = harness::account_path(&other.user, "SIP/Domains.json");
        assert_error(&world.post_as(&other, &path, &form).await, 21232, 400, "taken");
        let seen: Reply = world.get_as(&other, &path).await;
        assert_eq!(seen.json()["domains"], json!([]));
        let path = harness::account_path(&other.user, &format!("SIP/Domains/{domain}.json"));
        assert_error(&world.get_as(&other, &path).await, 20404, 404, "");
        let trunk =
            made(&world, "/_/trunking/v1/Trunks", &[("DomainName", "one.pstn.twilio.com")]).await;
        let reply = world
            .post_as(&other, "/_/trunking/v1/Trunks", &[("DomainName", "one.pstn.twilio.com")])
            .await;
        assert_error(&reply, 21248, 400, "taken");
        let path = format!("/_/trunking/v1/Trunks/{}", sid(&trunk));
        assert_error(&world.get_as(&other, &path).await, 20404, 404, "");
        // A renamed place gives its host back.
        let path = sip(&world, &format!("Domains/{domain}.json"));
        assert_eq!(world.post(&path, &[("DomainName", "two.sip.twilio.com")]).await.status, 200);
        let path = harness::account_path(&other.user, "SIP/Domains.json");
        assert_eq!(world.post_as(&other, &path, &form).await.status, 201);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_takes_numbers_and_has_targets() {
    for world in worlds().await {
        let (credentials, addresses) = lists(&world).await;
        let trunks = "/_/trunking/v1/Trunks";
        let form = [
            ("FriendlyName", "PBX"),
            ("DomainName", "acme.pstn.twilio.com"),
            ("DisasterRecoveryUrl", "https://example.com/down"),
        ];
        let trunk = made(&world, trunks, &form).await;
        assert_eq!(trunk["recording"], json!({"mode": "do-not-record", "trim": "do-not-trim"}));
        assert_eq!((&trunk["auth_type"], &trunk["auth_type_set"]), (&json!(""), &json!([])));
        let trunk = sid(&trunk);
        let at = |rest: &str| format!("{trunks}/{trunk}{rest}");
        made(&world, &at("/CredentialLists"), &[("CredentialListSid", &credentials)]).await;
        made(&world, &at("/IpAccessControlLists"), &[("IpAccessControlListSid", &addresses)]).await;
        let fetched = world.get(&at("")).await.json();
        assert_eq!(fetched["auth_type"], "IP_ACL,CREDENTIAL_LIST");
        assert_eq!(fetched["auth_type_set"], json!(["IP_ACL", "CREDENTIAL_LIST"]));
        let reply = world.post(&at("/Recording"), &[("Mode", "record-from-answer-dual")]).await;
        assert_eq!((reply.status, reply.text_of("mode")), (200, "record-from-answer-dual".into()));
        assert_eq!(world.get(&at("")).await.json()["recording"]["mode"], "record-from-answer-dual");
        for (uri, priority, enabled) in [
            ("sip:second.example.com", "20", "true"),
            ("sip:first.example.com", "10", "true"),
            ("sip:off.example.com", "1", "false"),
        ] {
            let form = [
                ("Weight", "10"),
                ("Priority", priority),
                ("Enabled", enabled),
                ("FriendlyName", uri),
                ("SipUrl", uri),
            ];
            made(&world, &at("/OriginationUrls"), &form).await;
        }
        let bad = [
            ("Weight", "1"),
            ("Priority", "1"),
            ("Enabled", "true"),
            ("FriendlyName", "x"),
            ("SipUrl", "tel:1"),
        ];
        assert_error(&world.post(&at("/OriginationUrls"), &bad).await, 21245, 400, "SipUrl");

        let directory = world.platform().trunking.clone();
        let place = directory.place("acme.pstn.twilio.com").await.unwrap().expect("it is there");
        assert!(place.kind == SipPlaceKind::Trunk && place.calls.needs_password);
        let targets = directory.targets(place.account, place.sid).await.unwrap();
        let uris: Vec<_> = targets.iter().map(|target| target.uri.as_str()).collect();
        assert_eq!(uris, ["sip:first.example.com", "sip:second.example.com"]);
        let recovery = directory.recovery_route(place.account, place.sid).await.unwrap().unwrap();
        assert_eq!(recovery.url.as_deref(), Some("https://example.com/down"));

        // A number belongs to the trunk, by either door.
        let number = world.number_sid(&world.number).await;
        assert!(directory.trunk_of(place.account, &world.number).await.unwrap().is_none());
        let taken = made(&world, &at("/PhoneNumbers"), &[("PhoneNumberSid", &number)]).await;
        assert_eq!(
            (&taken["trunk_sid"], &taken["phone_number"]),
            (&json!(trunk), &json!(world.number))
        );
        assert_eq!(
            directory.trunk_of(place.account, &world.number).await.unwrap(),
            Some(place.sid)
        );
        let listed = world.get(&at("/PhoneNumbers")).await.json();
        assert_eq!(listed["phone_numbers"][0]["sid"], json!(number));
        assert_error(&world.delete(&at("")).await, 21247, 400, &number);
        assert_eq!(world.delete(&at(&format!("/PhoneNumbers/{number}"))).await.status, 204);
        assert_error(&world.get(&at(&format!("/PhoneNumbers/{number}"))).await, 20404, 404, "");
        assert_eq!(world.configure(&[("TrunkSid", &trunk)]).await["trunk_sid"], json!(trunk));
        let path = world.path(&format!("IncomingPhoneNumbers/{number}.json"));
        let reply = world.post(&path, &[("TrunkSid", "TK00000000000000000000000000000000")]).await;
        assert_error(&reply, 20001, 400, "TrunkSid");
        // Who calls it reaches nobody while no carrier has the trunk.
        let reply = world.own("POST", "handsets/+14155550111/calls", json!({})).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        world.configure(&[("TrunkSid", "")]).await;
        assert_eq!(world.delete(&at("")).await.status, 204);
        assert!(directory.place("acme.pstn.twilio.com").await.unwrap().is_none());
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brought_carrier_is_known_by_its_address() {
    for world in worlds().await {
        let voice = |rest: &str| format!("/_/voice/v1/{rest}");
        let policy =
            sid(&made(&world, &voice("ConnectionPolicies"), &[("FriendlyName", "Out")]).await);
        let targets = voice(&format!("ConnectionPolicies/{policy}/Targets"));
        let target = made(&world, &targets, &[("Target", "sip:carrier.example.com")]).await;
        assert_eq!(
            (&target["priority"], &target["weight"], &target["enabled"]),
            (&json!(10), &json!(10), &json!(true))
        );
        let form =
            [("ConnectionPolicySid", policy.as_str()), ("VoiceUrl", "https://example.com/byoc")];
        let byoc = sid(&made(&world, &voice("ByocTrunks"), &form).await);
        let form = [("DomainName", "byoc.sip.twilio.com"), ("ByocTrunkSid", byoc.as_str())];
        let domain = sid(&made(&world, &sip(&world, "Domains.json"), &form).await);
        let form = [("IpAddress", "203.0.113.64"), ("CidrPrefixLength", "27")];
        let record = sid(&made(&world, &voice("IpRecords"), &form).await);
        let form = [("IpRecordSid", record.as_str()), ("SipDomainSid", domain.as_str())];
        let mapping = sid(&made(&world, &voice("SourceIpMappings"), &form).await);
        assert_error(
            &world.post(&voice("SourceIpMappings"), &form).await,
            20409,
            409,
            "203.0.113.64/27",
        );

        let directory = world.platform().trunking.clone();
        let address = "203.0.113.70".parse().unwrap();
        let place = directory.place_of_address(address).await.unwrap().expect("it is mapped");
        assert_eq!(place.sid.to_string(), domain);
        assert!(place.calls.admits_address(address) && !place.calls.needs_password);
        let elsewhere = "203.0.113.1".parse().unwrap();
        assert!(directory.place_of_address(elsewhere).await.unwrap().is_none());
        let route = directory.instructions(place.account, place.sid).await.unwrap().unwrap();
        assert_eq!(route.url.as_deref(), Some("https://example.com/byoc"));
        let trunk = byoc.parse().unwrap();
        assert_eq!(
            directory.targets(place.account, trunk).await.unwrap()[0].uri,
            "sip:carrier.example.com"
        );

        // Nothing goes while something else needs it.
        for (path, code) in [
            (voice(&format!("ConnectionPolicies/{policy}")), 21247),
            (voice(&format!("ByocTrunks/{byoc}")), 21247),
            (voice(&format!("IpRecords/{record}")), 20001),
            (sip(&world, &format!("Domains/{domain}.json")), 21233),
        ] {
            assert_error(&world.delete(&path).await, code, 400, "first");
        }
        for path in [
            voice(&format!("SourceIpMappings/{mapping}")),
            sip(&world, &format!("Domains/{domain}.json")),
            voice(&format!("IpRecords/{record}")),
            voice(&format!("ByocTrunks/{byoc}")),
            voice(&format!("ConnectionPolicies/{policy}")),
        ] {
            assert_eq!(world.delete(&path).await.status, 204, "{path}");
        }
        assert!(directory.place_of_address(address).await.unwrap().is_none());
        world.stop().await;
    }
}

async fn permit(world: &World, login: Option<&Login>, iso: &str, low: &str) {
    let form = [(
        "UpdateRequest",
        format!("[{{\"iso_code\":\"{iso}\",\"low_risk_numbers_enabled\":\"{low}\"}}]"),
    )];
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let path = "/_/voice/v1/DialingPermissions/BulkCountryUpdates";
    let reply = match login {
        Some(login) => world.post_as(login, path, &form).await,
        None => world.post(path, &form).await,
    };
    assert_eq!(
        (reply.status, reply.json()),
        (201, json!({"update_count": 1, "update_request": "accepted"}))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_permitted_is_not_called() {
    for world in worlds().await {
        let countries = "/_/voice/v1/DialingPermissions/Countries";
        let germany = world.get(&format!("{countries}/DE")).await.json();
        assert_eq!(
            (&germany["continent"], &germany["country_codes"]),
            (&json!("EUROPE"), &json!(["49"]))
        );
        assert_eq!(germany["low_risk_numbers_enabled"], true);
        let prefixes = world.get(&format!("{countries}/DE/HighRiskSpecialPrefixes")).await.json();
        assert_eq!(prefixes["content"], json!([{"prefix": "+49137"}, {"prefix": "+49900"}]));
        let page = world.get(&format!("{countries}?Continent=EUROPE&PageSize=2")).await.json();
        assert_eq!(page["content"].as_array().map(Vec::len), Some(2));
        assert!(page["meta"]["next_page_url"].is_string());

        permit(&world, None, "DE", "false").await;
        let listed = world.get(&format!("{countries}?LowRiskNumbersEnabled=false")).await.json();
        assert_eq!(listed["content"][0]["iso_code"], "DE");
        let call = |to: &'static str, twiml: &'static str| {
            let form = [("From", world.number.clone()), ("To", to.into()), ("Twiml", twiml.into())];
            let path = world.path("Calls.json");
            let world = &world;
            async move {
                let form: Vec<_> =
                    form.iter().map(|(name, value)| (*name, value.as_str())).collect();
                world.post(&path, &form).await
            }
        };
        assert_error(&call("+4930123456", "<Response/>").await, 21215, 400, "+4930123456");

        // In a document it is an alert, and the Dial has failed.
        let dial = "<Response><Dial><Number>+4930123456</Number></Dial></Response>";
        let reply = call("+14155550111", dial).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let sid = reply.text_of("sid");
        eventually("the call is over", || async {
            world.advance(1).await;
            let call = world.get(&world.path(&format!("Calls/{sid}.json"))).await.json();
            (call["status"] == "completed").then_some(())
        })
        .await;
        world.alert(&sid, 13227).await;

        // A subaccount calls where its parent may, until it says otherwise.
        let other = world.subaccount("Other").await;
        let seen = world.get_as(&other, &format!("{countries}/DE")).await.json();
        assert_eq!(seen["low_risk_numbers_enabled"], false);
        let settings = "/_/voice/v1/Settings";
        assert_eq!(
            world.get_as(&other, settings).await.json()["dialing_permissions_inheritance"],
            true
        );
        let reply =
            world.post_as(&other, settings, &[("DialingPermissionsInheritance", "false")]).await;
        assert_eq!(
            (reply.status, &reply.json()["dialing_permissions_inheritance"]),
            (202, &json!(false))
        );
        let seen = world.get_as(&other, &format!("{countries}/DE")).await.json();
        assert_eq!(seen["low_risk_numbers_enabled"], true);
        permit(&world, Some(&other), "FR", "false").await;
        let own = world.get(&format!("{countries}/FR")).await.json();
        assert_eq!(own["low_risk_numbers_enabled"], true);
        world.stop().await;
    }
}

/// The operator's own suffixes are taken beside the usual ones, in whatever case they are written.
#[tokio::test(flavor = "multi_thread")]
async fn places_may_have_the_operators_suffix() {
    let config = "[voice]\nsip_suffix = '.SIP.example.com'\ntrunk_suffix = 'pstn.example.com'\n\
                  tollfraud_prefixes = ['+3706']\nspecial_prefixes = ['+49180']";
    let config = offhook::config::Config::read_text(config).unwrap();
    for world in harness::worlds_with(&move |settings| settings.config = config.clone()).await {
        let form = [("DomainName", "acme.sip.example.com")];
        let domain = sid(&made(&world, &sip(&world, "Domains.json"), &form).await);
        let directory = world.platform().trunking.clone();
        assert!(directory.place("acme.sip.example.com").await.unwrap().is_some());
        let form = [("DomainName", "acme.pstn.example.com")];
        made(&world, "/_/trunking/v1/Trunks", &form).await;
        let path = sip(&world, &format!("Domains/{domain}.json"));
        let named = world.post(&path, &[("FriendlyName", "Acme")]).await;
        assert_eq!(named.text_of("domain_name"), "acme.sip.example.com", "{named:?}");
        let prefixes = "/_/voice/v1/DialingPermissions/Countries/DE/HighRiskSpecialPrefixes";
        let prefixes = world.get(prefixes).await.json();
        assert_eq!(prefixes["content"][1]["prefix"], "+49180");
        world.stop().await;
    }
}

/// Outside of the development profile the high risks are off until somebody says otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn high_risks_are_off_in_production() {
    for world in harness::strict_worlds().await {
        let countries = "/_/voice/v1/DialingPermissions/Countries";
        let country = world.get(&format!("{countries}/US")).await.json();
        assert_eq!(country["low_risk_numbers_enabled"], true);
        assert_eq!(country["high_risk_special_numbers_enabled"], false);
        assert_eq!(country["high_risk_tollfraud_numbers_enabled"], false);
        world.stop().await;
    }
}
