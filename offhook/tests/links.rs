//! Goal: the links of a message become short ones that lead where the long ones did, and who follows
//! them is reported (messaging §14). Method: messages with `ShortenUrls`, and visits as a phone's
//! browser makes them, on the platform's own address and on a domain of the account.

mod harness;

use harness::{
    Reply, Request, WebhookSink, World, assert_error, eventually, strict_worlds, worlds,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;

const USER: &str = "+14155550111";
const LONG: &str = "https://shop.example.com/sale?id=1";
const HOST: &str = "go.example.com";
const DOMAINS: &str = "/_/messaging/v1/LinkShortening/Domains";

/// A service with the world's number in its pool.
async fn service(world: &World) -> String {
    let form = [("FriendlyName", "Shop")];
    let service = world.post("/_/messaging/v1/Services", &form).await.text_of("sid");
    let number = world.number_sid(&world.number).await;
    let members = format!("/_/messaging/v1/Services/{service}/PhoneNumbers");
    let added = world.post(&members, &[("PhoneNumberSid", &number)]).await;
    assert_eq!(added.status, 201, "{added:?}");
    service
}

async fn shortened(world: &World, service: &str, body: &str) -> Reply {
    let form = [("To", USER), ("Body", body), ("MessagingServiceSid", service)];
    world.message(&[&form[..], &[("ShortenUrls", "true")]].concat()).await
}

/// The text that arrives on the phone; the `nth` one.
async fn arrived(world: &World, service: &str, body: &str, nth: usize) -> (String, String) {
    let reply = shortened(world, service, body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let text = world.bodies(USER, nth).await[nth - 1].clone();
    (reply.text_of("sid"), text)
}

/// Somebody opens a link of a domain.
async fn visit(world: &World, method: &str, host: &str, path: &str) -> Reply {
    let request = Request::new(method, path).header("Host", host).header("User-Agent", "Phone/1");
    world.send(request).await
}

#[track_caller]
fn assert_leads(reply: &Reply, url: &str) {
    assert_eq!((reply.status, reply.header("location")), (302, Some(url)), "{reply:?}");
}

/// A domain of the main account.
async fn domain(world: &World) -> String {
    let made = world.own("POST", "link-domains", json!({"domain_name": HOST})).await;
    assert_eq!((made.status, made.text_of("domain_name")), (201, HOST.into()), "{made:?}");
    made.text_of("domain_sid")
}

/// Key and certificate, PEM, of an authority of the test.
fn certificate(host: &str) -> String {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Test authority");
    let issuer = Issuer::new(authority, KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, host);
    let key = KeyPair::generate().unwrap();
    let signed = params.signed_by(&key, &issuer).unwrap();
    format!("{}{}", key.serialize_pem(), signed.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_laptop_links_lead_over_the_platforms_own_address() {
    for world in worlds().await {
        let service = service(&world).await;
        let body = format!("Look: {LONG}, or shop.example.com!");
        let (sid, text) = arrived(&world, &service, &body, 1).await;
        let base = format!("{}/l/", world.url);
        let parts: Vec<&str> = text.split(&base).collect();
        assert_eq!(parts.len(), 3, "{text}");
        assert_eq!((parts[0], &parts[1][10..], &parts[2][10..]), ("Look: ", ", or ", "!"));
        // What was sent is what is shown, and counted.
        let message = world.reached(&sid, "delivered").await;
        assert_eq!(
            (message["body"].as_str(), &message["num_segments"]),
            (Some(&*text), &json!("1"))
        );
        let first = format!("/l/{}", &parts[1][..10]);
        let second = format!("/l/{}", &parts[2][..10]);
        assert_leads(&visit(&world, "HEAD", "127.0.0.1", &first).await, LONG);
        assert_leads(&visit(&world, "GET", "127.0.0.1", &first).await, LONG);
        assert_leads(
            &visit(&world, "GET", "127.0.0.1", &second).await,
            "https://shop.example.com/",
        );
        let clicks = eventually("two clicks", || async {
            let clicks = world.events("link.clicked", &sid).await;
            (clicks.len() >= 2).then_some(clicks)
        })
        .await;
        // Who asks only for the head has not clicked.
        assert_eq!(clicks.len(), 2);
        assert_eq!(visit(&world, "GET", "127.0.0.1", "/l/aaaaaaaaaa").await.status, 404);
        assert_error(
            &world.message(&[("To", USER), ("Body", LONG), ("ShortenUrls", "true")]).await,
            30124,
            400,
            "MessagingServiceSid",
        );
        // A long link makes two segments, the short one makes one.
        let long = format!("{LONG}&campaign={}", "x".repeat(160));
        let (sid, _) = arrived(&world, &service, &long, 2).await;
        assert_eq!(world.reached(&sid, "delivered").await["num_segments"], "1");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_reports_its_clicks_and_leads_strangers_elsewhere() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let service = service(&world).await;
        let domain = domain(&world).await;
        let path = format!("{DOMAINS}/{domain}");
        let config =
            [("CallbackUrl", &*sink.at("/click")), ("FallbackUrl", "https://example.com/lost")];
        let made = world.post(&format!("{path}/Config"), &config).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert!(made.text_of("config_sid").starts_with("ZK"));
        let managed = world.post(&format!("{path}/RequestManagedCert"), &[]).await;
        assert_eq!((managed.status, &managed.json()["managed"]), (201, &json!(true)));
        let attached = world.post(&format!("{path}/MessagingServices/{service}"), &[]).await;
        assert_eq!(attached.status, 201, "{attached:?}");

        let (sid, text) = arrived(&world, &service, LONG, 1).await;
        let code = text.strip_prefix(&format!("https://{HOST}/")).unwrap().to_owned();
        assert_eq!(code.len(), 10);
        assert_leads(&visit(&world, "GET", HOST, &format!("/{code}")).await, LONG);
        let click = sink.first("/click").await;
        let told: serde_json::Value = serde_json::from_slice(&click.body).unwrap();
        for (member, value) in [
            ("message_sid", &*sid),
            ("account_sid", world.sid()),
            ("messaging_service_sid", &service),
            ("to", USER),
            ("from", &world.number),
            ("link", LONG),
            ("shortened_link", &text),
            ("user_agent", "Phone/1"),
        ] {
            assert_eq!(told[member], value, "{member}");
        }
        let url = format!("{}/click?{}", sink.url, click.query);
        let signature = click.header("x-twilio-signature").unwrap();
        assert!(signature::validate::<&str, &str>(&world.login.password, &url, &[], signature));

        for (host, path) in [(HOST, "/"), (HOST, "/none/such"), (HOST, "/_offhook/v1/env")] {
            assert_leads(&visit(&world, "GET", host, path).await, "https://example.com/lost");
        }
        let probe = visit(&world, "GET", HOST, "/.well-known/offhook-link-domain").await;
        assert_eq!(probe.text(), domain);
        assert_eq!(visit(&world, "POST", HOST, &format!("/{code}")).await.status, 405);
        let valid = world.get(&format!("{path}/ValidateDns")).await.json();
        assert_eq!(valid["is_valid"], false, "nobody resolves {HOST} to this test");
        assert!(valid["reason"].as_str().unwrap().contains(HOST), "{valid}");

        let plain = world.post(&format!("{path}/Config"), &[("DisableHttps", "true")]).await;
        assert_eq!(plain.status, 200, "{plain:?}");
        assert_eq!(plain.text_of("fallback_url"), "https://example.com/lost");
        let (_, text) = arrived(&world, &service, LONG, 2).await;
        assert!(text.starts_with(&format!("{HOST}/")), "{text}");
        // What is short already stays.
        let (_, again) =
            arrived(&world, &service, &format!("Again: https://{HOST}/{code}"), 3).await;
        assert_eq!(again, format!("Again: https://{HOST}/{code}"));
        // Ninety days later the link is gone.
        world.advance(90 * 86_400).await;
        assert_leads(
            &visit(&world, "GET", HOST, &format!("/{code}")).await,
            "https://example.com/lost",
        );
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_shortens_with_one_domain() {
    for world in worlds().await {
        let service = service(&world).await;
        let domain = domain(&world).await;
        let path = format!("{DOMAINS}/{domain}");
        let association = format!("{path}/MessagingServices/{service}");
        assert_eq!(world.post(&association, &[]).await.status, 201);
        assert_eq!(world.post(&association, &[]).await.status, 201);
        let of_service = "/_/messaging/v1/LinkShortening/MessagingServices";
        let shown = world.get(&format!("{of_service}/{service}/Domain")).await;
        assert_eq!(shown.text_of("domain_sid"), domain, "{shown:?}");
        let config =
            format!("/_/messaging/v1/LinkShortening/MessagingService/{service}/DomainConfig");
        assert_error(&world.get(&config).await, 20404, 404, "");
        world.post(&format!("{path}/Config"), &[("ContinueOnFailure", "true")]).await;
        let shown = world.get(&config).await.json();
        assert_eq!(
            (&shown["messaging_service_sid"], &shown["continue_on_failure"]),
            (&json!(service), &json!(true))
        );
        let other = format!("{DOMAINS}/DN{:032x}/MessagingServices/{service}", 1);
        assert_error(&world.post(&other, &[]).await, 30130, 409, &domain);
        let nobody = format!("{path}/MessagingServices/MG{:032x}", 1);
        assert_error(&world.post(&nobody, &[]).await, 21701, 404, "");
        assert_error(
            &world.post(&format!("{path}/MessagingServices/x"), &[]).await,
            30127,
            400,
            "x",
        );
        assert_error(&world.post(&format!("{DOMAINS}/x/Config"), &[]).await, 30100, 400, "x");
        for (name, code) in [("FallbackUrl", 30122), ("CallbackUrl", 30109)] {
            let reply = world.post(&format!("{path}/Config"), &[(name, "nowhere")]).await;
            assert_error(&reply, code, 400, name);
        }
        let stranger = world.subaccount("Stranger").await;
        assert_error(&world.get_as(&stranger, &format!("{path}/Config")).await, 20404, 404, "");
        assert_eq!(world.delete(&association).await.status, 204);
        assert_error(&world.delete(&association).await, 20404, 404, "");
        let again = world.own("POST", "link-domains", json!({"domain_name": HOST})).await;
        assert_error(&again, 20409, 409, HOST);
        let wrong = world.own("POST", "link-domains", json!({"domain_name": "a b"})).await;
        assert_error(&wrong, 20001, 400, "a b");
        let listed = world.own("GET", "link-domains", json!(null)).await.json();
        let expected = json!({"domain_sid": domain, "domain_name": HOST});
        assert_eq!(listed["link_domains"][0], expected);
        let one = format!("link-domains/{domain}");
        let theirs = format!("{one}?account_sid={}", stranger.user);
        assert_error(&world.own("DELETE", &theirs, json!(null)).await, 20404, 404, &domain);
        assert_eq!(world.own("DELETE", &one, json!(null)).await.status, 204);
        assert_eq!(world.get(&format!("{path}/Config")).await.status, 404);
        let anew = world.own("POST", "link-domains", json!({"domain_name": HOST})).await;
        assert_eq!(anew.status, 201, "{anew:?}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_development_a_domain_must_be_set_up() {
    for world in strict_worlds().await {
        let service = service(&world).await;
        assert_error(&shortened(&world, &service, LONG).await, 30106, 400, "domain");
        let unknown = format!("{DOMAINS}/DN{:032x}/Config", 1);
        assert_error(&world.post(&unknown, &[]).await, 30106, 400, "link-domains");
        let domain = domain(&world).await;
        let path = format!("{DOMAINS}/{domain}");
        world.post(&format!("{path}/MessagingServices/{service}"), &[]).await;
        assert_error(&shortened(&world, &service, LONG).await, 30107, 400, "certificate");

        let upload = format!("{path}/Certificate");
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec![HOST.to_owned()]).unwrap().self_signed(&key).unwrap();
        for (pem, code) in [
            (own.pem(), 30116),
            (key.serialize_pem(), 30116),
            (format!("{}{}", key.serialize_pem(), own.pem()), 30129),
            (certificate("other.example.com"), 30132),
        ] {
            assert_error(&world.post(&upload, &[("TlsCert", &pem)]).await, code, 400, "TlsCert");
        }
        assert_error(&world.post(&upload, &[]).await, 30116, 400, "TlsCert");
        let kept = world.post(&upload, &[("TlsCert", &certificate(HOST))]).await;
        assert_eq!(kept.status, 201, "{kept:?}");
        assert_eq!(kept.text_of("domain_name"), format!("https://{HOST}"));
        let v2 = world.get(&upload.replace("/v1/", "/v2/")).await.json();
        assert_eq!((&v2["managed"], &v2["requesting"]), (&json!(false), &json!(false)), "{v2}");
        let (_, text) = arrived(&world, &service, LONG, 1).await;
        assert!(text.starts_with(&format!("https://{HOST}/")), "{text}");

        // A domain that goes on sends the long link when it cannot shorten.
        assert_eq!(world.delete(&upload).await.status, 204);
        assert_error(&world.get(&upload).await, 20404, 404, "");
        assert_error(&shortened(&world, &service, LONG).await, 30107, 400, "");
        world.post(&format!("{path}/Config"), &[("ContinueOnFailure", "true")]).await;
        let (sid, text) = arrived(&world, &service, LONG, 2).await;
        assert_eq!(text, LONG);
        world.alert(&sid, 30103).await;
        world.stop().await;
    }
}
