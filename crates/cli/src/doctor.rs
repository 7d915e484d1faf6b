//! `seamline doctor [CONTEXT…]`: what stands in the way, why, and the command that mends it.

use crate::exit::Exit;
use crate::site::{Where, block_on, contexts};
use crate::terminal::{Format, counted};
use anyhow::Result;
use seamline_agent::doctor::{Check, Health, examine};
use serde_json::{Value, json};

/// Looks at the log and the databases of contexts, and changes nothing.
///
/// Exit 0: all is well; 1: something is not; 4: something could not be seen.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The contexts; all that publish or subscribe by default.
    contexts: Vec<String>,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// When there is no such estate, environment or context.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let site = args.place.site()?;
    let contexts = contexts(&site, &args.contexts)?;
    block_on(async {
        let checks = examine(&site, &contexts).await;
        match args.format {
            Format::Json => println!("{}", document(&checks)),
            Format::Text => text(&checks, &args.place.arguments()),
        }
        let worst = checks.iter().map(|check| check.health).max().unwrap_or(Health::Well);
        Ok(match worst {
            Health::Well => Exit::Clean,
            Health::Ill => Exit::Findings,
            Health::Unreachable => Exit::Unreachable,
        })
    })
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Well => "well",
        Health::Ill => "ill",
        Health::Unreachable => "unreachable",
    }
}

fn document(checks: &[Check]) -> Value {
    let checks: Vec<Value> = checks
        .iter()
        .map(|check| {
            json!({
                "check": check.name,
                "subject": check.subject,
                "health": word(check.health),
                "says": check.says,
                "mend": check.mend,
            })
        })
        .collect();
    json!({ "schema": "seamline/doctor/v1", "checks": checks })
}

fn text(checks: &[Check], place: &str) {
    for check in checks {
        let mark = if check.health == Health::Well { "  " } else { "✗ " };
        println!("{mark}{}: {}: {}", check.name, check.subject, check.says);
        if let Some(mend) = &check.mend {
            let place = if mend.starts_with("seamline ") { place } else { "" };
            println!("    mend: {mend}{place}");
        }
    }
    let n_ill = checks.iter().filter(|check| check.health != Health::Well).count();
    if n_ill == 0 {
        println!("{}, all well", counted(checks.len() as u64, "check"));
        println!("next: seamline status{place}");
    } else {
        println!("{n_ill} of {} not well", counted(checks.len() as u64, "check"));
        println!("next: mend the first, then seamline doctor{place}");
    }
}
