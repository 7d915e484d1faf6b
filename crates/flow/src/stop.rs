//! Named points at which a proof ends or pauses the process. Without the feature `mutants` there are none.

/// Passes a point. With the feature, `SEAMLINE_STOP=point:n:SIGNAL` sends the process that signal at the n-th passing.
#[cfg(not(feature = "mutants"))]
pub const fn here(_point: &'static str) {}

#[cfg(feature = "mutants")]
pub use armed::here;

#[cfg(feature = "mutants")]
mod armed {
    use std::process::Command;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Stop {
        point: String,
        passing: u64,
        signal: String,
    }

    static STOP: OnceLock<Option<Stop>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    /// Passes a point. `SEAMLINE_STOP=point:n:SIGNAL` sends the process that signal at the n-th passing.
    ///
    /// # Panics
    /// When the variable is none of these, or the signal cannot be sent: a fault that does not fire proves nothing.
    pub fn here(point: &'static str) {
        let Some(stop) = STOP.get_or_init(chosen) else { return };
        if stop.point != point || PASSED.fetch_add(1, Ordering::SeqCst) + 1 != stop.passing {
            return;
        }
        let signal = format!("-{}", stop.signal);
        let sent = Command::new("kill").args([&signal, &std::process::id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal can be sent");
    }

    fn chosen() -> Option<Stop> {
        let text = std::env::var("SEAMLINE_STOP").ok()?;
        let parts: Vec<&str> = text.split(':').collect();
        let [point, passing, signal] = parts[..] else {
            panic!("SEAMLINE_STOP is point:n:SIGNAL, not `{text}`")
        };
        let passing = passing.parse().expect("the passing is a number");
        Some(Stop { point: point.to_owned(), passing, signal: signal.to_owned() })
    }
}
