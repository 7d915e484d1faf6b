//! The keys of what holds an estate together: environments, settings, locks.

use super::{API_VERSION, ID, KIND, Table, may, must};

/// An environment.
pub const ENVIRONMENT: Table = Table {
    what: "an environment",
    keys: &[
        API_VERSION,
        KIND,
        ID,
        may("systems", "{context/system: place}"),
        may("variables", "{NAME: text}"),
        must("log", "{embedded: path} or {kafka: …}"),
        may("hub", "{url: text, token: ${NAME}}"),
    ],
};
/// Where a system is.
pub const PLACE: Table = Table {
    what: "a system's place",
    keys: &[
        must("url", "text"),
        may("user", "text"),
        may("password", "${NAME}"),
        may("schema", "text"),
        may("relay", "queue|replication; queue"),
    ],
};
/// Where the log is.
pub const LOG: Table = Table {
    what: "`log`",
    keys: &[
        may("embedded", "path"),
        may("kafka", "{librdkafka property: text}"),
        may("topics", "template; {context}.{contract}.v{major}.{channel}"),
        may("partitions", "count; 12"),
        may("replicas", "count; 3"),
        may("generations", "{context/contract@major: {read, alive, ended}}"),
    ],
};
/// The generations of a contract's topics.
pub const GENERATIONS: Table = Table {
    what: "`generations` of a contract",
    keys: &[must("read", "number"), must("alive", "{number: partitions}"), may("ended", "[number]")],
};
/// Where the hub is.
pub const HUB: Table = Table { what: "`hub`", keys: &[must("url", "text"), may("token", "${NAME}")] };
/// The settings of an estate.
pub const ESTATE: Table = Table {
    what: "an estate",
    keys: &[
        API_VERSION,
        KIND,
        may("id", "id"),
        must("roots", "[folder | {git, at, path} | {hub, environment}]"),
        may("purposes", "{id: meaning}"),
        may("defaults", "{zone, classification}"),
        may("rules", "{RULE: off|advice|warn|error}"),
    ],
};
/// The defaults of an estate.
pub const DEFAULTS: Table = Table {
    what: "`defaults`",
    keys: &[
        may("zone", "IANA name or UTC"),
        may("classification", "public|internal|confidential|pii|sensitive"),
    ],
};
/// A root in a git repository.
pub const GIT_ROOT: Table = Table {
    what: "a git root",
    keys: &[must("git", "URL or path"), must("at", "branch, tag or whole commit id"), must("path", "folder")],
};
/// A root in a hub.
pub const HUB_ROOT: Table =
    Table { what: "a hub root", keys: &[must("hub", "URL"), must("environment", "id")] };
/// A lock.
pub const LOCK: Table = Table {
    what: "a lock",
    keys: &[
        API_VERSION,
        KIND,
        may("id", "id"),
        may("roots", "[resolved root]"),
        may("documents", "{reference: …}"),
    ],
};
/// A root as it was resolved.
pub const LOCK_ROOT: Table = Table {
    what: "a resolved root",
    keys: &[
        must("root", "as in the estate"),
        may("at", "revision, of a git root"),
        may("path", "folder, of a git root"),
        must("resolved", "commit or release"),
        must("digest", "b3-<hex>"),
    ],
};
/// A document as it was resolved.
pub const LOCK_DOCUMENT: Table = Table {
    what: "a locked document",
    keys: &[
        must("kind", "the kind"),
        may("version", "N.N.N"),
        must("digest", "b3-<hex>"),
        may("meaning", "b3-<hex>"),
    ],
};
