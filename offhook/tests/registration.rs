//! Goal: American traffic is registered as on Twilio: a customer profile, a brand, a campaign, the
//! numbers of its service; a toll-free verification (compliance §5–§7, §14). Method: everything
//! through the API, the vetting by moving the clock, the outcome by what dispatch would be told.

mod harness;

use std::collections::HashMap;

use harness::{WebhookSink, World, assert_error, eventually, worlds};
use kernel::Timestamp;
use messaging::{Grant, Standing};
use serde_json::{Value, json};

const USER: &str = "+14155550111";
const HOUR: u64 = 3600;

const STARTER: &str = "RN806dd6cd175f314e1f96a9727ee271f4";
const SOLE: &str = "RN670d5d2e282a6130ae063b234b6019c8";
const PRIMARY: &str = "RN6433641899984f951173ef1738c3bdd0";
const A2P: &str = "RNb0d4771c2c98518d916a3d4cd70a8f8b";

fn trust(rest: &str) -> String {
    format!("/_/trusthub/v1{rest}")
}

fn messaging(rest: &str) -> String {
    format!("/_/messaging/v1{rest}")
}

/// A created resource; its SID.
async fn made(world: &World, path: &str, form: &[(&str, &str)]) -> String {
    let reply = world.post(path, form).await;
    assert_eq!(reply.status, 201, "{path}: {reply:?}");
    reply.text_of("sid")
}

/// The resource, once `field` is `value`.
async fn reached(world: &World, path: &str, field: &str, value: &str) -> Value {
    eventually(&format!("{path}: {field} {value}"), || async {
        let json = world.get(path).await.json();
        (json[field] == value).then_some(json)
    })
    .await
}

/// Everything that a policy asks for, by kind.
fn attributes(kind: &str) -> Value {
    match kind {
        "customer_profile_business_information" => json!({
            "business_name": "Owl, Inc.", "business_identity": "direct_customer",
            "business_type": "Corporation", "business_industry": "TECHNOLOGY",
            "business_registration_identifier": "EIN",
            "business_registration_number": "12-3456789",
            "business_regions_of_operation": "USA_AND_CANADA",
            "website_url": "https://owl.example", "social_media_profile_urls": "",
        }),
        "starter_customer_profile_information" => json!({
            "first_name": "Ada", "last_name": "Byron", "email": "ada@owl.example",
            "phone_number": "+14155550100",
        }),
        "sole_proprietor_information" => json!({
            "brand_name": "Ada's", "mobile_phone_number": "+14155550100", "vertical": "RETAIL",
        }),
        "authorized_representative_1" => json!({
            "first_name": "Ada", "last_name": "Byron", "email": "ada@owl.example",
            "phone_number": "+14155550100", "business_title": "CEO", "job_position": "CEO",
        }),
        "customer_profile_address" => json!({"address_sids": "AD00000000000000000000000000000001"}),
        _ => json!({"company_type": "private"}),
    }
}

/// An end user or document; its SID.
async fn party(world: &World, collection: &str, kind: &str) -> String {
    let attributes = attributes(kind).to_string();
    let form = [("FriendlyName", "part"), ("Type", kind), ("Attributes", &attributes)];
    made(world, &trust(collection), &form).await
}

async fn assign(world: &World, bundle: &str, object: &str) {
    made(world, &trust(&format!("{bundle}/EntityAssignments")), &[("ObjectSid", object)]).await;
}

/// A complete draft of a profile, and one of an A2P bundle on it; their paths.
async fn bundles(world: &World, a2p_name: &str, callback: &str) -> (String, String) {
    let form =
        |name, policy| [("FriendlyName", name), ("Email", "a@b.example"), ("PolicySid", policy)];
    let mut with_callback = form("Owl", PRIMARY).to_vec();
    with_callback.push(("StatusCallback", callback));
    let profile = made(world, &trust("/CustomerProfiles"), &with_callback).await;
    let profile_path = format!("/CustomerProfiles/{profile}");
    for (collection, kind) in [
        ("/EndUsers", "customer_profile_business_information"),
        ("/EndUsers", "authorized_representative_1"),
        ("/SupportingDocuments", "customer_profile_address"),
    ] {
        let part = party(world, collection, kind).await;
        assign(world, &profile_path, &part).await;
    }
    let a2p = made(world, &trust("/TrustProducts"), &form(a2p_name, A2P)).await;
    let a2p_path = format!("/TrustProducts/{a2p}");
    let part = party(world, "/EndUsers", "us_a2p_messaging_profile_information").await;
    assign(world, &a2p_path, &part).await;
    assign(world, &a2p_path, &profile).await;
    (profile_path, a2p_path)
}

async fn submit(world: &World, bundle: &str) {
    let reply = world.post(&trust(bundle), &[("Status", "pending-review")]).await;
    assert_eq!(
        (reply.status, reply.text_of("status")),
        (200, "pending-review".into()),
        "{reply:?}"
    );
}

fn sid_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// An approved brand of a score.
async fn brand(world: &World, score: u32) -> String {
    let (profile, a2p) = bundles(world, &format!("Score {score}"), "").await;
    submit(world, &profile).await;
    submit(world, &a2p).await;
    world.advance(600).await;
    for bundle in [&profile, &a2p] {
        reached(world, &trust(bundle), "status", "twilio-approved").await;
    }
    let form =
        [("CustomerProfileBundleSid", sid_of(&profile)), ("A2PProfileBundleSid", sid_of(&a2p))];
    let brand = made(world, &messaging("/a2p/BrandRegistrations"), &form).await;
    world.advance(600).await;
    let path = messaging(&format!("/a2p/BrandRegistrations/{brand}"));
    reached(world, &path, "status", "APPROVED").await;
    brand
}

async fn service(world: &World, number: &str) -> String {
    let service = made(world, &messaging("/Services"), &[("FriendlyName", "Test")]).await;
    let sid = world.number_sid(number).await;
    let path = messaging(&format!("/Services/{service}/PhoneNumbers"));
    assert_eq!(world.post(&path, &[("PhoneNumberSid", &sid)]).await.status, 201);
    service
}

/// A complete campaign, with some parameters of its own.
fn campaign<'a>(brand: &'a str, own: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut form = vec![
        ("BrandRegistrationSid", brand),
        ("Description", "Codes for people who sign in to our shop at owl.example"),
        ("MessageFlow", "People ask for a code on the sign-in page of owl.example"),
        ("MessageSamples", "Your Owl code is 123456"),
        ("MessageSamples", "Your new Owl code is 654321"),
        ("UsAppToPersonUsecase", "2FA"),
        ("HasEmbeddedLinks", "false"),
        ("HasEmbeddedPhone", "false"),
    ];
    form.retain(|(name, _)| !own.iter().any(|(other, _)| other == name));
    form.extend(own.iter().filter(|(_, value)| !value.is_empty()));
    form
}

async fn standing(world: &World, from: &str) -> Standing {
    let platform = world.platform();
    let store = platform.store.account(world.sid().parse().unwrap());
    platform.messaging.standing(&store, from, USER, None).await.unwrap()
}

const fn refused(code: u32) -> Standing {
    Standing::Refused { code }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unregistered_number_becomes_registered() {
    for world in worlds().await {
        let service = service(&world, &world.number).await;
        assert_eq!(standing(&world, &world.number).await, refused(30034));
        let brand = brand(&world, 80).await;
        let shown = world.get(&messaging(&format!("/a2p/BrandRegistrations/{brand}"))).await.json();
        assert_eq!(
            (&shown["brand_score"], &shown["identity_status"]),
            (&json!(80), &json!("VERIFIED"))
        );
        assert!(shown["tcr_id"].as_str().is_some_and(|id| id.len() == 7), "{shown}");
        assert!(shown["links"]["brand_vettings"].as_str().unwrap().ends_with("/Vettings"));

        let path = messaging(&format!("/Services/{service}/Compliance/Usa2p"));
        let created = world.post(&path, &campaign(&brand, &[])).await;
        assert_eq!(created.status, 201, "{created:?}");
        let json = created.json();
        assert_eq!((&json["campaign_status"], &json["mock"]), (&json!("PENDING"), &json!(false)));
        assert_eq!(json["help_keywords"], json!(["HELP", "INFO"]));
        let again = world.post(&path, &campaign(&brand, &[])).await;
        assert_error(&again, 20409, 409, "UsAppToPerson");
        let sid = created.text_of("sid");
        let instance = format!("{path}/{sid}");
        world.advance(HOUR).await;
        reached(&world, &instance, "campaign_status", "IN_PROGRESS").await;
        assert_eq!(standing(&world, &world.number).await, refused(30034));
        world.advance(23 * HOUR).await;
        let verified = reached(&world, &instance, "campaign_status", "VERIFIED").await;
        assert_eq!(
            verified["rate_limits"],
            json!({"att": {"mps": 75, "msg_class": "A"}, "tmobile": {"brand_tier": "TOP"}})
        );
        let registered = messaging(&format!("/Services/{service}"));
        assert_eq!(world.get(&registered).await.json()["us_app_to_person_registered"], true);
        assert_eq!(standing(&world, &world.number).await, refused(30035));
        world.advance(301).await;
        assert_eq!(
            standing(&world, &world.number).await,
            Standing::Campaign(Grant {
                campaign: sid.clone(),
                brand: brand.clone(),
                mps: 225.0,
                daily_cap: 200_000,
            })
        );
        let listed = world.get(&path).await.json();
        assert_eq!(listed["compliance"][0]["sid"], sid.as_str());
        // The service that sends may be known already; abroad nobody asks.
        let platform = world.platform();
        let store = platform.store.account(world.sid().parse().unwrap());
        for (to, service, is_exempt) in [
            (USER, Some(&*service), false),
            ("+447400123456", None, true),
            ("+16045550100", None, true),
            ("whatsapp:+14155550111", None, true),
        ] {
            let found = platform.messaging.standing(&store, &world.number, to, service).await;
            assert_eq!(found.unwrap() == Standing::Exempt, is_exempt, "{to}");
        }

        assert_eq!(world.delete(&instance).await.status, 204);
        assert_eq!(world.get(&registered).await.json()["us_app_to_person_registered"], false);
        assert_eq!(standing(&world, &world.number).await, refused(30034));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_believes_complete_bundles_only() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let (profile, _) = bundles(&world, "A2P", &sink.at("/status")).await;
        let evaluated =
            world.post(&trust(&format!("{profile}/Evaluations")), &[("PolicySid", PRIMARY)]).await;
        assert_eq!((evaluated.status, evaluated.text_of("status")), (201, "compliant".into()));
        assert_eq!(evaluated.json()["customer_profile_sid"], sid_of(&profile));
        let path = trust(&profile);
        for (form, code) in [
            (vec![("Status", "twilio-approved")], 22203),
            (vec![("Status", "nonsense")], 22203),
            (vec![("Status", "pending-review"), ("FriendlyName", "x")], 22204),
        ] {
            assert_error(&world.post(&path, &form).await, code, 400, "");
        }
        submit(&world, &profile).await;
        world.advance(60).await;
        reached(&world, &path, "status", "in-review").await;
        world.advance(540).await;
        reached(&world, &path, "status", "twilio-approved").await;
        let seen = sink.wait("/status", 3).await;
        let statuses: Vec<_> = seen.iter().map(|post| post.value("Status")).collect();
        assert_eq!(statuses, ["pending-review", "in-review", "twilio-approved"]);
        assert_eq!(seen[0].value("BundleSid"), sid_of(&profile));

        let form = [("FriendlyName", "Bare"), ("Email", "a@b.example"), ("PolicySid", A2P)];
        let bare =
            format!("/TrustProducts/{}", made(&world, &trust("/TrustProducts"), &form).await);
        let named = [("FriendlyName", "Reject us"), form[1], form[2]];
        let named = made(&world, &trust("/TrustProducts"), &named).await;
        let named = format!("/TrustProducts/{named}");
        submit(&world, &bare).await;
        submit(&world, &named).await;
        world.advance(600).await;
        let rejected = reached(&world, &trust(&bare), "status", "twilio-rejected").await;
        let codes: HashMap<_, _> = rejected["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| (error["code"].as_u64(), error["description"].clone()))
            .collect();
        assert!(codes.contains_key(&Some(22214)), "{rejected}");
        let rejected = reached(&world, &trust(&named), "status", "twilio-rejected").await;
        assert!(rejected["errors"][0]["description"].as_str().unwrap().contains("Reject us"));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_hub_refuses_what_cannot_be() {
    for world in worlds().await {
        let (profile, a2p) = bundles(&world, "A2P", "").await;
        let entities = trust(&format!("{profile}/EntityAssignments"));
        for (path, form, code, status) in [
            (trust("/EndUsers"), vec![("FriendlyName", "x"), ("Type", "x")], 22212, 400),
            (trust("/SupportingDocuments"), vec![("FriendlyName", "x")], 22210, 400),
            (trust("/SupportingDocuments"), vec![("Type", "x")], 22211, 400),
            (
                trust("/EndUsers"),
                vec![("FriendlyName", "x"), ("Type", "cnam_information"), ("Attributes", "{")],
                22207,
                400,
            ),
            (
                entities.clone(),
                vec![("ObjectSid", "SM00000000000000000000000000000001")],
                22206,
                400,
            ),
            (
                entities.clone(),
                vec![("ObjectSid", "IT00000000000000000000000000000001")],
                22205,
                400,
            ),
            (
                trust("/CustomerProfiles"),
                vec![
                    ("FriendlyName", "x"),
                    ("Email", "x"),
                    ("PolicySid", "RN00000000000000000000000000000001"),
                ],
                20001,
                400,
            ),
            (trust("/ComplianceInquiries/Customers/Initialize"), vec![], 20404, 404),
            (trust("/ComplianceInquiries/Tollfree/Initialize"), vec![], 20404, 404),
        ] {
            assert_error(&world.post(&path, &form).await, code, status, "");
        }
        let listed = world.get(&format!("{entities}?ObjectType=authorized_representative_1")).await;
        let listed = listed.json();
        assert_eq!(listed["results"].as_array().unwrap().len(), 1, "{listed}");

        let number = world.number_sid(&world.number).await;
        let endpoints = trust(&format!("{a2p}/ChannelEndpointAssignments"));
        let form = [("ChannelEndpointType", "phone-number"), ("ChannelEndpointSid", &*number)];
        made(&world, &endpoints, &form).await;
        assert_error(&world.post(&endpoints, &form).await, 20409, 409, "");
        for (sids, count) in [(number.as_str(), 1), ("PN00000000000000000000000000000001", 0)] {
            let found = world.get(&format!("{endpoints}?ChannelEndpointSids={sids}")).await.json();
            assert_eq!(found["results"].as_array().unwrap().len(), count, "{found}");
        }
        let types = world.get(&trust("/EndUserTypes?PageSize=3")).await.json();
        assert_eq!(types["end_user_types"].as_array().unwrap().len(), 3);
        let next = types["meta"]["next_page_url"].as_str().unwrap();
        let next = next.split_once("/_/").unwrap().1;
        let second = world.get(&format!("/_/{next}")).await.json();
        assert_ne!(second["end_user_types"][0]["sid"], types["end_user_types"][0]["sid"]);
        let policy = world.get(&trust(&format!("/Policies/{A2P}"))).await.json();
        assert_eq!(
            policy["requirements"]["end_user"][0]["type"],
            "us_a2p_messaging_profile_information"
        );

        assert_eq!(world.delete(&trust(&profile)).await.status, 204);
        assert_eq!(world.get(&entities).await.status, 404);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brands_fail_are_sent_again_and_are_vetted() {
    for world in worlds().await {
        let brands = messaging("/a2p/BrandRegistrations");
        let (profile, a2p) = bundles(&world, "Fail TAX_ID", "").await;
        let form = [
            ("CustomerProfileBundleSid", sid_of(&profile)),
            ("A2PProfileBundleSid", sid_of(&a2p)),
            ("Mock", "true"),
        ];
        let swapped = [(form[0].0, form[1].1), (form[1].0, form[0].1)];
        assert_error(&world.post(&brands, &swapped).await, 20001, 400, "CustomerProfileBundleSid");
        let starter = [&form[..], &[("BrandType", "STARTER")]].concat();
        assert_error(&world.post(&brands, &starter).await, 21726, 503, "STARTER");
        let path = format!("{brands}/{}", made(&world, &brands, &form).await);
        assert_error(&world.post(&path, &[]).await, 21725, 400, "PENDING");
        for round in 0..4 {
            world.advance(600).await;
            let failed = reached(&world, &path, "status", "FAILED").await;
            assert_eq!(failed["brand_feedback"], json!(["TAX_ID"]));
            let again = world.post(&path, &[]).await;
            if round < 3 {
                assert_eq!((again.status, again.text_of("status")), (202, "PENDING".into()));
            } else {
                assert_error(&again, 21724, 400, "3 times");
            }
        }
        let vettings = format!("{path}/Vettings");
        let aegis = [("VettingProvider", "aegis")];
        assert_error(&world.post(&vettings, &aegis).await, 21717, 400, "FAILED");

        let good = brand(&world, 10).await;
        let path = format!("{brands}/{good}");
        let vettings = format!("{path}/Vettings");
        let political = [("VettingProvider", "campaign-verify"), ("VettingId", "token")];
        assert_error(&world.post(&vettings, &political).await, 21722, 400, "cv|");
        assert_error(&world.post(&format!("{path}/SmsOtp"), &[]).await, 21717, 400, &good);
        let vetting = world.post(&vettings, &aegis).await;
        assert_eq!((vetting.status, vetting.text_of("vetting_status")), (201, "PENDING".into()));
        assert_error(&world.post(&vettings, &aegis).await, 21723, 409, &good);
        world.advance(600).await;
        let sid = vetting.text_of("brand_vetting_sid");
        reached(&world, &format!("{vettings}/{sid}"), "vetting_status", "SUCCESS").await;
        let vetted = world.get(&path).await.json();
        assert_eq!(vetted["identity_status"], "VETTED_VERIFIED");
        assert!(vetted["brand_score"].as_i64().unwrap() >= 10);
        let listed = world.get(&format!("{vettings}?VettingProvider=campaign-verify")).await.json();
        assert_eq!(listed["data"], json!([]));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sole_proprietor_builds_on_a_starter_profile() {
    for mut world in worlds().await {
        let (primary, _) = bundles(&world, "A2P", "").await;
        let draft = async |collection: &str, policy: &str| {
            let form = [("FriendlyName", "Ada"), ("Email", "a@b.example"), ("PolicySid", policy)];
            format!("{collection}/{}", made(&world, &trust(collection), &form).await)
        };
        let starter = draft("/CustomerProfiles", STARTER).await;
        let person = party(&world, "/EndUsers", "starter_customer_profile_information").await;
        let address = party(&world, "/SupportingDocuments", "customer_profile_address").await;
        for part in [&*person, &*address, sid_of(&primary)] {
            assign(&world, &starter, part).await;
        }
        let a2p = draft("/TrustProducts", SOLE).await;
        let business = party(&world, "/EndUsers", "sole_proprietor_information").await;
        assign(&world, &a2p, &business).await;
        assign(&world, &a2p, sid_of(&starter)).await;
        // Each builds on the one before, which must be submitted at least.
        for bundle in [&primary, &starter, &a2p] {
            submit(&world, bundle).await;
        }
        world.advance(600).await;
        for bundle in [&primary, &starter, &a2p] {
            reached(&world, &trust(bundle), "status", "twilio-approved").await;
        }
        let brands = messaging("/a2p/BrandRegistrations");
        let form = [
            ("CustomerProfileBundleSid", sid_of(&starter)),
            ("A2PProfileBundleSid", sid_of(&a2p)),
            ("BrandType", "SOLE_PROPRIETOR"),
        ];
        let wrong = format!("{brands}/{}", made(&world, &brands, &form[..2]).await);
        let brand = made(&world, &brands, &form).await;
        let path = format!("{brands}/{brand}");
        let proof = world.post(&format!("{path}/SmsOtp"), &[]).await;
        assert_eq!((proof.status, proof.text_of("brand_registration_sid")), (201, brand.clone()));
        world.advance(600).await;
        let failed = reached(&world, &wrong, "status", "FAILED").await;
        assert!(failed["failure_reason"].as_str().unwrap().contains("another type"), "{failed}");
        let approved = reached(&world, &path, "status", "APPROVED").await;
        assert_eq!(
            (&approved["brand_score"], &approved["identity_status"]),
            (&Value::Null, &json!("SELF_DECLARED"))
        );
        let political = [("VettingProvider", "campaign-verify"), ("VettingId", "cv|1.0|tcr")];
        assert_error(
            &world.post(&format!("{path}/Vettings"), &political).await,
            21721,
            400,
            &brand,
        );

        let service = service(&world, &world.number).await;
        let path = messaging(&format!("/Services/{service}/Compliance/Usa2p"));
        let own = [("UsAppToPersonUsecase", "SOLE_PROPRIETOR")];
        let sid = made(&world, &path, &campaign(&brand, &own)).await;
        world.advance(24 * HOUR).await;
        reached(&world, &format!("{path}/{sid}"), "campaign_status", "VERIFIED").await;
        world.advance(301).await;
        let found = standing(&world, &world.number).await;
        assert!(
            matches!(&found, Standing::Campaign(grant)
                if (grant.mps, grant.daily_cap) == (1.0, 1000)),
            "{found:?}"
        );

        // The grant is the campaign's: a second number does not make it faster.
        let (second, other) = world.buy(&world.login, "415").await;
        let numbers = messaging(&format!("/Services/{service}/PhoneNumbers"));
        assert_eq!(world.post(&numbers, &[("PhoneNumberSid", &second)]).await.status, 201);
        world.advance(301).await;
        world.restart(&|settings| settings.enforce_registration = true).await;
        let mut sent = Vec::new();
        for number in [&*world.number, &*other].repeat(2) {
            let form = [("From", number), ("To", USER), ("Body", "x")];
            sent.push(world.post(&world.path("Messages.json"), &form).await.text_of("sid"));
        }
        let mut times = Vec::new();
        for sid in &sent {
            let message = world.reached(sid, "delivered").await;
            times.push(Timestamp::parse(message["date_sent"].as_str().unwrap()).unwrap());
        }
        // Times on the wire have whole seconds.
        assert!(times[3].since(times[0]).as_secs() >= 2, "{times:?}");

        // The brand's day is used up half, and then whole.
        for (used, outcome, warning) in
            [(499_i64, "delivered", Some(30025)), (1000, "failed", None)]
        {
            let platform = world.platform();
            let store = platform.store.account(world.sid().parse().unwrap());
            let mut batch = store.batch();
            let (name, day) = (format!("day/{brand}"), platform.clock.now().date_pacific());
            batch.run(
                "UPDATE counter SET used = $4 WHERE account_sid = $1 AND name = $2
                 AND period = $3",
                vec![name.into(), day.into(), used.into()],
            );
            store.commit(batch).await.unwrap();
            let sid = world.sent(&[("To", USER), ("Body", "x")]).await;
            let message = world.reached(&sid, outcome).await;
            match warning {
                Some(code) => assert_eq!(world.alert(&sid, code).await["data"]["level"], "warning"),
                None => assert_eq!(message["error_code"], 30027),
            }
        }
        world.advance(24 * HOUR).await;
        world.delivered(&[("To", USER), ("Body", "a new day")]).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn campaigns_are_checked_rejected_corrected_and_suspended() {
    for world in worlds().await {
        let brand = brand(&world, 60).await;
        let service = service(&world, &world.number).await;
        let path = messaging(&format!("/Services/{service}/Compliance/Usa2p"));
        let long = "x".repeat(2049);
        for (own, code) in [
            (("Description", ""), 21727),
            (("Description", "too short"), 21728),
            (("MessageFlow", long.as_str()), 21728),
            (("MessageSamples", "only one sample, which is too few"), 21728),
            (("HelpMessage", "HELP"), 21728),
            (("UsAppToPersonUsecase", "NONSENSE"), 21720),
            (("UsAppToPersonUsecase", "SOLE_PROPRIETOR"), 21719),
            (("BrandRegistrationSid", "BN00000000000000000000000000000001"), 21717),
        ] {
            let form = campaign(&brand, &[own]);
            assert_error(&world.post(&path, &form).await, code, 400, "");
        }
        let uses = world.get(&format!("{path}/Usecases?BrandRegistrationSid={brand}")).await.json();
        assert_eq!(uses["us_app_to_person_usecases"].as_array().unwrap().len(), 20);

        let bad = "Reject 30896 this campaign, which says nothing of its opt-in";
        let sid = made(&world, &path, &campaign(&brand, &[("Description", bad)])).await;
        let instance = format!("{path}/{sid}");
        let better = "Suspend this campaign when it has been verified for an hour";
        let mut edit = campaign(&brand, &[("Description", better)]);
        edit.extend([("AgeGated", "false"), ("DirectLending", "false")]);
        assert_error(&world.post(&instance, &edit).await, 20409, 409, "PENDING");
        world.advance(24 * HOUR).await;
        let failed = reached(&world, &instance, "campaign_status", "FAILED").await;
        assert_eq!(failed["errors"][0]["error_code"], 30896);
        assert_eq!(standing(&world, &world.number).await, refused(30034));
        let corrected = world.post(&instance, &edit).await;
        assert_eq!(
            (corrected.status, corrected.text_of("campaign_status")),
            (200, "PENDING".into()),
            "{corrected:?}"
        );
        world.advance(24 * HOUR).await;
        reached(&world, &instance, "campaign_status", "VERIFIED").await;
        world.advance(HOUR).await;
        reached(&world, &instance, "campaign_status", "SUSPENDED").await;
        assert_eq!(standing(&world, &world.number).await, refused(30033));
        assert_error(&world.post(&instance, &edit).await, 21729, 400, &sid);

        let other = made(&world, &messaging("/Services"), &[("FriendlyName", "Other")]).await;
        let external = messaging("/Services/PreregisteredUsa2p");
        let form = [("CampaignId", "CABC123"), ("MessagingServiceSid", other.as_str())];
        let brought = made(&world, &external, &form).await;
        world.advance(24 * HOUR).await;
        let path = messaging(&format!("/Services/{other}/Compliance/Usa2p/{brought}"));
        let shown = reached(&world, &path, "campaign_status", "VERIFIED").await;
        assert_eq!(
            (&shown["is_externally_registered"], &shown["campaign_id"]),
            (&json!(true), &json!("CABC123"))
        );
        let nowhere = [form[0], ("MessagingServiceSid", "MG00000000000000000000000000000001")];
        assert_error(&world.post(&external, &nowhere).await, 21701, 404, "MG");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_toll_free_number_is_verified() {
    for world in worlds().await {
        let found = world.get(&world.path("AvailablePhoneNumbers/US/TollFree.json")).await.json();
        let number = found["available_phone_numbers"][0]["phone_number"].as_str().unwrap();
        let bought =
            world.post(&world.path("IncomingPhoneNumbers.json"), &[("PhoneNumber", number)]).await;
        let number_sid = bought.text_of("sid");
        assert_eq!(standing(&world, number).await, refused(30032));
        let path = messaging("/Tollfree/Verifications");
        let local = world.number_sid(&world.number).await;
        let form = |number: &str, summary: &str| {
            [
                ("BusinessName", "Owl, Inc."),
                ("BusinessWebsite", "https://owl.example"),
                ("NotificationEmail", "a@owl.example"),
                ("UseCaseCategories", "TWO_FACTOR_AUTHENTICATION"),
                ("UseCaseSummary", summary),
                ("ProductionMessageSample", "Your code is 123456"),
                ("OptInImageUrls", "https://owl.example/opt-in.png"),
                ("OptInType", "WEB_FORM"),
                ("MessageVolume", "1,000"),
                ("TollfreePhoneNumberSid", number),
                ("ExternalReferenceId", "ours-1"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        let post = async |path: &str, form: &[(String, String)]| {
            let form: Vec<_> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            world.post(path, &form).await
        };
        assert_error(&post(&path, &form(&local, "Codes")).await, 30436, 400, &local);
        assert_error(
            &post(&path, &form(&number_sid, "Codes")[1..]).await,
            20001,
            400,
            "BusinessName",
        );
        let made = post(&path, &form(&number_sid, "Reject 30446")).await;
        assert_eq!(
            (made.status, made.text_of("status")),
            (201, "PENDING_REVIEW".into()),
            "{made:?}"
        );
        assert_eq!(made.text_of("tollfree_phone_number"), number);
        assert_error(&post(&path, &form(&number_sid, "Codes")).await, 20409, 409, "Tollfree");
        let instance = format!("{path}/{}", made.text_of("sid"));
        let edit = [("UseCaseSummary", "Codes for people who sign in"), ("EditReason", "opt-in")];
        assert_error(&world.post(&instance, &edit).await, 20409, 409, "PENDING_REVIEW");
        world.advance(24 * HOUR).await;
        let rejected = reached(&world, &instance, "status", "TWILIO_REJECTED").await;
        assert_eq!(
            (&rejected["error_code"], &rejected["edit_allowed"]),
            (&json!(30446), &json!(true))
        );
        assert_eq!(rejected["rejection_reasons"][0]["code"], 30446);
        assert_eq!(standing(&world, number).await, refused(30032));
        let corrected = world.post(&instance, &edit).await;
        assert_eq!((corrected.status, corrected.text_of("status")), (202, "PENDING_REVIEW".into()));
        world.advance(HOUR).await;
        reached(&world, &instance, "status", "IN_REVIEW").await;
        world.advance(23 * HOUR).await;
        reached(&world, &instance, "status", "TWILIO_APPROVED").await;
        assert_eq!(standing(&world, number).await, Standing::TollFree);
        for (query, count) in [
            ("Status=TWILIO_APPROVED&ExternalReferenceId=ours-1&IncludeSubAccounts=true", 1),
            ("Status=TWILIO_REJECTED", 0),
            ("TrustProductSid=BU00000000000000000000000000000001", 0),
        ] {
            let listed = world.get(&format!("{path}?{query}")).await.json();
            assert_eq!(listed["verifications"].as_array().unwrap().len(), count, "{query}");
        }
        assert_eq!(world.delete(&instance).await.status, 204);
        assert_eq!(standing(&world, number).await, refused(30032));

        // A correction may come too late.
        let late = post(&path, &form(&number_sid, "Reject")).await;
        let instance = format!("{path}/{}", late.text_of("sid"));
        world.advance(24 * HOUR).await;
        reached(&world, &instance, "status", "TWILIO_REJECTED").await;
        world.advance(8 * 24 * HOUR).await;
        assert_error(&world.post(&instance, &edit).await, 20409, 409, "any more");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deactivated_numbers_are_a_file() {
    for world in worlds().await {
        let path = messaging("/Deactivations");
        let yesterday = world.platform().clock.now().as_micros() - 86_400_000_000;
        let yesterday = kernel::Timestamp::from_micros(yesterday).date();
        for query in ["", &format!("?Date={yesterday}")] {
            let reply = world.get(&format!("{path}{query}")).await;
            assert_eq!(reply.status, 307, "{reply:?}");
            let location = reply.header("location").unwrap().to_owned();
            assert_eq!(reply.text_of("redirect_to"), location);
            let (_, file) = location.split_once("/_/").unwrap();
            let file = world.get(&format!("/_/{file}")).await;
            assert_eq!(file.header("content-type"), Some("text/plain"));
            assert_eq!(file.text().lines().count(), 3, "{file:?}");
        }
        for (date, code) in [("2020-01-01", 30113), ("2999-01-01", 30114), ("yesterday", 30115)] {
            assert_error(&world.get(&format!("{path}?Date={date}")).await, code, 400, date);
        }
        world.stop().await;
    }
}

/// Where the switch is on, an unregistered number is refused as carriers refuse it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unregistered_number_is_refused_where_that_is_asked_for() {
    for mut world in worlds().await {
        world.restart(&|settings| settings.enforce_registration = true).await;
        let sid = world.sent(&[("To", "+14155550111"), ("Body", "x")]).await;
        assert_eq!(world.reached(&sid, "failed").await["error_code"], 30034);
        let abroad = world.sent(&[("To", "+447400123456"), ("Body", "x")]).await;
        world.reached(&abroad, "delivered").await;
        world.stop().await;
    }
}
