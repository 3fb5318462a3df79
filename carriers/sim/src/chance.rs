//! Delays and faults from a seed: a pure function of the network and the turn.

use std::time::Duration;

use crate::Network;

/// SplitMix64, whose output for consecutive inputs is well spread.
fn spread(seed: u64, turn: u64) -> u64 {
    let mut z = seed.wrapping_add(turn.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How long the `turn`-th message is under way.
pub(crate) fn delay(network: &Network, turn: u64) -> Duration {
    let (least, most) = network.delay_ms;
    let span = most.saturating_sub(least) + 1;
    Duration::from_millis(least + spread(network.seed, turn) % span)
}

/// Whether the network loses the `turn`-th message.
pub(crate) fn happens(network: &Network, turn: u64) -> bool {
    let draw = spread(network.seed ^ 0x5eed, turn) >> 11;
    (draw as f64) / ((1u64 << 53) as f64) < network.fault_rate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_tells_the_same_story_within_its_bounds() {
        let network = Network { seed: 7, delay_ms: (10, 20), fault_rate: 0.25 };
        let story = || (0..2_000).map(|turn| (delay(&network, turn), happens(&network, turn)));
        assert!(story().eq(story()));
        assert!(story().all(|(delay, _)| (10..=20).contains(&(delay.as_millis() as u64))));
        let faults = story().filter(|(_, fault)| *fault).count();
        assert!((400..600).contains(&faults), "{faults}");
    }

    #[test]
    fn a_network_without_faults_has_none() {
        assert!((0..1_000).all(|turn| !happens(&Network::default(), turn)));
    }
}
