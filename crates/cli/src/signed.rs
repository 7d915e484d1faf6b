//! Signed reports: what a comparison said, in a file that nobody changes unseen who does not hold the key.
//!
//! A file has two lines: the report as JSON, and its signature as JSON. The signature is BLAKE3 keyed with a key that is derived
//! from a secret, over the bytes of the first line.

use crate::exit::{Exit, Refusal, unreachable, usage};
use anyhow::Result;
use seamline_agent::site::{SiteError, secret};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Where the secret is.
const VARIABLE: &str = "SEAMLINE_REPORT_KEY";

/// A secret that is shorter could be guessed.
const SECRET_BYTES_MIN: usize = 16;

/// What signs reports.
pub(crate) struct Signer {
    key: [u8; 32],
}

/// Tells whether a signed report is as it was written.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The report, as `seamline reconcile --report` wrote it.
    file: PathBuf,
}

impl Signer {
    /// Returns the signer of whoever holds the secret: the value of `SEAMLINE_REPORT_KEY`, or the content of the file that
    /// `SEAMLINE_REPORT_KEY_FILE` names, without the end of its line.
    ///
    /// # Errors
    /// When there is no secret, or it is too short.
    pub(crate) fn from_environment() -> Result<Signer> {
        let help = format!(
            "set `{VARIABLE}`, or `{VARIABLE}_FILE` to a file that holds it; `openssl rand -hex 32` makes one"
        );
        let secret = secret(VARIABLE, "a signed report").map_err(|error| match error {
            SiteError::Variable { .. } => usage("there is no key for reports", help.clone()),
            error => unreachable(error.to_string(), help.clone()),
        })?;
        if secret.len() < SECRET_BYTES_MIN {
            let message = format!("the key for reports is shorter than {SECRET_BYTES_MIN} bytes");
            return Err(usage(message, help));
        }
        Ok(Signer::new(&secret))
    }

    fn new(secret: &str) -> Signer {
        Signer { key: blake3::derive_key("seamline 2026 signature of a report v1", secret.as_bytes()) }
    }

    /// Tells two keys apart, and nothing of either.
    fn id(&self) -> String {
        blake3::keyed_hash(&self.key, b"id of the key").to_hex().chars().take(8).collect()
    }

    fn signed(&self, report: &Value) -> String {
        let line = report.to_string();
        let signature = blake3::keyed_hash(&self.key, line.as_bytes()).to_hex();
        let signed =
            json!({ "schema": "seamline/signature/v1", "key": self.id(), "blake3": signature.as_str() });
        format!("{line}\n{signed}\n")
    }

    /// Writes a report with its signature.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path, report: &Value) -> Result<()> {
        std::fs::write(path, self.signed(report)).map_err(|error| {
            let message = format!("`{}` cannot be written: {error}", path.display());
            unreachable(message, "name a file in a folder that is there")
        })
    }

    /// Returns the report of a file that is as it was written; else why it is not.
    fn verified(&self, text: &str) -> Result<Value, String> {
        let wrong = || "it is no signed report: two lines of JSON are wanted".to_owned();
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        let [line, signed] = lines[..] else { return Err(wrong()) };
        let signed: Value = serde_json::from_str(signed).map_err(|_| wrong())?;
        if signed["schema"] != "seamline/signature/v1" {
            return Err("its signature is of a form that is not known here".to_owned());
        }
        if signed["key"].as_str() != Some(&self.id()) {
            return Err("it was signed with another key".to_owned());
        }
        let signature = signed["blake3"].as_str().and_then(|hex| blake3::Hash::from_hex(hex).ok());
        if signature != Some(blake3::keyed_hash(&self.key, line.as_bytes())) {
            return Err("it was changed since it was signed".to_owned());
        }
        serde_json::from_str(line).map_err(|_| wrong())
    }
}

/// Runs the command.
///
/// # Errors
/// When there is no secret, the file cannot be read, or it is not as it was written.
pub(crate) fn verify(args: &VerifyArgs) -> Result<Exit> {
    let signer = Signer::from_environment()?;
    let file = args.file.display();
    let text = std::fs::read_to_string(&args.file).map_err(|error| {
        unreachable(format!("`{file}` cannot be read: {error}"), "name a file that is there")
    })?;
    let report = signer.verified(&text).map_err(|why| Refusal {
        exit: Exit::Findings,
        message: format!("`{file}` proves nothing: {why}"),
        help: "ask whoever made it for it again, or compare anew by `seamline reconcile --report`".to_owned(),
    })?;
    let text = |name: &str| report[name].as_str().unwrap_or("?").to_owned();
    println!("`{file}` is as it was written: made {}, conclusion {}", text("made"), text("conclusion"));
    println!("next: seamline pass list");
    Ok(Exit::Clean)
}

#[cfg(test)]
mod tests {
    use super::Signer;
    use serde_json::json;

    #[test]
    fn a_report_comes_back_and_one_with_a_changed_byte_does_not() {
        let signer = Signer::new("a secret of the auditors");
        let report = json!({ "schema": "seamline/report/v1", "conclusion": "drift" });
        let signed = signer.signed(&report);
        assert_eq!(signer.verified(&signed), Ok(report));
        for at in 0..signed.len() - 1 {
            let mut changed = signed.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8_lossy(&changed).into_owned();
            assert!(signer.verified(&changed).is_err(), "byte {at} is not seen: {changed}");
        }
        for text in ["", "{}", "{}\n{}\n", &signed.repeat(2)] {
            assert!(signer.verified(text).is_err(), "{text}");
        }
        let other = Signer::new("a secret of somebody else").verified(&signed);
        assert_eq!(other, Err("it was signed with another key".to_owned()));
    }
}
