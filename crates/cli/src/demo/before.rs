//! The scene before contracts: one catch-all event, one overloaded status, and three honest readers of them.

/// What the policy platform used to publish for every change, whatever it was.
struct PolicyUpdated {
    status: &'static str,
    suspended: Option<&'static str>,
    correspondence_name: &'static str,
    premium: Option<&'static str>,
}

/// A reader's line and whether the business is right to be angry about it.
struct Reading {
    reader: &'static str,
    says: String,
    wrong: bool,
}

/// Claims: "active" was taken to mean that cover stands. The suspension sits in a field nobody told them of.
fn claims(event: &PolicyUpdated) -> Reading {
    let pays = event.status == "ACTIVE";
    let says = if pays { "a claim may be opened" } else { "no claim may be opened" };
    Reading { reader: "claims", says: says.to_owned(), wrong: pays && event.suspended.is_some() }
}

/// Billing: any update may have touched the premium, so any update makes an invoice.
fn billing(event: &PolicyUpdated) -> Reading {
    let says = match event.premium {
        Some(premium) => format!("a new invoice over {premium} EUR goes out"),
        None => "a new invoice goes out, premium unchanged".to_owned(),
    };
    Reading { reader: "billing", says, wrong: event.premium.is_none() }
}

/// CRM: shows the status word as it comes, beside billing's own "active".
fn crm(event: &PolicyUpdated) -> Reading {
    let paid = "payment overdue";
    Reading {
        reader: "crm",
        says: format!("shows `{}` and `{paid}` to `{}`", event.status, event.correspondence_name),
        wrong: event.suspended.is_some(),
    }
}

/// Plays the scene: each event through each reader. Returns the lines to print, and how many readings were wrong.
pub(crate) fn play() -> (Vec<String>, usize) {
    let scene = [
        (
            "underwriting suspends P-00000017 for a fraud review",
            PolicyUpdated {
                status: "ACTIVE",
                suspended: Some("FRAUD_REVIEW"),
                correspondence_name: "Harbour Logistics",
                premium: None,
            },
        ),
        (
            "somebody mends a typing error in a name",
            PolicyUpdated {
                status: "ACTIVE",
                suspended: None,
                correspondence_name: "Harbour Logistics GmbH",
                premium: None,
            },
        ),
    ];
    let mut lines = Vec::new();
    let mut n_wrong = 0;
    for (what, event) in &scene {
        lines.push(format!("{what}: one more `PolicyUpdated`, schema valid"));
        for reading in [claims(event), billing(event), crm(event)] {
            let mark = if reading.wrong { "✗" } else { "·" };
            lines.push(format!("  {mark} {:<8} {}", reading.reader, reading.says));
            n_wrong += usize::from(reading.wrong);
        }
    }
    (lines, n_wrong)
}

#[cfg(test)]
mod tests {
    use super::play;

    #[test]
    fn the_scene_ends_in_wrong_decisions_without_any_error() {
        let (lines, n_wrong) = play();
        assert_eq!(lines.len(), 8);
        assert_eq!(n_wrong, 4);
    }
}
