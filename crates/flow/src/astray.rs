//! Records that go astray between the log and a projector, for a proof. Without the feature `mutants` none does.

#[cfg(not(feature = "mutants"))]
use crate::log::Fetched;

/// Lets records of chosen keys be lost or altered. With the feature, `SEAMLINE_ASTRAY=LOST:ALTERED` loses each record whose key
/// holds the first text, and puts another digit for the last one in the value of each whose key holds the second.
#[cfg(not(feature = "mutants"))]
pub const fn on_the_way(_fetched: &mut Fetched) {}

#[cfg(feature = "mutants")]
pub use armed::on_the_way;

#[cfg(feature = "mutants")]
mod armed {
    use crate::log::{Fetched, Incoming};
    use std::sync::OnceLock;

    struct Astray {
        lost: String,
        altered: String,
    }

    static ASTRAY: OnceLock<Option<Astray>> = OnceLock::new();

    /// Lets records of chosen keys be lost or altered, as `SEAMLINE_ASTRAY=LOST:ALTERED` says.
    ///
    /// # Panics
    /// When the variable is none of these: a fault that does not fire proves nothing.
    pub fn on_the_way(fetched: &mut Fetched) {
        let Some(astray) = ASTRAY.get_or_init(chosen) else { return };
        if let Fetched::Records(fetch) = fetched {
            fetch.records.retain(|record| !has(record, &astray.lost));
            fetch.records.iter_mut().filter(|record| has(record, &astray.altered)).for_each(alter);
        }
    }

    fn has(record: &Incoming, text: &str) -> bool {
        let key = record.key.as_deref().map(String::from_utf8_lossy);
        key.is_some_and(|key| key.contains(text))
    }

    fn alter(record: &mut Incoming) {
        let last = record.value.iter_mut().flatten().rev().find(|byte| byte.is_ascii_digit());
        if let Some(digit) = last {
            *digit = if *digit == b'1' { b'2' } else { b'1' };
        }
    }

    fn chosen() -> Option<Astray> {
        let text = std::env::var("SEAMLINE_ASTRAY").ok()?;
        match text.split_once(':') {
            Some((lost, altered)) if !lost.is_empty() && !altered.is_empty() => {
                Some(Astray { lost: lost.to_owned(), altered: altered.to_owned() })
            }
            _ => panic!("SEAMLINE_ASTRAY is LOST:ALTERED, not `{text}`"),
        }
    }
}
