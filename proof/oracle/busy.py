"""A steady load in batches: as many changes a second as asked, or as many as arrive."""

import time
from collections import deque

from .estate import ITEM, key_text

BATCHES_PER_SECOND = 5
IN_FLIGHT = 3
NOT_AUDITED = 10
SITE = "busy"
COUNT = (
    "INSERT INTO item SELECT %(site)s::text, n::text, %(level)s::int, 1, NULL, false FROM generate_series(%(first)s::int, %(last)s::int) n "
    "ON CONFLICT (site, article) DO UPDATE SET level = excluded.level"
)
PUBLISH = (
    "SELECT min(s) FROM unnest(seamline.publish('item', 'ItemCounted', "
    "(SELECT array_agg('[\"' || %(site)s::text || '\",\"' || n || '\"]') FROM generate_series(%(first)s::int, %(last)s::int) n))) s"
)
ARRIVED = "SELECT 1 FROM known_item WHERE site = %s AND article = %s AND level >= %s"
AUDITED = "SELECT 1 FROM seamline.audit_key WHERE topic = %s AND key = %s AND sequence >= %s"


def busy(world, rate, rows, stop, say):
    """Publishes until told to stop. Of what was published at most a few batches have not arrived at the desk, and not many more
    were not read back, so that a slow machine gets fewer changes and not a backlog. Says when the first batch arrived, and how many
    there were in what time."""
    size = max(1, round(rate / BATCHES_PER_SECOND))
    every, waiting, unread, level, changes, begun = size / rate, deque(), deque(), 0, 0, None
    with world.patiently("stock", autocommit=True) as stock, world.patiently("desk", autocommit=True) as desk:
        level = stock.execute("SELECT coalesce(max(level), 0) FROM item WHERE site = %s", (SITE,)).fetchone()[0]
        due = time.monotonic()
        while not stop.is_set():
            level += 1
            first = (level * size) % rows
            batch = {"site": SITE, "first": first, "last": first + size - 1, "level": level}
            with stock.transaction():
                stock.execute(COUNT, batch)
                sequence = stock.execute(PUBLISH, batch).fetchone()[0]
            article = str(batch["last"])
            waiting.append((SITE, article, level))
            unread.append((ITEM.topic(world.prefix, "state"), key_text((SITE, article)), sequence))
            changes += size if begun else 0
            follow(desk, ARRIVED, waiting, IN_FLIGHT if begun else 0, stop)
            follow(stock, AUDITED, unread, NOT_AUDITED if begun else 0, stop)
            if not begun:
                begun = due = time.monotonic()
                say({"rate": rate, "batch": size})
            due = max(due + every, time.monotonic() - 1)
            stop.wait(max(0.0, due - time.monotonic()))
        say({"changes": changes, "seconds": round(time.monotonic() - (begun or due), 2)})


def follow(conn, query, waiting, most, stop):
    """Forgets what has come, and waits until at most so many have not."""
    while waiting and not stop.is_set():
        if conn.execute(query, waiting[0]).fetchone():
            waiting.popleft()
        elif len(waiting) <= most:
            return
        else:
            time.sleep(0.05)
