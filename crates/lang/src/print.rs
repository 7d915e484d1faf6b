//! Findings as people read them: what is wrong, the line it stands in, why, and what to do next.

use crate::source::{Location, Sources};
use annotate_snippets::{
    AnnotationKind, Group, Level as Mark, Origin, Renderer, Snippet, normalize_untrusted_str,
};
use seamline_contract::finding::{Finding, Level};

/// Whether a terminal shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Text alone.
    Plain,
    /// With ANSI colours.
    Coloured,
}

/// A finding with its places in the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<'f> {
    /// What is wrong.
    pub finding: &'f Finding,
    /// Where.
    pub at: Location,
    /// Other places that explain it, the anchor of an alias among them.
    pub notes: Vec<(Location, &'f str)>,
}

/// Returns a finding with its places.
pub fn located<'f>(sources: &Sources, finding: &'f Finding) -> Located<'f> {
    let at = sources.locate(&finding.at);
    let mut notes: Vec<(Location, &'f str)> =
        finding.notes.iter().map(|note| (sources.locate(&note.at), note.message.as_str())).collect();
    if let Some(anchored) = &at.anchored {
        let place = sources.locate_bytes(&at.document, anchored.clone());
        notes.push((place, "the alias stands for what is written here"));
    }
    Located { finding, at, notes }
}

/// Returns findings with their places, errors first, then by document, position and rule.
pub fn sorted<'f>(sources: &Sources, findings: &'f [Finding]) -> Vec<Located<'f>> {
    let mut sorted: Vec<Located<'f>> = findings.iter().map(|finding| located(sources, finding)).collect();
    sorted.sort_by(|a, b| {
        let place = |it: &Located<'_>| (it.at.document.clone(), it.at.bytes.start, it.finding.rule);
        b.finding.level.cmp(&a.finding.level).then_with(|| place(a).cmp(&place(b)))
    });
    sorted
}

/// Returns findings as text, in the order of [`sorted`], an empty line between two.
pub fn text(sources: &Sources, findings: &[Finding], paint: Paint) -> String {
    let renderer = match paint {
        Paint::Plain => Renderer::plain(),
        Paint::Coloured => Renderer::styled(),
    };
    let mut text = String::new();
    for located in sorted(sources, findings) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&renderer.render(&[group(sources, &located)]));
        text.push('\n');
    }
    text
}

fn group<'s>(sources: &'s Sources, located: &Located<'s>) -> Group<'s> {
    let finding = located.finding;
    let mark = match finding.level {
        Level::Error => Mark::ERROR,
        Level::Warn => Mark::WARNING.with_name("warn"),
        Level::Advice => Mark::INFO.with_name("advice"),
    };
    let (same, other): (Vec<_>, Vec<_>) =
        located.notes.iter().partition(|(place, _)| place.document == located.at.document);
    let title = mark.primary_title(finding.message.as_str()).id(finding.rule);
    let mut group = match window(sources, &located.at, &same) {
        Some(snippet) => title.element(snippet),
        None => title.element(Origin::path(located.at.document.0.clone())),
    };
    for (place, message) in other {
        group = group.element(Mark::NOTE.message(normalize_untrusted_str(message)));
        group = match window(sources, place, &[]) {
            Some(snippet) => group.element(snippet),
            None => group.element(Origin::path(place.document.0.clone())),
        };
    }
    match &finding.help {
        Some(help) => group.element(Mark::HELP.message(normalize_untrusted_str(help))),
        None => group,
    }
}

type Annotated<'s> = Snippet<'s, annotate_snippets::Annotation<'s>>;

/// Returns the lines from the first to the last of some places of a document; none without its text.
fn window<'s>(sources: &'s Sources, at: &Location, notes: &[&(Location, &'s str)]) -> Option<Annotated<'s>> {
    let text = sources.document(&at.document)?.text.as_str();
    if text.trim().is_empty() {
        return None;
    }
    let places = || std::iter::once(at).chain(notes.iter().map(|(place, _)| place));
    let first = places().map(|place| place.bytes.start).min()?;
    let last = places().map(|place| place.bytes.end).max()?;
    let line_first = places().map(|place| place.line).min()?;
    let start = text[..first].rfind('\n').map_or(0, |idx| idx + 1);
    // A byte order mark would be printed as a sign of its own.
    let start = if text[start..].starts_with('\u{feff}') { start + '\u{feff}'.len_utf8() } else { start };
    let end = text[last..].find('\n').map_or(text.len(), |idx| last + idx).max(start);
    let within = |place: &Location| {
        let from = place.bytes.start.max(start) - start;
        from..place.bytes.end.max(start).min(end).max(from + start) - start
    };
    let mut snippet = Snippet::source(&text[start..end])
        .line_start(line_first)
        .path(at.document.0.clone())
        .annotation(AnnotationKind::Primary.span(within(at)));
    for (place, message) in notes {
        let label = normalize_untrusted_str(message);
        snippet = snippet.annotation(AnnotationKind::Context.span(within(place)).label(label));
    }
    Some(snippet)
}
