//! Goal: what is composed is read again, in every form. Method: properties and tables.
use proptest::prelude::*;

use super::*;

const FORMS: [LongForm; 4] = [LongForm::Udh8, LongForm::Udh16, LongForm::Sar, LongForm::Payload];

fn reassemble(parts: &[Sm], alphabet: Alphabet) -> String {
    let mut reassembly = Reassembly::new(4, Duration::from_secs(60));
    for sm in parts.iter().rev() {
        let piece = read(sm, alphabet).unwrap();
        let Content::Text(text) = piece.content else { panic!("not text") };
        let Some(place) = piece.place else { return text };
        let key = GroupKey {
            from: "a".into(),
            to: "b".into(),
            reference: place.reference,
            total: place.total,
        };
        let leaving = reassembly.add(Timestamp::EPOCH, key, place.number, text);
        if let [whole] = leaving.as_slice() {
            assert!(whole.is_whole());
            return whole.parts.values().cloned().collect();
        }
    }
    panic!("never whole")
}

#[test]
fn parts_have_the_lengths_of_the_air() {
    let table = [
        ("a".repeat(160), LongForm::Udh8, vec![160]),
        ("a".repeat(161), LongForm::Udh8, vec![6 + 153, 6 + 8]),
        ("a".repeat(161), LongForm::Udh16, vec![7 + 152, 7 + 9]),
        ("a".repeat(161), LongForm::Sar, vec![153, 8]),
        ("a".repeat(161), LongForm::Payload, vec![0]),
        ("я".repeat(70), LongForm::Udh16, vec![140]),
        ("я".repeat(71), LongForm::Udh8, vec![6 + 134, 6 + 8]),
        ("я".repeat(71), LongForm::Udh16, vec![7 + 132, 7 + 10]),
    ];
    for (body, form, lengths) in table {
        let parts = compose(&Sm::default(), &body, form, Alphabet::Gsm, 0x1234).unwrap();
        let found: Vec<usize> = parts.iter().map(|sm| sm.short_message.len()).collect();
        assert_eq!(found, lengths, "{form:?}");
        assert_eq!(parts[0].esm_class & UDHI != 0, lengths.len() > 1 && form != LongForm::Sar);
    }
}

#[test]
fn headers_are_those_of_the_standard() {
    let body = "a".repeat(200);
    let of = |form| compose(&Sm::default(), &body, form, Alphabet::Gsm, 0x1234).unwrap();
    assert_eq!(of(LongForm::Udh8)[1].short_message[..6], [5, 0, 3, 0x34, 2, 2]);
    assert_eq!(of(LongForm::Udh16)[0].short_message[..7], [6, 8, 4, 0x12, 0x34, 2, 1]);
    let sar = &of(LongForm::Sar)[1].tlvs;
    assert_eq!(sar.number(tlv::SAR_MSG_REF_NUM), Some(0x1234));
    assert_eq!(sar.number(tlv::SAR_TOTAL_SEGMENTS), Some(2));
    assert_eq!(sar.number(tlv::SAR_SEGMENT_SEQNUM), Some(2));
}

#[test]
fn a_body_beyond_all_counting_is_refused() {
    let body = "a".repeat(153 * 256);
    assert_eq!(compose(&Sm::default(), &body, LongForm::Udh8, Alphabet::Gsm, 0), Err(TooLong));
}

#[test]
fn odd_headers_leave_the_text() {
    let table: [(&[u8], Option<u8>, &str); 6] = [
        (&[0, b'a'], None, "a"),
        (&[9, b'a'], None, ""),
        (&[5, 0, 3, 1, 2, 3, b'a'], None, "a"),
        (&[5, 0, 3, 1, 1, 1, b'a'], None, "a"),
        (&[2, 0x24, 0, b'a'], None, "a"),
        (&[7, 0x24, 0, 0, 3, 1, 3, 2, b'a'], Some(2), "a"),
    ];
    for (octets, number, text) in table {
        let sm = Sm { esm_class: UDHI, short_message: octets.to_vec(), ..Sm::default() };
        let piece = read(&sm, Alphabet::Gsm).unwrap();
        assert_eq!(piece.content, Content::Text(text.into()), "{octets:?}");
        assert_eq!(piece.place.map(|place| place.number), number, "{octets:?}");
    }
}

#[test]
fn messages_under_way_are_bounded_in_number_and_time() {
    let mut reassembly = Reassembly::new(2, Duration::from_secs(60));
    let key = |reference| GroupKey { from: "a".into(), to: "b".into(), reference, total: 2 };
    let at = Timestamp::from_seconds;
    assert!(reassembly.add(at(0), key(1), 1, 'x').is_empty());
    assert!(reassembly.add(at(1), key(2), 1, 'x').is_empty());
    assert!(reassembly.add(at(1), key(2), 1, 'x').is_empty(), "twice the same part");
    let crowded_out = reassembly.add(at(2), key(3), 1, 'x');
    assert_eq!(crowded_out.len(), 1);
    assert_eq!((crowded_out[0].key.reference, crowded_out[0].is_whole()), (1, false));
    assert!(reassembly.expire(at(60)).is_empty());
    assert_eq!(reassembly.expire(at(61)).len(), 1);
    assert_eq!(reassembly.len(), 1);
}

proptest! {
    #[test]
    fn every_form_gives_the_body_back(
        body in prop_oneof![".{1,600}", "[a-zA-Z0-9 {}€\\[\\]@]{1,900}", "[😀-😎é]{1,300}"],
        reference: u16,
    ) {
        for form in FORMS {
            for alphabet in [Alphabet::Gsm, Alphabet::Latin1, Alphabet::Ascii] {
                let parts = compose(&Sm::default(), &body, form, alphabet, reference).unwrap();
                prop_assert!(parts.iter().all(|sm| sm.short_message.len() <= 160));
                prop_assert_eq!(&reassemble(&parts, alphabet), &body);
            }
        }
    }

    #[test]
    fn any_user_data_is_read(
        esm_class: u8,
        data_coding: u8,
        short_message in prop::collection::vec(any::<u8>(), 0..254),
    ) {
        let _ = read(&Sm { esm_class, data_coding, short_message, ..Sm::default() }, Alphabet::Gsm);
    }
}
