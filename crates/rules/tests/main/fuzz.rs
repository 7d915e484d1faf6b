//! The fuzz targets over their seeds, over seeds with some bytes changed, and over any bytes: none panics.

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::sample::Index;
use std::fs;
use std::path::Path;

#[path = "../../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the targets of cargo-fuzz are programs of their own")]
mod targets;

type Target = fn(&[u8]) -> bool;

const TARGETS: [(&str, Target); 4] = [
    ("parser", targets::parser),
    ("expressions", targets::expressions),
    ("diff", targets::diff),
    ("payload", targets::payload),
];

/// How many changed seeds and how many strange bytes each target gets.
const CASES: u32 = 150;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut paths: Vec<_> =
        folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file")).collect()
}

#[test]
fn every_seed_gets_through_to_its_target_whole_and_no_part_of_it_panics() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seed");
        for seed in &seeds {
            assert!(target(seed), "{name}: {}", String::from_utf8_lossy(seed));
            for length in [0, 1, seed.len() / 2, seed.len().saturating_sub(1)] {
                target(&seed[..length]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn no_target_falls_over_strange_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }

    #[test]
    fn no_target_falls_over_seeds_with_some_bytes_changed(
        seed in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), "[ -~]|\\PC", 0..4_usize), 1..6),
    ) {
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            let mut bytes = seed.get(&seeds).clone();
            for (at, text, taken) in &changes {
                let at = at.index(bytes.len() + 1);
                let end = (at + taken).min(bytes.len());
                bytes.splice(at..end, text.bytes());
            }
            target(&bytes);
        }
    }
}
