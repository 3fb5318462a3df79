//! Goal: every type of the reference is read, and every limit holds exactly. Method: each type in
//! its smallest form, and each limit at its edge and one beyond.

use serde_json::{Map, Value as Json, json};
use template::{Content, Fault, Kind, Template, Values};

fn template(types: Json) -> Result<Template, Fault> {
    Template::new("en", &json!({"1": "Owl"}), &types)
}

fn code(types: Json) -> u32 {
    template(types).map_or_else(|fault| fault.code, |_| 0)
}

fn actions(count: usize, kind: &str) -> Json {
    let action =
        json!({"type": kind, "title": "x", "url": "https://a.b", "phone": "+1", "code": "c"});
    vec![action; count].into()
}

#[test]
fn every_type_is_read_in_its_smallest_form() {
    let page = json!({"id": "a", "title": "t", "layout": [{"type": "TEXT"}]});
    let card = json!({"body": "b", "media": "https://a.b/c", "actions": actions(1, "URL")});
    let types = json!({
        "twilio/text": {"body": "x"},
        "twilio/media": {"media": ["https://a.b/c.png"]},
        "twilio/location": {"latitude": 39.7, "longitude": -104.9},
        "twilio/list-picker": {"body": "b", "button": "c", "items": [{"id": "1", "item": "i"}]},
        "twilio/call-to-action": {"body": "b", "actions": actions(1, "COPY_CODE")},
        "twilio/quick-reply": {"body": "b", "actions": [{"title": "Yes"}]},
        "twilio/card": {"title": "t"},
        "twilio/catalog": {"body": "b"},
        "twilio/carousel": {"body": "b", "cards": [card, card]},
        "twilio/flows": {"body": "b", "button_text": "c", "type": "OTHER", "pages": [page]},
        "twilio/schedule": {"id": "i", "title": "t", "timeSlots": "[]"},
        "whatsapp/card": {"body": "b"},
        "whatsapp/flows": {"body": "b", "button_text": "c", "flow_id": "1"},
        "whatsapp/authentication": {"actions": [{"type": "COPY_CODE", "copy_code_text": "Copy"}]},
        "twilio/pay": {"anything": 1},
    });
    let all = template(types).unwrap();
    assert_eq!(all.kinds(), Kind::ALL);
    for kind in Kind::ALL {
        assert_ne!(all.written(kind), Some(Content::Unknown), "{kind:?}");
        assert!(all.filled(kind, &Values::default()).is_ok());
    }
}

#[test]
fn limits_are_exact() {
    let text = |length: usize| "é".repeat(length);
    let body = |kind: &str, max: usize, rest: Json| {
        for (length, expected) in [(max, 0), (max + 1, 20001), (0, 20001)] {
            let mut fields = rest.clone();
            fields["body"] = text(length).into();
            assert_eq!(code(json!({kind: fields})), expected, "{kind} {length}");
        }
    };
    body("twilio/text", 1600, json!({}));
    body("twilio/quick-reply", 1024, json!({"actions": actions(1, "QUICK_REPLY")}));
    body("twilio/list-picker", 1024, json!({"button": "b", "items": [{"id": "i", "item": "i"}]}));
    body("whatsapp/card", 1024, json!({}));
    let list = |items: usize, button: usize, item: usize, id: usize, description: usize| {
        let one = json!({"item": text(item), "id": text(id), "description": text(description)});
        code(json!({"twilio/list-picker": {
            "body": "b", "button": text(button), "items": vec![one; items]}}))
    };
    for (made, expected) in [
        (list(10, 20, 24, 200, 72), 0),
        (list(0, 20, 24, 200, 72), 20001),
        (list(11, 20, 24, 200, 72), 20001),
        (list(1, 21, 24, 200, 72), 20001),
        (list(1, 20, 25, 200, 72), 20001),
        (list(1, 20, 24, 201, 72), 20001),
        (list(1, 20, 24, 200, 73), 20001),
    ] {
        assert_eq!(made, expected);
    }
    for (count, kind, expected) in [
        (10, "QUICK_REPLY", 0),
        (11, "QUICK_REPLY", 20001),
        (0, "QUICK_REPLY", 20001),
        (1, "URL", 20001),
    ] {
        let fields = json!({"body": "b", "actions": actions(count, kind)});
        assert_eq!(code(json!({"twilio/quick-reply": fields})), expected, "{count} {kind}");
    }
    for (count, kind, expected) in [
        (2, "URL", 0),
        (3, "URL", 20001),
        (1, "PHONE_NUMBER", 0),
        (2, "PHONE_NUMBER", 20001),
        (2, "COPY_CODE", 20001),
        (1, "QUICK_REPLY", 20001),
    ] {
        let fields = json!({"body": "b", "actions": actions(count, kind)});
        assert_eq!(code(json!({"twilio/call-to-action": fields})), expected, "{count} {kind}");
    }
}

#[test]
fn carousels_have_cards_of_one_structure() {
    let card = |kind: &str, length: usize| json!({"body": "b".repeat(length), "media": "https://a.b", "actions": actions(1, kind)});
    for (cards, expected) in [
        (vec![card("URL", 160), card("URL", 1)], 0),
        (vec![card("URL", 160)], 20001),
        (vec![card("URL", 1); 11], 20001),
        (vec![card("URL", 161), card("URL", 1)], 20001),
        (vec![card("URL", 1), card("QUICK_REPLY", 1)], 20001),
    ] {
        assert_eq!(code(json!({"twilio/carousel": {"body": "b", "cards": cards}})), expected);
    }
}

#[test]
fn single_rules_of_single_types() {
    for (types, expected) in [
        (json!({"twilio/location": {"latitude": "{{1}}", "longitude": 0}}), 0),
        (json!({"twilio/location": {"latitude": "39.5", "longitude": 0}}), 0),
        (json!({"twilio/location": {"latitude": 91, "longitude": 0}}), 20001),
        (json!({"twilio/location": {"latitude": "north", "longitude": 0}}), 20001),
        (json!({"twilio/card": {"subtitle": "s"}}), 20001),
        (json!({"twilio/card": {"title": "t", "subtitle": "s".repeat(61)}}), 20001),
        (
            json!({"whatsapp/card": {"body": "b", "header_text": "h", "media": ["https://a.b"]}}),
            20001,
        ),
        (json!({"whatsapp/authentication": {"actions": []}}), 20001),
        (
            json!({"twilio/call-to-action": {"body": "b", "actions": [
            {"type": "URL", "title": "t", "url": "https://a.b/{{1}}"}]}}),
            0,
        ),
        (
            json!({"twilio/call-to-action": {"body": "b", "actions": [
            {"type": "URL", "title": "t", "url": "https://a.b/{{1}}/x"}]}}),
            20001,
        ),
        (json!({"twilio/text": {}}), 20001),
        (json!({"twilio/text": {"body": "a\0b"}}), 20001),
        (json!({"twilio/text": {"body": 1}}), 20001),
        (json!({"twilio/text": ["x"]}), 20001),
    ] {
        assert_eq!(code(types.clone()), expected, "{types}");
    }
    for (minutes, expected) in [(0, 20001), (1, 0), (90, 0), (91, 20001)] {
        let action = json!({"type": "COPY_CODE", "copy_code_text": "Copy"});
        let fields = json!({"actions": [action], "code_expiration_minutes": minutes});
        assert_eq!(code(json!({"whatsapp/authentication": fields})), expected, "{minutes}");
    }
}

#[test]
fn what_is_around_the_types_has_its_own_codes() {
    let fine = json!({"twilio/text": {"body": "x"}});
    let many: String = (0..101).map(|at| format!("{{{{v{at}}}}}")).collect();
    let samples: Map<String, Json> = (0..100).map(|at| (format!("s{at}"), "x".into())).collect();
    for (language, variables, types, expected) in [
        ("en", json!({}), fine.clone(), 0),
        ("pt_BR", Json::Null, fine.clone(), 0),
        ("zh-Hant", Json::Null, fine.clone(), 0),
        ("english", json!({}), fine.clone(), 92004),
        ("EN", json!({}), fine.clone(), 92004),
        ("en_", json!({}), fine.clone(), 92004),
        ("en", json!([]), fine.clone(), 92007),
        ("en", json!({"1": 5}), fine.clone(), 92007),
        ("en", json!({"1": null}), fine.clone(), 92007),
        ("en", json!({}), json!({}), 92001),
        ("en", json!({}), json!({"twilio/text": null}), 92001),
        ("en", json!({}), json!([1]), 92001),
        ("en", json!({}), json!({"text": {"body": "x"}}), 92008),
        ("en", json!({}), json!({"twilio/text": {"body": many}}), 92002),
        ("en", json!(samples), json!({"twilio/text": {"body": "{{1}}"}}), 92002),
        ("en", json!(samples), json!({"twilio/text": {"body": "{{s1}}"}}), 0),
    ] {
        let made = Template::new(language, &variables, &types);
        let found = made.map_or_else(|fault| fault.code, |_| 0);
        assert_eq!(found, expected, "{language} {variables} {types}");
    }
}

#[test]
fn nulls_of_sdks_are_left_out() {
    let made = template(json!({
        "twilio/text": {"body": "x"},
        "twilio/media": null,
        "twilio/card": {"title": "t", "media": null, "actions": [{"type": "URL", "title": "t",
            "url": "https://a.b", "phone": null}]},
    }))
    .unwrap();
    assert_eq!(made.kinds(), [Kind::Text, Kind::Card]);
    assert!(!Json::Object(made.types().clone()).to_string().contains("null"));
}
