"""What the oracle knows of the estate: the contracts, read and written down by hand, and what follows from them.

Nothing here is taken from the product. Where the two differ, one of them is wrong.
"""

import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    carries: tuple = ()
    details: tuple = ()
    ends: bool = False


@dataclass(frozen=True)
class Channel:
    """One topic: what it carries, and which events it lets through; None where it is a topic of state."""

    name: str
    only: tuple
    events: tuple | None
    details: tuple = ()


@dataclass(frozen=True)
class Contract:
    context: str
    name: str
    key: tuple
    attributes: tuple
    events: dict
    channels: tuple

    @property
    def subject(self):
        return f"{self.context}/{self.name}@1"

    def topic(self, prefix, channel):
        return f"{prefix}.{self.context}.{self.name}.v1.{channel}"


ORDER_ATTRIBUTES = ("status", "pieces", "total", "due", "customer", "remark")
ORDER_EVENTS = {
    "OrderPlaced": Event(("status", "pieces", "total", "due", "customer")),
    "OrderPaid": Event(("status", "total"), ("method", "receipt")),
    "OrderReopened": Event(("status",)),
    "OrderCancelled": Event(("status",)),
    "OrderRepriced": Event(("pieces", "total")),
    "OrderClosed": Event((), (), True),
}
SHIPPING = ("status", "pieces", "due")
SHIPPING_EVENTS = ("OrderPlaced", "OrderPaid", "OrderReopened", "OrderCancelled", "OrderClosed")

ORDER = Contract(
    "sales",
    "order",
    ("orderId",),
    ORDER_ATTRIBUTES,
    ORDER_EVENTS,
    (
        Channel("events", ORDER_ATTRIBUTES, tuple(ORDER_EVENTS), ("method", "receipt")),
        Channel("state", ORDER_ATTRIBUTES, None),
        Channel("shipping.events", SHIPPING, SHIPPING_EVENTS, ("method",)),
        Channel("shipping.state", SHIPPING, None),
    ),
)

ITEM_ATTRIBUTES = ("level", "cost", "countedAt", "locked")
ITEM_EVENTS = {"ItemCounted": Event(("level", "countedAt")), "ItemDropped": Event((), (), True)}

ITEM = Contract(
    "stock",
    "item",
    ("site", "article"),
    ITEM_ATTRIBUTES,
    ITEM_EVENTS,
    (Channel("events", ITEM_ATTRIBUTES, tuple(ITEM_EVENTS)), Channel("state", ITEM_ATTRIBUTES, None)),
)

CONTRACTS = {"order": ORDER, "item": ITEM}


@dataclass(frozen=True)
class Subscription:
    context: str
    name: str
    contract: Contract
    table: str
    columns: dict
    """From column to a function of key values and state."""
    reacts_to: tuple = ()
    channels: dict = field(default_factory=dict)

    @property
    def subject(self):
        return f"{self.context}/{self.name}"

    def row(self, key, state):
        return {column: value(key, state) for column, value in self.columns.items()}


def _key(idx):
    return lambda key, _: key[idx]


def _state(name):
    return lambda _, state: state.get(name)


SUBSCRIPTIONS = (
    Subscription(
        "dispatch",
        "parcels",
        ORDER,
        "parcel",
        {
            "order_ref": _key(0),
            "ready": lambda _, state: state["status"] == "paid",
            "pieces": _state("pieces"),
            "due": _state("due"),
        },
        ("OrderPaid", "OrderCancelled", "OrderClosed"),
        {"state": "shipping.state", "events": "shipping.events"},
    ),
    Subscription(
        "desk",
        "orders",
        ORDER,
        "known_order",
        {"order_ref": _key(0)}
        | {name: _state(name) for name in ("status", "total", "pieces", "due", "customer", "remark")},
        (),
        {"state": "state"},
    ),
    Subscription(
        "desk",
        "items",
        ITEM,
        "known_item",
        {
            "site": _key(0),
            "article": _key(1),
            "level": _state("level"),
            "cost": _state("cost"),
            "counted_at": _state("countedAt"),
            "locked": _state("locked"),
        },
        (),
        {"state": "state"},
    ),
)


def canonical(value):
    """RFC 8785 for what occurs here: ASCII names, no JSON numbers."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def key_text(values):
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))


def sequence_text(sequence):
    return f"{sequence:019d}"


def cut(state, only):
    return {name: state[name] for name in only if state.get(name) is not None}


def weight(sequence):
    """What a worker adds to its running sum for one reaction: adding it twice shows."""
    return sequence % 1009 + 1


def murmur2(data):
    """MurmurHash2 of 32 bits as Kafka's Java client computes it."""
    mask, m, length = 0xFFFFFFFF, 0x5BD1E995, len(data)
    h = 0x9747B28C ^ length
    whole = length - length % 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little")
        k = k * m & mask
        k ^= k >> 24
        k = k * m & mask
        h = (h * m & mask) ^ k
    rest = data[whole:]
    if rest:
        h ^= int.from_bytes(rest, "little")
        h = h * m & mask
    h ^= h >> 13
    h = h * m & mask
    return h ^ h >> 15


def partition_of(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def quiet_from(number):
    """Returns what says of a contract's key, as text, whether writers of `number` keys leave it alone."""

    def quiet(key):
        values = json.loads(key)
        last = values[-1]
        busy = range(number)
        if len(values) == 1:
            return not (len(last) == 8 and last[2:].isdigit() and int(last[2:]) in busy)
        sites = ("north", "süd", 'a "site"')
        if values[0] not in sites or not last[1:].isdigit() or last[0] != "A":
            return True
        return int(last[1:]) * 3 + sites.index(values[0]) not in busy

    return quiet
