//! Goal: whatever an owner writes and whatever values come, a template answers with a message or
//! a fault, never with a panic, and fills what it says. Method: random JSON and text.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use template::{
    Category, Kind, Submission, Template, Terms, Values, placeholders, review, text_message,
    whatsapp_message,
};

fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-z {}é]{0,8}",
        Just("{{1}}".to_owned()),
        Just("{{name}}".to_owned()),
        Just("{{".to_owned()),
        Just("}}".to_owned()),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        text().prop_map(Json::from),
    ];
    let keys = prop_oneof![
        Just("body".to_owned()),
        Just("actions".to_owned()),
        Just("media".to_owned()),
        Just("title".to_owned()),
        Just("type".to_owned()),
        Just("items".to_owned()),
        Just("cards".to_owned()),
        Just("url".to_owned()),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((keys.clone(), inner), 0..4)
                .prop_map(|pairs| Json::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn values() -> impl Strategy<Value = Values> {
    let pairs = prop::collection::vec(("[1a-z]{1,4}", "[a-z{}1 \n]{1,9}"), 0..4);
    pairs.prop_map(|pairs| {
        let object: Map<String, Json> =
            pairs.into_iter().map(|(name, value)| (name, value.into())).collect();
        Values::parse(&Json::Object(object).to_string()).expect("an object of strings")
    })
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused(kind in 0..Kind::ALL.len(), json in any_json(),
        values in values(), open in any::<bool>()) {
        let types = json!({Kind::ALL[kind].name(): json});
        if let Ok(template) = Template::new("en", &json!({"1": "a"}), &types) {
            let _ = text_message(&template, &values);
            for approved_as in [None, Some("name")] {
                let _ = whatsapp_message(&template, &values,
                    Terms { is_window_open: open, approved_as });
            }
            let _ = review(&template, Submission {
                name: "name", category: Category::Utility, allow_category_change: open });
            // What was stored is read again as the same.
            let stored = Json::Object(template.types().clone());
            prop_assert_eq!(Template::new("en", &json!({"1": "a"}), &stored).ok(), Some(template));
        }
    }

    #[test]
    fn filling_replaces_exactly_what_has_a_value(text in text(), values in values()) {
        let filled = values.fill(&text);
        if placeholders(&text).iter().all(|name| values.get(name).is_none()) {
            prop_assert_eq!(&filled, &text);
        }
        let grown: i64 = placeholders(&text)
            .iter()
            .filter_map(|name| Some(values.get(name)?.len() as i64 - name.len() as i64 - 4))
            .sum();
        prop_assert_eq!(filled.len() as i64, text.len() as i64 + grown);
    }

    #[test]
    fn content_variables_never_panic(text in ".{0,64}") {
        let _ = Values::parse(&text);
    }
}
