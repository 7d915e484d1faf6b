"""A worker of the inbox whose effect is not idempotent: a reaction that came twice would show in its sums."""

import time

from .estate import weight

TAKE = (
    "SELECT number, id, sequence FROM seamline.inbox WHERE state = 'waiting' ORDER BY number LIMIT %s "
    "FOR UPDATE SKIP LOCKED"
)


def work(world, until_idle=True, limit=500):
    """Works off what waits. Returns how many reactions."""
    done = 0
    with world.patiently("dispatch") as conn:
        while True:
            with conn.transaction():
                rows = conn.execute(TAKE, (limit,)).fetchall()
                for number, name, sequence in rows:
                    conn.execute(
                        "INSERT INTO witness VALUES (%s, 1) ON CONFLICT (id) DO UPDATE SET times = witness.times + 1", (name,)
                    )
                    conn.execute("UPDATE running SET total = total + %s", (weight(sequence),))
                    conn.execute("UPDATE seamline.inbox SET state = 'done' WHERE number = %s", (number,))
            done += len(rows)
            if not rows:
                if until_idle:
                    return done
                time.sleep(0.05)
