//! Goal: every document reads as documented, and none brings the reader down. Method: a table of
//! document → verbs and codes, then arbitrary bytes and arbitrary markup.

use proptest::prelude::*;
use twiml::Method;
use twiml::messaging::{self, BODY_CHARS_MAX, Document, MEDIA_MAX, MESSAGES_MAX, Message, Verb};

fn read(body: &str) -> Document {
    messaging::parse(body.as_bytes(), Some("text/xml")).unwrap()
}

/// A verb in one line: what differs from the default, in a fixed order.
fn line(verb: &Verb) -> String {
    match verb {
        Verb::Redirect { url, method } => format!("redirect {method:?} {url}"),
        Verb::Message(Message { to, from, action, method, status_callback, body, media }) => {
            let mut line = format!("message {body:?}");
            let named = [("to", to), ("from", from), ("action", action), ("sc", status_callback)];
            for (name, value) in named {
                line.extend(value.iter().map(|value| format!(" {name}={value}")));
            }
            if *method != Method::Post {
                line += " get";
            }
            line.extend(media.iter().map(|url| format!(" media={url}")));
            line
        }
    }
}

fn check(table: &[(&str, &[&str], &[u32])]) {
    for (inside, verbs, codes) in table {
        let found = read(&format!("<Response>{inside}</Response>"));
        assert_eq!(found.verbs.iter().map(line).collect::<Vec<_>>(), *verbs, "{inside}");
        let found: Vec<u32> = found.diagnostics.iter().map(|found| found.code).collect();
        assert_eq!(found, *codes, "{inside}");
    }
}

#[test]
fn messages() {
    check(&[
        ("", &[], &[]),
        ("\n  <!-- none --><?x y?>\n", &[], &[]),
        ("<Message>hi</Message>", &["message \"hi\""], &[]),
        ("<Sms>hi</Sms>", &["message \"hi\""], &[]),
        ("<Message> a &amp; b\n c </Message>", &["message \"a & b\\n c\""], &[]),
        ("<Message>a<!-- x -->b<![CDATA[<c>]]></Message>", &["message \"ab<c>\""], &[]),
        ("<Message><Body>hi</Body></Message>", &["message \"hi\""], &[]),
        ("<Message>\n<Body>a</Body>\n<Body>b</Body></Message>", &["message \"ab\""], &[]),
        (
            "<Message>hi<Media>https://a.example/1.png</Media><Media>/2.png</Media></Message>",
            &["message \"hi\" media=https://a.example/1.png media=/2.png"],
            &[],
        ),
        ("<Message><Media>/1.png</Media></Message>", &["message \"\" media=/1.png"], &[]),
        (
            "<Message to='+14155550100' from='ACME' action='/a' statusCallback='https://b.example' \
             method='get'>hi</Message>",
            &["message \"hi\" to=+14155550100 from=ACME action=/a sc=https://b.example get"],
            &[],
        ),
        (
            "<Message to='whatsapp:+14155550100' from='rcs:agent'>hi</Message>",
            &["message \"hi\" to=whatsapp:+14155550100 from=rcs:agent"],
            &[],
        ),
        (
            "<Message to='(415) 555-0100' from='12345'>hi</Message>",
            &["message \"hi\" to=(415) 555-0100 from=12345"],
            &[],
        ),
        (
            "<Message from='MG0123456789abcdef0123456789abcdef'>hi</Message><Sms>there</Sms>",
            &["message \"hi\" from=MG0123456789abcdef0123456789abcdef", "message \"there\""],
            &[],
        ),
    ]);
}

#[test]
fn redirects() {
    check(&[
        ("<Redirect>/next?a=1</Redirect>", &["redirect Post /next?a=1"], &[]),
        ("<Redirect method='GET'> next </Redirect>", &["redirect Get next"], &[]),
        ("<Redirect method='PUT'>/n</Redirect>", &["redirect Post /n"], &[13710]),
        ("<Redirect>/n</Redirect><Sms>x</Sms><Nonsense/>", &["redirect Post /n"], &[]),
        ("<Redirect/><Sms>x</Sms>", &["message \"x\""], &[11100]),
        ("<Redirect>ftp://a.example</Redirect>", &[], &[11100]),
        ("<Redirect>localhost:3000/x</Redirect>", &[], &[11100]),
        ("<Redirect>https:///x</Redirect>", &[], &[11100]),
        ("<Redirect>/n<Body/></Redirect>", &["redirect Post /n"], &[12200]),
    ]);
}

#[test]
fn what_does_not_fit_is_ignored_and_noted() {
    check(&[
        ("<Nonsense>x</Nonsense><Sms>y</Sms>", &["message \"y\""], &[12200]),
        ("<message>x</message>", &[], &[12200]),
        ("<Body>x</Body>", &[], &[12200]),
        ("hello", &[], &[12200]),
        ("<Say>x</Say><Hangup/><Sms>y</Sms>", &["message \"y\""], &[14110, 14110]),
        ("<Message colour='red' To='+1'>x</Message>", &["message \"x\""], &[12200, 12200]),
        ("<Message xml:lang='en'>x</Message>", &["message \"x\""], &[12200]),
        ("<Message><Body a='1'>x<b/></Body></Message>", &["message \"x\""], &[12200, 12200]),
        ("<Message>x<Say>y</Say></Message>", &["message \"x\""], &[12200]),
        ("<x:Message xmlns:x='urn:x'>x</x:Message>", &[], &[12200]),
    ]);
    let namespaced = read("<Response xmlns='urn:x' lang='en'><Message>x</Message></Response>");
    assert_eq!(namespaced.verbs.len(), 1);
    assert_eq!(namespaced.diagnostics[0].code, 12200);
}

#[test]
fn bad_values_are_noted() {
    check(&[
        ("<Message to='Bob'>x</Message>", &[], &[14101]),
        ("<Message to=''>x</Message>", &[], &[14101]),
        ("<Message to='whatsapp:'>x</Message>", &[], &[14101]),
        ("<Message from='Much too long a name'>x</Message>", &["message \"x\""], &[14102]),
        ("<Message from='é'>x</Message>", &["message \"x\""], &[14102]),
        ("<Message/>", &[], &[14103]),
        ("<Message><Body> </Body></Message>", &[], &[14103]),
        ("<Message method='PUT'>x</Message>", &["message \"x\""], &[14104]),
        ("<Message action='a b'>x</Message>", &["message \"x\""], &[14105]),
        ("<Message statusCallback='mailto:x'>x</Message>", &["message \"x\""], &[14105]),
        ("<Message>x<Media>ftp://a.example</Media></Message>", &["message \"x\""], &[11100]),
        ("<Message><Media/></Message>", &[], &[11100, 14103]),
    ]);
}

#[test]
fn bounds() {
    let verbs = |inside: &str| read(&format!("<Response>{inside}</Response>"));
    let codes = |document: &Document| -> Vec<u32> {
        document.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
    };

    let many = verbs(&("<Sms>x</Sms>".repeat(MESSAGES_MAX + 3) + "<Redirect>/n</Redirect>"));
    assert_eq!((many.verbs.len(), codes(&many)), (MESSAGES_MAX + 1, vec![14109]));

    let media = "<Media>/1</Media>".repeat(MEDIA_MAX + 1);
    let media = verbs(&format!("<Message>{media}</Message>"));
    assert!(matches!(&media.verbs[..], [Verb::Message(sent)] if sent.media.len() == MEDIA_MAX));
    assert_eq!(codes(&media), [12200]);

    let longest = verbs(&format!("<Message>{}</Message>", "é".repeat(BODY_CHARS_MAX)));
    assert_eq!((longest.verbs.len(), codes(&longest)), (1, vec![]));
    let longer = verbs(&format!("<Message>{}</Message>", "é".repeat(BODY_CHARS_MAX + 1)));
    assert_eq!((longer.verbs.len(), codes(&longer)), (0, vec![14103]));

    let noisy = verbs(&"<a/>".repeat(1000));
    assert_eq!(noisy.diagnostics.len(), twiml::DIAGNOSTICS_MAX);
    let wordy = verbs(&format!("<{}/>", "a".repeat(5000)));
    assert_eq!(wordy.diagnostics[0].message.len(), 300);
    let deep = verbs(&format!("{}{}", "<a>".repeat(9000), "</a>".repeat(9000)));
    assert_eq!(codes(&deep), [12200]);
}

#[test]
fn documents_that_cannot_be_read() {
    let xml = Some("text/xml; charset=utf-8");
    let namespaces = "<a xmlns:a='u'>".repeat(101);
    let table = [
        ("<Response>", xml, 12100),
        ("<Response></Responce>", xml, 12100),
        ("<Response/><Response/>", xml, 12100),
        ("Hello", xml, 12100),
        ("{}", xml, 12100),
        ("<Response><Sms>R&D</Sms></Response>", xml, 12100),
        ("<Response><Sms>&nbsp;</Sms></Response>", xml, 12100),
        ("<Response><x:Sms/></Response>", xml, 12100),
        ("<Response><Sms to='1' to='2'/></Response>", xml, 12100),
        (" <?xml version='1.0'?><Response/>", xml, 12100),
        ("<!DOCTYPE html><html></html>", Some("text/html"), 12100),
        ("<!DOCTYPE r [<!ENTITY e SYSTEM 'file:///x'>]><Response>&e;</Response>", xml, 12100),
        ("<!DOCTYPE r [<!ENTITY e 'x'>]><Response>&e;</Response>", None, 12100),
        ("<?xml version='1.1'?><Response/>", xml, 12101),
        ("<Response version='2.0'/>", xml, 12101),
        ("<response/>", xml, 12102),
        ("<html/>", Some("text/html"), 12102),
        (&namespaces, None, 12100),
        ("{}", Some("application/json"), 12300),
        ("Hello", None, 12300),
    ];
    for (body, content_type, code) in table {
        let found = messaging::parse(body.as_bytes(), content_type).unwrap_err();
        assert_eq!(found.code(), code, "{body}: {found}");
    }
}

#[test]
fn documents_that_look_odd_and_are_fine() {
    let table = [
        ("\u{FEFF}<?xml version='1.0' encoding='UTF-8'?>\n<Response><Sms>x</Sms></Response>\n", 1),
        ("\n<Response version='1.0'><Sms>x</Sms></Response><!-- end -->", 1),
        ("<?xml version='1.0' encoding='utf-16'?><Response><Sms>x</Sms></Response>", 1),
        ("", 0),
        (" \n", 0),
    ];
    for (body, count) in table {
        for content_type in [Some("application/xml"), None] {
            let found = messaging::parse(body.as_bytes(), content_type).unwrap();
            assert_eq!((found.verbs.len(), found.diagnostics.len()), (count, 0), "{body}");
        }
    }
}

#[test]
fn plain_text_is_one_reply() {
    let plain = |body: &str| messaging::parse(body.as_bytes(), Some("text/plain")).unwrap();
    assert_eq!(
        plain(" <b>hi</b>\n").verbs.iter().map(line).collect::<Vec<_>>(),
        ["message \"<b>hi</b>\""]
    );
    assert_eq!(plain(""), Document::default());
    let long = plain(&"x".repeat(BODY_CHARS_MAX + 1));
    assert_eq!((long.verbs.len(), long.diagnostics[0].code), (0, 14103));
}

#[test]
fn diagnostics_say_where_and_what_to_do() {
    let table = [
        (
            "<Response>\n  <Message statusCalback='/s'>x</Message>\n</Response>",
            "12200 at 2:12: <Message> has no attribute statusCalback; it has to, from, action, \
             method, statusCallback",
        ),
        (
            "<Response>\n<é/><message>x</message></Response>",
            "12200 at 2:5: <message> is not a verb; names are case-sensitive: write <Message>",
        ),
        (
            "<Response><Message to='Bob'>x</Message></Response>",
            "14101 at 1:20: the attribute to of <Message> is not a recipient; write a number like \
             +14155550100",
        ),
    ];
    for (body, expected) in table {
        let found = read(body).diagnostics.pop().unwrap();
        assert_eq!(found.to_string(), expected);
    }
    let fatal = messaging::parse(b"<Response>\n<Sms>R&D</Sms></Response>", None).unwrap_err();
    assert_eq!(fatal.to_string(), "12100 at 2:7: an & stands alone; write &amp;");
}

fn markup() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "<Message>",
        "</Message>",
        "<Body>",
        "</Body>",
        "<Media>",
        "</Media>",
        "<Redirect>",
        "</Redirect>",
        "<Sms to='+1'>",
        "</Sms>",
        "<Say/>",
        "/x",
        "text",
        " ",
        "&amp;",
        "&",
        "é",
        "<!-- -->",
        "<![CDATA[x]]>",
        "<Message method='x' from='é'/>",
    ]);
    prop::collection::vec(pieces, 0..30)
        .prop_map(|pieces| format!("<Response>{}</Response>", pieces.concat()))
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        body in prop::collection::vec(any::<u8>(), 0..300),
        content_type in prop::option::of("text/(xml|plain|html)(; charset=(utf-8|utf-16|latin1))?"),
    ) {
        let _ = messaging::parse(&body, content_type.as_deref());
    }

    #[test]
    fn any_header_is_read_or_refused(content_type: String) {
        let _ = messaging::parse(b"<Response/>", Some(&content_type));
    }

    #[test]
    fn any_markup_keeps_the_promises(body in markup()) {
        if let Ok(document) = messaging::parse(body.as_bytes(), None) {
            let last = document.verbs.len().saturating_sub(1);
            for (position, verb) in document.verbs.iter().enumerate() {
                match verb {
                    Verb::Message(sent) => {
                        prop_assert!(!sent.body.is_empty() || !sent.media.is_empty());
                    }
                    Verb::Redirect { .. } => prop_assert_eq!(position, last),
                }
            }
        }
    }
}
