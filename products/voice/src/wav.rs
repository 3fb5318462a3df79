//! WAV files: PCM of 16 bits, 8 kHz.

const RATE: u32 = 8000;

/// Samples of `seconds_millis` at least: the sound, then silence.
pub(crate) fn padded(sound: Option<&[u8]>, millis: u64) -> Vec<u8> {
    let mut samples = sound.and_then(data).map(|(_, data)| data.to_vec()).unwrap_or_default();
    let wanted = usize::try_from(millis.saturating_mul(u64::from(RATE)) / 1000 * 2);
    samples.resize(samples.len().max(wanted.unwrap_or(usize::MAX).min(256 << 20)), 0);
    let size = u32::try_from(samples.len()).unwrap_or(u32::MAX);
    let mut file = Vec::with_capacity(samples.len() + 44);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&size.saturating_add(36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    // PCM, one channel.
    file.extend_from_slice(&1u16.to_le_bytes());
    file.extend_from_slice(&1u16.to_le_bytes());
    file.extend_from_slice(&RATE.to_le_bytes());
    file.extend_from_slice(&(RATE * 2).to_le_bytes());
    file.extend_from_slice(&2u16.to_le_bytes());
    file.extend_from_slice(&16u16.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&size.to_le_bytes());
    file.extend_from_slice(&samples);
    file
}

/// How long a WAV file is; `None` when it is none.
pub(crate) fn millis(file: &[u8]) -> Option<u64> {
    let (rate, data) = data(file)?;
    (rate > 0).then(|| data.len() as u64 * 1000 / u64::from(rate))
}

/// Bytes per second, and the samples.
fn data(file: &[u8]) -> Option<(u32, &[u8])> {
    if file.get(..4)? != b"RIFF" || file.get(8..12)? != b"WAVE" {
        return None;
    }
    let (mut at, mut rate) = (12, 0);
    loop {
        let name = file.get(at..at + 4)?;
        let size = u32::from_le_bytes(file.get(at + 4..at + 8)?.try_into().ok()?) as usize;
        let start = at + 8;
        if name == b"fmt " {
            rate = u32::from_le_bytes(file.get(start + 8..start + 12)?.try_into().ok()?);
        }
        if name == b"data" {
            // A program that writes to a pipe does not know the size.
            let end = start.saturating_add(size).min(file.len());
            return Some((rate, file.get(start..end)?));
        }
        at = start.checked_add(size)?.checked_add(size % 2)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_as_long_as_it_is_said_to_be() {
        let file = padded(None, 1500);
        assert_eq!((file.len(), millis(&file)), (44 + 24_000, Some(1500)));
        let longer = padded(Some(&file), 1000);
        assert_eq!(millis(&longer), Some(1500));
        assert_eq!(millis(b"ID3 no"), None);
        assert_eq!(millis(&file[..20]), None);
    }
}
