use proptest::prelude::*;

use super::*;

const ALL: [Encoding; 3] = [Encoding::Pcm16, Encoding::G711(Law::Mu), Encoding::G711(Law::A)];

/// A fmt chunk and a data chunk.
fn file(fmt: &[u8], data_size: u32, data: &[u8]) -> Vec<u8> {
    let mut file = b"RIFF\0\0\0\0WAVEfmt ".to_vec();
    file.extend((fmt.len() as u32).to_le_bytes());
    file.extend(fmt);
    file.extend(b"data");
    file.extend(data_size.to_le_bytes());
    file.extend(data);
    file
}

fn fmt(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
    let align = channels.wrapping_mul(bits / 8);
    let mut out = tag.to_le_bytes().to_vec();
    out.extend(channels.to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend(rate.wrapping_mul(u32::from(align)).to_le_bytes());
    out.extend(align.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out
}

#[test]
fn a_pcm_header_is_the_44_octets_that_everyone_knows() {
    let file = write(Encoding::Pcm16, 8_000, 1, &[1, -1]).unwrap();
    assert_eq!(
        file,
        b"RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0\
          data\x04\0\0\0\x01\0\xff\xff"
    );
}

#[test]
fn laws_have_a_fact_chunk_and_padding() {
    let file = write(Encoding::G711(Law::Mu), 8_000, 1, &[0; 3]).unwrap();
    assert_eq!(file.len(), HEADER_OCTETS_MAX + 4);
    assert_eq!(u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize, file.len() - 8);
    assert_eq!(&file[38..50], b"fact\x04\0\0\0\x03\0\0\0");
    assert_eq!(read(&file).unwrap().samples, [0; 3]);
}

#[test]
fn every_encoding_is_read() {
    for (tag, bits, data, samples) in [
        (PCM, 8, &[0, 128, 255][..], &[-32_768, 0, 32_512][..]),
        (PCM, 16, &[0xFE, 0xFF, 0, 1, 9], &[-2, 256]),
        (PCM, 24, &[9, 0xFE, 0xFF, 0xFF, 0, 1], &[-2, 256]),
        (MU_LAW, 8, &[0x80, 0xFF], &[32_124, 0]),
        (A_LAW, 8, &[0xAA, 0xD5], &[32_256, 8]),
    ] {
        let bytes = file(&fmt(tag, 1, 8_000, bits), data.len() as u32, data);
        assert_eq!(read(&bytes).unwrap().samples, samples, "{tag} {bits}");
        let mut extensible = fmt(EXTENSIBLE, 1, 8_000, bits);
        extensible.extend([22, 0, bits as u8, 0, 4, 0, 0, 0]);
        extensible.extend(tag.to_le_bytes());
        extensible.extend(b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71");
        let bytes = file(&extensible, data.len() as u32, data);
        assert_eq!(read(&bytes).unwrap().samples, samples, "extensible {tag} {bits}");
    }
}

#[test]
fn hostile_headers_are_refused() {
    let with = |fmt: Vec<u8>| read(&file(&fmt, 4, &[0; 4])).unwrap_err();
    assert_eq!(read(b"RIFF\0\0\0\0AVI "), Err(WavError::NotWave));
    assert_eq!(read(b""), Err(WavError::NotWave));
    assert_eq!(read(b"RIFF\0\0\0\0WAVE"), Err(WavError::NoData));
    assert_eq!(read(b"RIFF\0\0\0\0WAVEdata\x04\0\0\0\0\0\0\0"), Err(WavError::NoFormat));
    assert_eq!(read(b"RIFF\0\0\0\0WAVELIST\xff\xff\xff\xff"), Err(WavError::NoData));
    assert_eq!(with(vec![0; 15]), WavError::Format);
    assert_eq!(with(fmt(3, 1, 8_000, 32)), WavError::Encoding { tag: 3, bits: 32 });
    assert_eq!(with(fmt(PCM, 1, 8_000, 0)), WavError::Encoding { tag: PCM, bits: 0 });
    assert_eq!(with(fmt(PCM, 0, 8_000, 16)), WavError::Channels(0));
    assert_eq!(with(fmt(PCM, 65_535, 8_000, 16)), WavError::Channels(65_535));
    assert_eq!(with(fmt(PCM, 1, 0, 16)), WavError::Rate(0));
    assert_eq!(with(fmt(PCM, 1, u32::MAX, 16)), WavError::Rate(u32::MAX));
    assert_eq!(with(fmt(EXTENSIBLE, 1, 8_000, 16)), WavError::Format);
    let mut lying = fmt(PCM, 1, 8_000, 16);
    lying[12] = 4;
    assert_eq!(with(lying), WavError::Format);
    // Chunks without end are not looked through without end.
    let mut many = b"RIFF\0\0\0\0WAVE".to_vec();
    (0..100_000).for_each(|_| many.extend(b"junk\0\0\0\0"));
    assert_eq!(read(&many), Err(WavError::NoData));
}

#[test]
fn an_interrupted_recording_can_be_heard() {
    for size in [0, u32::MAX, 1_000] {
        let bytes = file(&fmt(PCM, 2, 8_000, 16), size, &[1, 0, 2, 0, 3]);
        assert_eq!(read(&bytes).unwrap(), Wav { rate: 8_000, channels: 2, samples: vec![1, 2] });
    }
}

#[test]
fn an_empty_sound_before_other_chunks_is_empty() {
    let mut bytes = file(&fmt(PCM, 1, 8_000, 16), 0, b"LIST\x04\0\0\0INFO");
    assert_eq!(read(&bytes).unwrap().samples.len(), 6);
    let size = bytes.len() as u32 - 8;
    bytes[4..8].copy_from_slice(&size.to_le_bytes());
    assert_eq!(read(&bytes).unwrap().samples, []);
    // What is written first when streaming, and was never finished.
    let mut streamed = header(Encoding::Pcm16, 8_000, 1, 0).unwrap();
    streamed.extend([5, 0, 6, 0]);
    assert_eq!(read(&streamed).unwrap().samples, [5, 6]);
}

#[test]
fn what_is_written_is_bounded() {
    let too_long = header(Encoding::Pcm16, 8_000, 1, u32::MAX - 1);
    assert_eq!(too_long, Err(WavError::TooLong));
    assert_eq!(header(Encoding::Pcm16, 8_000, 3, 0), Err(WavError::Channels(3)));
    assert_eq!(header(Encoding::Pcm16, 1, 1, 0), Err(WavError::Rate(1)));
    assert_eq!(write(Encoding::Pcm16, 8_000, 0, &[1]), Err(WavError::Channels(0)));
}

#[test]
fn any_file_becomes_telephone_audio() {
    let wav = Wav { rate: 48_000, channels: 2, samples: vec![1_000; 96_000] };
    let samples = wav.into_telephone().unwrap();
    assert_eq!(samples.len(), 8_000);
    assert!(samples[100..7_900].iter().all(|sample| (999..=1_001).contains(sample)));
    assert_eq!(to_mono(&[i16::MAX, i16::MAX, i16::MIN, i16::MIN, 4, -2]), [i16::MAX, i16::MIN, 1]);
}

proptest! {
    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&octets);
        let mut wave = b"RIFF\0\0\0\0WAVE".to_vec();
        wave.extend(&octets);
        let _ = read(&wave);
        let _ = read(&file(&octets, octets.len() as u32, &octets));
    }

    #[test]
    fn broken_files_do_not_panic(
        at in 0_usize..60, octet in any::<u8>(), cut in 0_usize..70, which in 0_usize..3,
    ) {
        let mut bytes = write(ALL[which], 16_000, 2, &[7; 12]).unwrap();
        bytes[at] = octet;
        bytes.truncate(cut);
        if let Ok(wav) = read(&bytes) {
            prop_assert!(wav.samples.len() <= bytes.len());
        }
    }

    #[test]
    fn files_survive_the_way_there_and_back(
        samples in prop::collection::vec(any::<i16>(), 1..100),
        channels in 1_u16..=2, rate in 8_000_u32..=192_000, which in 0_usize..3,
    ) {
        let bytes = write(ALL[which], rate, channels, &samples).unwrap();
        prop_assert_eq!(bytes.len() % 2, 0);
        let whole = samples.len() / usize::from(channels) * usize::from(channels);
        let expected: Vec<i16> = samples[..whole].iter().map(|sample| match ALL[which] {
            Encoding::Pcm16 => *sample,
            Encoding::G711(law) => law.decode(law.encode(*sample)),
        }).collect();
        // No samples at all are written as a size of 0, which means unknown: the same.
        prop_assert_eq!(read(&bytes).unwrap(), Wav { rate, channels, samples: expected });
    }
}
