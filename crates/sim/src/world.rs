//! What all actors of a run share: its dice, its clock, its trace, and the gate through which every call of a port goes.

use crate::dice::Dice;
use crate::fault::{Fault, Fired};
use jiff::{SignedDuration, Timestamp};
use seamline_flow::clock::{Clock, Entropy};
use seamline_flow::port::PortError;
use std::cell::Cell;
use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::future::poll_fn;
use std::hash::Hasher;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

/// How long a lease lasts in a run.
pub const TTL: std::time::Duration = std::time::Duration::from_secs(20 * 60);

/// How many lines of the trace are kept for a failure.
const LINES_KEPT: usize = 100;

/// The moment at which runs begin, in seconds.
const BEGINNING: i64 = 1_800_000_000;

/// What all actors of a run share.
#[derive(Debug)]
pub struct World {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    dice: Dice,
    now: Timestamp,
    trace: DefaultHasher,
    told: VecDeque<String>,
    fired: Fired,
    /// No call fails any more.
    calm: bool,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    AnswerLost,
    CallLost,
    Refused,
}

thread_local! {
    static VERBOSE: Cell<bool> = const { Cell::new(false) };
}

/// Prints the traces of this thread's runs as they happen.
pub fn set_verbose(verbose: bool) {
    VERBOSE.set(verbose);
}

impl World {
    /// Returns the world of a seed.
    ///
    /// # Panics
    /// Never: the beginning is a moment.
    pub fn new(seed: u64) -> Arc<World> {
        Arc::new(World {
            state: Mutex::new(State {
                dice: Dice::new(seed),
                now: Timestamp::from_second(BEGINNING).expect("a moment of this century"),
                trace: DefaultHasher::new(),
                told: VecDeque::new(),
                fired: Fired::default(),
                calm: false,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no actor panics while it holds the world")
    }

    /// Draws from the run's dice.
    pub fn dice<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.state().dice)
    }

    /// Adds to the trace of the run.
    pub fn tell(&self, what: impl FnOnce() -> String) {
        let what = what();
        if VERBOSE.get() {
            eprintln!("{what}");
        }
        let mut state = self.state();
        state.trace.write(what.as_bytes());
        if state.told.len() == LINES_KEPT {
            state.told.pop_front();
        }
        state.told.push_back(what);
    }

    /// Returns the hash of the trace so far.
    pub fn trace(&self) -> u64 {
        self.state().trace.finish()
    }

    /// Returns the last lines of the trace.
    pub fn last_lines(&self, lines: usize) -> Vec<String> {
        let state = self.state();
        state.told.iter().skip(state.told.len().saturating_sub(lines)).cloned().collect()
    }

    /// Counts a fault that really fired.
    pub fn fired(&self, fault: Fault) {
        self.tell(|| format!("fault {fault:?}"));
        self.state().fired.count(fault);
    }

    /// Returns how often each fault fired so far.
    pub fn all_fired(&self) -> Fired {
        self.state().fired.clone()
    }

    /// Ends or begins the time of faults.
    pub fn set_calm(&self, calm: bool) {
        self.state().calm = calm;
    }

    /// Returns whether the time of faults is over.
    pub fn is_calm(&self) -> bool {
        self.state().calm
    }

    /// Returns the true time.
    pub fn now(&self) -> Timestamp {
        self.state().now
    }

    /// Lets time pass.
    pub fn pass(&self, seconds: u64) {
        let seconds = SignedDuration::from_secs(i64::try_from(seconds).expect("a short time"));
        self.state().now += seconds;
    }

    /// Lets the scheduler choose who runs next.
    pub async fn step(&self) {
        let mut asked = false;
        poll_fn(|_| if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn fate(&self) -> Fate {
        let mut state = self.state();
        if state.calm {
            return Fate::Answered;
        }
        match state.dice.below(1000) {
            0..12 => Fate::AnswerLost,
            12..20 => Fate::CallLost,
            20..32 => Fate::Refused,
            _ => Fate::Answered,
        }
    }

    /// Lets one call of a port through: the scheduler chooses when, and the dice what becomes of it.
    ///
    /// # Errors
    /// When the dice say so.
    pub async fn call<T: Debug>(&self, what: &str, apply: impl FnOnce() -> T) -> Result<T, PortError> {
        self.step().await;
        let fate = self.fate();
        let error = |text: &str| format!("{text} by the dice: {what}").into();
        match fate {
            Fate::Refused => {
                self.fired(Fault::Refusal);
                Err(PortError::NotApplied(error("refused")))
            }
            Fate::CallLost => {
                self.fired(Fault::LostCall);
                Err(PortError::Unknown(error("lost")))
            }
            Fate::Answered | Fate::AnswerLost => {
                let answer = apply();
                if VERBOSE.get() {
                    eprintln!("{what} -> {answer:?}");
                }
                self.tell(|| format!("{what} {fate:?}"));
                if fate == Fate::Answered {
                    return Ok(answer);
                }
                self.fired(Fault::LostAnswer);
                Err(PortError::Unknown(error("answer lost")))
            }
        }
    }
}

/// The clock of one actor: it may be wrong.
#[derive(Debug)]
pub struct SimClock {
    world: Arc<World>,
    skew_secs: AtomicI64,
}

impl SimClock {
    /// Returns a clock that is right.
    pub fn new(world: &Arc<World>) -> SimClock {
        SimClock { world: Arc::clone(world), skew_secs: AtomicI64::new(0) }
    }

    /// Makes the clock wrong by so many seconds.
    pub fn set_skew(&self, seconds: i64) {
        self.skew_secs.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.world.now() + SignedDuration::from_secs(self.skew_secs.load(Ordering::Relaxed))
    }
}

impl Entropy for World {
    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.state().dice.bits().to_le_bytes());
        }
        bytes
    }
}
