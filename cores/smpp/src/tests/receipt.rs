//! Goal: the receipts that networks really send are understood. Method: a table of forms.
use proptest::prelude::*;

use super::*;
use crate::tlv::Tlvs;

fn text(text: &str) -> Sm {
    Sm { esm_class: ESM_CLASS, short_message: text.as_bytes().to_vec(), ..Sm::default() }
}

#[test]
fn every_text_form_is_read() {
    let table = [
        (
            "id:0123456789 sub:001 dlvrd:001 submit date:2401021530 done date:2401021531 \
             stat:DELIVRD err:000 text:Hello id:9 stat:UNDELIV",
            ("0123456789", State::Delivered, Some("000"), Some("2024-01-02T15:31:00Z")),
        ),
        (
            "ID:ab-12 SUB:001 DLVRD:000 SUBMIT DATE:240102153000 DONE DATE:240102153107 \
             STAT:UNDELIV ERR:1A2 TEXT:",
            ("ab-12", State::Undeliverable, Some("1A2"), Some("2024-01-02T15:31:07Z")),
        ),
        ("id:7 stat:expired", ("7", State::Expired, None, None)),
        ("id: 7 sub: dlvrd: stat: REJECTD err:", ("7", State::Rejected, None, None)),
        (
            "id:7,submit_date:20240102153000,done_date:20240102153107,stat:ACCEPTD",
            ("7", State::Accepted, None, Some("2024-01-02T15:31:07Z")),
        ),
        ("stat:DELIVRD id:7 Text:sub", ("7", State::Delivered, None, None)),
        ("id:7 stat:WHATEVER done date:yesterday", ("7", State::Unknown, None, None)),
        ("id:7 done date:9913992561 stat:DELIVERED", ("7", State::Delivered, None, None)),
        ("grid:3 id:7 stat:FAILED", ("7", State::Undeliverable, None, None)),
        ("", ("", State::Unknown, None, None)),
        ("été id:7 stat:DELIVRD", ("7", State::Delivered, None, None)),
    ];
    for (form, (id, state, error, done)) in table {
        let receipt = read(&text(form)).unwrap();
        assert_eq!(receipt.id, id, "{form}");
        assert_eq!(receipt.state, state, "{form}");
        assert_eq!(receipt.error.as_deref(), error, "{form}");
        assert_eq!(receipt.done_at.map(Timestamp::iso8601).as_deref(), done, "{form}");
    }
}

#[test]
fn parameters_are_believed_before_the_text() {
    let tlvs = Tlvs::default()
        .with(tlv::RECEIPTED_MESSAGE_ID, *b"abc\0")
        .with(tlv::MESSAGE_STATE, [5])
        .with(tlv::NETWORK_ERROR_CODE, [3, 0, 1]);
    let receipt = read(&Sm { tlvs: tlvs.clone(), ..text("id:7 stat:DELIVRD") }).unwrap();
    assert_eq!((receipt.id.as_str(), receipt.state), ("abc", State::Undeliverable));
    assert_eq!(receipt.fate(&[]), Fate::Undelivered(30005));
    // Without esm_class the parameter alone makes it a receipt.
    assert!(read(&Sm { esm_class: 0, tlvs, ..Sm::default() }).is_some());
    assert_eq!(read(&Sm { esm_class: 0, ..text("id:7 stat:DELIVRD") }), None);
}

#[test]
fn states_become_fates() {
    let vendor = [("01F".to_owned(), 30006)];
    let table = [
        ("stat:DELIVRD err:01F", Fate::Delivered),
        ("stat:ENROUTE", Fate::UnderWay),
        ("stat:ACCEPTD", Fate::UnderWay),
        ("stat:EXPIRED", Fate::Undelivered(30003)),
        ("stat:DELETED", Fate::Undelivered(30008)),
        ("stat:UNDELIV", Fate::Undelivered(30008)),
        ("stat:UNDELIV err:1f", Fate::Undelivered(30006)),
        ("stat:UNKNOWN", Fate::Undelivered(30008)),
        ("stat:REJECTD", Fate::Undelivered(30007)),
        ("stat:BLOCKED", Fate::Undelivered(30004)),
    ];
    for (form, fate) in table {
        assert_eq!(read(&text(form)).unwrap().fate(&vendor), fate, "{form}");
    }
    for (_, code) in MAP_ERRORS {
        assert!(kernel::lookup(*code).is_some(), "{code}");
    }
}

#[test]
fn ids_are_found_whatever_their_base() {
    let table = [
        ("00AbC", IdForm::Same, vec!["abc"]),
        ("000", IdForm::Same, vec!["0"]),
        ("26", IdForm::HexThenDecimal, vec!["1a"]),
        ("1A", IdForm::DecimalThenHex, vec!["26"]),
        ("26", IdForm::Auto, vec!["26", "1a", "38"]),
        ("zz-1", IdForm::Auto, vec!["zz-1"]),
        ("zz-1", IdForm::HexThenDecimal, vec![]),
    ];
    for (id, form, expected) in table {
        assert_eq!(candidates(id, form), expected, "{id} {form:?}");
    }
}

#[test]
fn our_own_receipts_are_read_again() {
    let at = Timestamp::from_seconds(1_704_209_460);
    let report = Report {
        id: "a1".into(),
        state: State::Expired,
        code: 30003,
        submitted_at: at,
        done_at: at,
    };
    let sm = compose(&Sm::default(), &report);
    let without_tlvs = Sm { tlvs: Tlvs::default(), ..sm.clone() };
    for sm in [sm, without_tlvs] {
        let receipt = read(&sm).unwrap();
        assert_eq!((receipt.id.as_str(), receipt.state), ("a1", State::Expired));
        assert_eq!(receipt.error.as_deref(), Some("003"));
        assert_eq!(receipt.done_at, Some(at));
    }
}

#[test]
fn dates_shift_to_utc() {
    let at = Timestamp::from_seconds(10_000);
    assert_eq!(to_utc(at, 60), Timestamp::from_seconds(6_400));
    assert_eq!(to_utc(at, -60), Timestamp::from_seconds(13_600));
}

proptest! {
    #[test]
    fn any_text_is_read(form in "(id:|stat:|text:|done date:|[ -~é]){0,40}") {
        prop_assert!(read(&text(&form)).is_some());
    }
}
