//! The rules of the language itself: what a text must satisfy before anything else can be said about it.

/// A rule of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The id, as findings name it.
    pub id: &'static str,
    /// Why the language insists, in one sentence.
    pub reason: &'static str,
    /// What to write instead, in sentences; the finding itself says it for its place.
    pub mend: &'static str,
}

/// The file cannot be read, or is larger, deeper or more aliased than any contract is.
pub const UNREADABLE: &str = "LANGUAGE_UNREADABLE";
/// The text is not one YAML document.
pub const NOT_YAML: &str = "LANGUAGE_NOT_YAML";
/// A key is not one that is due where it stands.
pub const UNKNOWN_KEY: &str = "LANGUAGE_UNKNOWN_KEY";
/// A key that must be written is missing.
pub const REQUIRED: &str = "LANGUAGE_REQUIRED";
/// A value is not of the grammar due where it stands.
pub const VALUE: &str = "LANGUAGE_VALUE";
/// A key stands twice in one mapping.
pub const DUPLICATE: &str = "LANGUAGE_DUPLICATE";
/// A merge key, a tag or a letter that turns a line around is used.
pub const PLAIN_YAML: &str = "LANGUAGE_PLAIN_YAML";
/// The header does not say a kind and version of the language.
pub const KIND: &str = "LANGUAGE_KIND";
/// The id, the file's name and the text disagree.
pub const FILE_NAME: &str = "LANGUAGE_FILE_NAME";
/// The context of a document is not known.
pub const CONTEXT: &str = "LANGUAGE_CONTEXT";
/// Two documents have one identity.
pub const IDENTITY: &str = "LANGUAGE_IDENTITY";
/// A comma cuts unquoted text in a mapping between braces.
pub const PROSE_COMMA: &str = "LANGUAGE_PROSE_COMMA";
/// A comment cuts unquoted text.
pub const PROSE_COMMENT: &str = "LANGUAGE_PROSE_COMMENT";
/// A name leads to nothing in the document that would declare it.
pub const NAME: &str = "LANGUAGE_NAME";
/// A name is reserved by the expression language.
pub const RESERVED: &str = "LANGUAGE_RESERVED";
/// A root of the estate cannot be read.
pub const ROOT: &str = "LANGUAGE_ROOT";
/// The text is right, but this version does not read it yet.
pub const UNSUPPORTED: &str = "LANGUAGE_UNSUPPORTED";

/// All rules of the language, sorted by id.
pub const RULES: &[Rule] = &[
    Rule {
        id: CONTEXT,
        reason: "A document says whose it is, or lies below the folder of one context.",
        mend: "Write `context: ID` at the top, or put the document below the folder that holds `<id>.context.yaml` of its context.",
    },
    Rule {
        id: DUPLICATE,
        reason: "Of two equal keys one would be lost without a word.",
        mend: "Keep one of the two keys.",
    },
    Rule {
        id: FILE_NAME,
        reason: "A document is found by its name, so `<id>.<kind>.yaml` and the text agree.",
        mend: "Call the file `<id>.<kind>.yaml`, such as `policy.contract.yaml`; a frozen older major is `policy@1.contract.yaml`. Leave `id:` out, or let it say the same.",
    },
    Rule {
        id: IDENTITY,
        reason: "Two documents with one identity would answer the same question twice.",
        mend: "Two documents say the same kind, context and id: rename one, or remove the older.",
    },
    Rule {
        id: KIND,
        reason: "A document says which language and which kind it is written in.",
        mend: "Begin with `apiVersion: seamline/v1` and one of its kinds, such as `kind: Contract`.",
    },
    Rule {
        id: NAME,
        reason: "A name that leads nowhere promises nothing.",
        mend: "Write the name as it is declared in this document, or declare it.",
    },
    Rule {
        id: NOT_YAML,
        reason: "A document is one YAML document, or JSON.",
        mend: "Mend what the parser could not read at this place: mostly an indent, a quote that is not closed, or a second document behind `---`.",
    },
    Rule {
        id: PLAIN_YAML,
        reason: "Merges, tags and letters that turn a line around hide what a document says from who reads it.",
        mend: "Write the keys out instead of `<<:`, leave tags such as `!!str` away, since the grammar says what a value is, and remove marks of writing direction.",
    },
    Rule {
        id: PROSE_COMMA,
        reason: "Between braces a comma ends unquoted text, so half a sentence would be lost.",
        mend: "Put the sentence in quotes: `meaning: 'Active, for claims.'`.",
    },
    Rule {
        id: PROSE_COMMENT,
        reason: "A ` #` ends unquoted text, so the rest of a sentence would be lost.",
        mend: "Put the sentence in quotes, or write `#` without a space before it.",
    },
    Rule {
        id: REQUIRED,
        reason: "Some things are promised by nobody until somebody writes them.",
        mend: "Write the key that the finding names; there is no default that would be right for everybody.",
    },
    Rule {
        id: RESERVED,
        reason: "A name that expressions reserve could never be used in one.",
        mend: "Choose another name: expressions could not tell this one from a word of their own.",
    },
    Rule {
        id: ROOT,
        reason: "An estate is checked whole or not at all.",
        mend: "Name a folder below the one that holds `seamline.yaml`, one that is there. What another repository holds is fetched by `seamline pull`, and by `seamline pull --locked` as it is locked.",
    },
    Rule {
        id: UNKNOWN_KEY,
        reason: "A key that nobody reads promises something that nobody keeps.",
        mend: "Take the spelling that the finding proposes, or remove the key: nobody reads it.",
    },
    Rule {
        id: UNREADABLE,
        reason: "No document written by people needs to be this large or this deep.",
        mend: "Save it as UTF-8, cut it into smaller documents, or take it out of the roots of the estate.",
    },
    Rule {
        id: UNSUPPORTED,
        reason: "What is not read is said, never passed over.",
        mend: "Do without it for now, as the finding says, or use a version of Seamline that reads it.",
    },
    Rule {
        id: VALUE,
        reason: "A value is text until the grammar due in its place says what it is.",
        mend: "Write the value in the form that the finding names.",
    },
];

/// Returns the rule of an id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

#[cfg(test)]
mod tests {
    use super::RULES;

    #[test]
    fn rules_are_sorted_by_id_and_say_why_in_one_sentence() {
        assert!(RULES.is_sorted_by(|a, b| a.id < b.id));
        for rule in RULES {
            assert!(rule.id.starts_with("LANGUAGE_"), "{}", rule.id);
            assert!(rule.reason.ends_with('.'), "{}", rule.id);
            assert!(rule.mend.ends_with('.') && rule.mend != rule.reason, "{}", rule.id);
        }
    }
}
