"""What there is to be judged, as plain data: made by reading servers, or by hand in the self-test."""

from dataclasses import dataclass, field


@dataclass
class Act:
    """One publication, as the writer wrote it down in its own transaction."""

    contract: str
    sequence: int
    key: str
    change: str | None
    state: dict | None
    reason: str | None = None
    details: dict | None = None
    effective: str | None = None
    act: str = ""


@dataclass
class Record:
    partition: int
    offset: int
    key: bytes | None
    headers: dict
    value: bytes | None
    repeated_headers: bool = False


@dataclass
class Topic:
    partitions: int
    records: list
    """In the order of the log within each partition."""
    ends: dict = field(default_factory=dict)
    """By partition, the offset after the last that can be read."""


@dataclass
class Producer:
    """One producer's own books."""

    written: dict
    published: dict
    lost: dict
    waiting: int
    aside: int
    batch: int
    system: str = "store"
    written_busy: dict | None = None
    """What was written of keys that are not quiet, where some are."""


@dataclass
class Seen:
    journal: list
    topics: dict
    rows: dict
    """By subscription, rows as dictionaries of canonical values, with the marker's sequence under `_sequence`."""
    inbox: list
    witness: dict
    running: int
    lanes: list
    producers: dict
    batches: dict
    """By context, the batch records in the order of the log."""
    known: list = field(default_factory=list)
    """What writers saw committed: (act, sequences)."""
    compacted: bool = False
    forgiven: set = field(default_factory=set)
    """Sequences of records that the injector put into topics."""
    prefix: str = "proof"
    quiet: object = None
    """Says of a key whether writers leave it alone while it is injured and mended: such are held against their sources only."""
    sources: dict = field(default_factory=dict)
    """By contract and quiet key, the state as the service's tables have it."""
