//! A figure: both sides of one measurement, and the line that is printed of it.

use crate::cpu::Cpu;
use serde_json::json;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    /// The ratio should be at least the goal.
    Higher,
    /// The ratio should be at most the goal.
    Lower,
}

/// What one side took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Side {
    /// In the figure's unit.
    pub(crate) value: f64,
    /// Microseconds of CPU a row.
    pub(crate) cpu: Option<Cpu>,
}

impl Side {
    /// Returns a side of which only the value is known.
    pub(crate) fn of(value: f64) -> Side {
        Side { value, ..Side::default() }
    }
}

/// One measurement on both sides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    /// Ours.
    pub(crate) ours: Side,
    /// The peer's.
    pub(crate) theirs: Side,
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.ours.value / self.theirs.value
    }
}

/// What is said of a figure beside its measurements.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// Its name.
    pub(crate) bench: String,
    /// What it is held against.
    pub(crate) peer: String,
    /// Of both values.
    pub(crate) unit: &'static str,
    /// What the ratio should reach; none: it is only printed.
    pub(crate) goal: Option<f64>,
    /// Which way is better.
    pub(crate) better: Better,
}

impl Figure {
    /// Prints the round with the median ratio, of an even number the worse of the two in the middle.
    pub(crate) fn print(&self, mut rounds: Vec<Pair>, as_json: bool) {
        rounds.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        let middle = match self.better {
            Better::Higher => (rounds.len() - 1) / 2,
            Better::Lower => rounds.len() / 2,
        };
        let median = rounds[middle];
        println!("{}", if as_json { self.line(median) } else { self.sentence(median) });
    }

    fn line(&self, pair: Pair) -> String {
        let round = |value: Option<f64>| value.map(|value| (value * 1_000.0).round() / 1_000.0);
        let cpu = |side: Side| {
            side.cpu.map(|cpu| {
                let (postgres, kafka) = cpu.servers.unzip();
                json!({ "own": round(Some(cpu.own)), "postgres": round(postgres), "kafka": round(kafka), "all": round(cpu.all()) })
            })
        };
        json!({
            "bench": self.bench,
            "ours": round(Some(pair.ours.value)),
            "theirs": round(Some(pair.theirs.value)),
            "peer": self.peer,
            "unit": self.unit,
            "ratio": round(Some(pair.ratio())),
            "goal": self.goal,
            "better": if self.better == Better::Higher { "higher" } else { "lower" },
            "cpu_ours": cpu(pair.ours),
            "cpu_theirs": cpu(pair.theirs),
        })
        .to_string()
    }

    fn sentence(&self, pair: Pair) -> String {
        let sign = if self.better == Better::Higher { '≥' } else { '≤' };
        let goal = self.goal.map_or(String::new(), |goal| format!(" (goal {sign} {goal})"));
        let (ours, theirs) = (pair.ours, pair.theirs);
        let cpu = [("ours", ours), ("theirs", theirs)].into_iter().filter_map(|(whose, side)| {
            let cpu = side.cpu?;
            let servers = cpu.servers.map_or(String::new(), |(postgres, kafka)| {
                format!(" and {postgres:.1} of PostgreSQL and {kafka:.1} of Kafka")
            });
            Some(format!("; {whose} {:.1}{servers} µs of CPU a row", cpu.own))
        });
        let cpu: String = cpu.collect();
        format!(
            "{}: {:.2} of {}{goal}; {:.1} against {:.1} {}{cpu}",
            self.bench,
            pair.ratio(),
            self.peer,
            ours.value,
            theirs.value,
            self.unit
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Better, Figure, Pair, Side};
    use crate::cpu::Cpu;

    fn figure(better: Better) -> Figure {
        Figure {
            bench: "relay".to_owned(),
            peer: "a pipe".to_owned(),
            unit: "rows a second",
            goal: Some(0.5),
            better,
        }
    }

    #[test]
    fn a_line_is_one_json_object_with_the_ratio() {
        let ours = Side { value: 50.0, cpu: Some(Cpu { own: 3.0, servers: Some((2.0, 1.0)) }) };
        let line = figure(Better::Higher).line(Pair { ours, theirs: Side::of(200.0) });
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["ratio"], 0.25);
        assert_eq!(read["goal"], 0.5);
        assert_eq!(read["cpu_ours"]["own"], 3.0);
        assert_eq!(read["cpu_ours"]["all"], 6.0);
        assert!(read["cpu_theirs"].is_null());
    }

    #[test]
    fn a_sentence_says_which_way_is_better() {
        let pair = Pair { ours: Side::of(50.0), theirs: Side::of(200.0) };
        assert!(figure(Better::Lower).sentence(pair).contains("relay: 0.25 of a pipe (goal ≤ 0.5)"));
    }
}
