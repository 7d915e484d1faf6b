//! The tables that producers and consumers share, and those that a consumer has beside.

use super::table::Table;

/// What producers and consumers have: replicas, cases and ledgers.
pub(crate) const SHARED: &[Table] = &[
    REPLICA,
    LEDGER,
    super::audit::AUDIT,
    super::audit::COMPARED,
    JOB,
    TRANSLATION,
    WATCH,
    PASS,
    Table {
        name: "cases",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline.cases (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  fingerprint text NOT NULL UNIQUE,
  subject text NOT NULL,
  owed_by text NOT NULL,
  summary text NOT NULL,
  details text NOT NULL,
  stage text NOT NULL,
  opened text NOT NULL,
  times bigint NOT NULL
)",
            "CREATE TABLE IF NOT EXISTS seamline.case_timeline (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  case_id bigint NOT NULL REFERENCES seamline.cases ON DELETE CASCADE,
  at text NOT NULL,
  what text NOT NULL
)",
            "CREATE INDEX IF NOT EXISTS case_timeline_case ON seamline.case_timeline (case_id)",
        ],
    },
];

const JOB: Table = Table {
    name: "job",
    version: 1,
    make: &[
        "CREATE TABLE IF NOT EXISTS seamline.job (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  subject text NOT NULL,
  orders text NOT NULL,
  stage text NOT NULL,
  holder text,
  until text,
  turn bigint NOT NULL,
  progress text NOT NULL,
  note text NOT NULL,
  since text NOT NULL,
  changed text NOT NULL
)",
        "CREATE UNIQUE INDEX IF NOT EXISTS job_subject ON seamline.job (subject) \
         WHERE NOT stage IN ('done', 'failed', 'aborted')",
        "CREATE TABLE IF NOT EXISTS seamline.job_part (
  job bigint NOT NULL REFERENCES seamline.job ON DELETE CASCADE,
  part integer NOT NULL,
  turn bigint NOT NULL,
  progress text NOT NULL,
  PRIMARY KEY (job, part)
)",
    ],
};

const TRANSLATION: Table = Table {
    name: "translation",
    version: 1,
    make: &["CREATE TABLE IF NOT EXISTS seamline.translation (
  subscription text PRIMARY KEY,
  translation text NOT NULL
)"],
};

const WATCH: Table = Table {
    name: "watch",
    version: 1,
    make: &["CREATE TABLE IF NOT EXISTS seamline.watch (
  subject text PRIMARY KEY,
  since text NOT NULL,
  began text,
  holder text,
  until text,
  paused text,
  turn bigint NOT NULL
)"],
};

const PASS: Table = Table {
    name: "pass",
    version: 1,
    make: &[
        "CREATE TABLE IF NOT EXISTS seamline.pass (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subject text NOT NULL,
  holder text NOT NULL,
  began text NOT NULL,
  ended text NOT NULL,
  conclusion text NOT NULL,
  rows bigint NOT NULL,
  drifted bigint NOT NULL,
  bytes bigint NOT NULL,
  facts text NOT NULL
)",
        "CREATE INDEX IF NOT EXISTS pass_subject ON seamline.pass (subject, id)",
    ],
};

const REPLICA: Table = Table {
    name: "replica",
    version: 1,
    make: &["CREATE TABLE IF NOT EXISTS seamline.replica (
  holder text PRIMARY KEY,
  until timestamptz NOT NULL
)"],
};

const LEDGER: Table = Table {
    name: "ledger",
    version: 1,
    make: &["CREATE TABLE IF NOT EXISTS seamline.ledger (
  topic text NOT NULL,
  key text COLLATE \"C\" NOT NULL,
  sequence bigint NOT NULL,
  \"offset\" bigint NOT NULL,
  last bigint NOT NULL,
  last_offset bigint NOT NULL,
  version text,
  digest bytea NOT NULL,
  ended boolean NOT NULL,
  PRIMARY KEY (topic, key)
)"],
};

/// The name under which the format of projection tables is recorded.
pub(crate) const PROJECTION: &str = "projection";

/// What a consumer has beside.
pub(crate) const CONSUMER: &[Table] = &[
    Table { name: PROJECTION, version: 1, make: &[] },
    Table {
        name: "lane",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline.lane (
  subscription text NOT NULL,
  topic text COLLATE \"C\" NOT NULL,
  partition integer NOT NULL,
  epoch bigint NOT NULL,
  holder text,
  until timestamptz,
  cluster text,
  topic_id text,
  leader_epoch integer,
  \"offset\" bigint,
  bootstrap_end bigint,
  digest_epoch bigint NOT NULL,
  sums bytea NOT NULL,
  counted_from bigint NOT NULL,
  counted_to bigint NOT NULL,
  handed bigint NOT NULL,
  applied bigint NOT NULL,
  superseded bigint NOT NULL,
  duplicates bigint NOT NULL,
  conflicts bigint NOT NULL,
  coalesced bigint NOT NULL,
  held bigint NOT NULL,
  quarantined bigint NOT NULL,
  absent bigint NOT NULL,
  PRIMARY KEY (subscription, topic, partition)
) WITH (fillfactor = 50)"],
    },
    Table {
        name: "tombstone",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline.tombstone (
  subscription text NOT NULL,
  key text COLLATE \"C\" NOT NULL,
  sequence bigint NOT NULL,
  \"offset\" bigint NOT NULL,
  received bytea NOT NULL,
  written bytea NOT NULL,
  PRIMARY KEY (subscription, key)
)"],
    },
    Table {
        name: "chain",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline.chain (
  subscription text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  key text COLLATE \"C\" NOT NULL,
  sequence bigint NOT NULL,
  PRIMARY KEY (subscription, topic, partition, key)
) WITH (fillfactor = 80)"],
    },
    Table {
        name: "inbox",
        version: 2,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline.inbox (
  number bigserial PRIMARY KEY,
  subscription text NOT NULL,
  id text NOT NULL,
  key text NOT NULL,
  event text NOT NULL,
  sequence bigint NOT NULL,
  effective text,
  reason text,
  payload text NOT NULL,
  projection_behind boolean NOT NULL,
  received_at timestamptz NOT NULL,
  state text NOT NULL DEFAULT 'waiting',
  attempts integer NOT NULL DEFAULT 0,
  due timestamptz,
  why text,
  ended_at timestamptz,
  correlation text,
  traceparent text,
  UNIQUE (subscription, id)
)",
            super::inbox::UPGRADE,
            "CREATE INDEX IF NOT EXISTS inbox_free ON seamline.inbox (subscription, number) \
             WHERE state IN ('waiting', 'claimed')",
            "CREATE INDEX IF NOT EXISTS inbox_open ON seamline.inbox (subscription, key, number) WHERE state <> 'done'",
            "CREATE INDEX IF NOT EXISTS inbox_done ON seamline.inbox ((coalesce(ended_at, received_at))) \
             WHERE state = 'done'",
            "DROP INDEX IF EXISTS seamline.inbox_waiting",
            super::inbox::CLAIM,
            super::inbox::DONE,
            super::inbox::FAILED,
        ],
    },
    super::errand::TABLE,
    super::set::TABLE,
    Table {
        name: "aside",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline.aside (
  subscription text NOT NULL,
  topic text COLLATE \"C\" NOT NULL,
  partition integer NOT NULL,
  \"offset\" bigint NOT NULL,
  key text COLLATE \"C\",
  sequence bigint,
  received bytea NOT NULL,
  cause text NOT NULL,
  rule text,
  path text,
  message text,
  gap_seen bigint,
  gap_named bigint,
  raw_key bytea,
  headers bytea NOT NULL,
  value bytea,
  since text NOT NULL,
  PRIMARY KEY (subscription, topic, partition, \"offset\")
)",
            "CREATE INDEX IF NOT EXISTS aside_key ON seamline.aside (subscription, topic, partition, key)",
        ],
    },
    Table {
        name: "received_aside",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline.received_aside (
  subscription text NOT NULL,
  key text COLLATE \"C\" NOT NULL,
  sequence bigint NOT NULL,
  digest bytea NOT NULL,
  PRIMARY KEY (subscription, key)
)"],
    },
];
