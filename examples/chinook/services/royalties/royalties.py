"""Royalties at work: takes each sale from its inbox, and works out what is owed for it.

usage: DATABASE_URL=postgres://… python royalties.py [--until-idle]

One transaction a sale: claim the reaction, count the line once, raise what is owed, publish that, mark the reaction done.
Any number of these may run at once. A sale whose recording is not known here yet goes on waiting.
"""

import json
import os
import signal
import sys
import threading

import psycopg
from psycopg.errors import DeadlockDetected, SerializationFailure

CLAIM = """
SELECT i.number, i.id, (i.key::json ->> 0)::integer, w.work_no, w.performed_by,
       (i.payload::json #>> '{carries,copies}')::integer, (i.payload::json #>> '{carries,paidEach}')::numeric
  FROM seamline.inbox i
  JOIN work w ON w.work_no = (i.payload::json #>> '{carries,trackId}')::bigint
 WHERE i.subscription = 'royalties/sales' AND i.event = 'CopiesSold' AND i.state = 'waiting'
 ORDER BY i.number
 LIMIT 1
   FOR UPDATE OF i SKIP LOCKED"""

BEGIN_ROYALTY = """
INSERT INTO royalty (track_id, payee, rate)
VALUES (%(track)s, %(payee)s, coalesce((SELECT rate FROM agreement WHERE payee = %(payee)s), 0.12))
    ON CONFLICT (track_id) DO NOTHING"""

# A line that has an entry is not counted again: then nothing is returned.
COUNT = """
WITH counted AS (
  INSERT INTO entry (line_id, track_id, copies, amount, cause)
  SELECT %(line)s, track_id, %(copies)s, %(copies)s * %(paid_each)s * rate, %(cause)s FROM royalty WHERE track_id = %(track)s
      ON CONFLICT (line_id) DO NOTHING
  RETURNING copies, amount
)
UPDATE royalty r
   SET copies_counted = r.copies_counted + c.copies, owed = r.owed + c.amount
  FROM counted c
 WHERE r.track_id = %(track)s
RETURNING r.payee, r.owed"""

stopping = threading.Event()


def react(conn):
    """Works off one reaction, and returns what came of it, or None if none can be worked off."""
    with conn.transaction():
        claimed = conn.execute(CLAIM).fetchone()
        if claimed is None:
            return None
        number, cause, line, track, payee, copies, paid_each = claimed
        sale = dict(line=line, track=track, payee=payee, copies=copies, paid_each=paid_each, cause=cause)
        conn.execute(BEGIN_ROYALTY, sale)
        owed = conn.execute(COUNT, sale).fetchone()
        if owed:
            conn.execute(
                "SELECT seamline.publish('royalty', 'RoyaltyEarned', %s, causation => %s)",
                (json.dumps([str(track)]), cause),
            )
        conn.execute(
            "UPDATE seamline.inbox SET state = 'done', attempts = attempts + 1 WHERE number = %s", (number,)
        )
    if owed is None:
        return f"line {line} was counted before"
    return f"line {line}: {owed[1]} USD are owed to {owed[0] or 'nobody known'} for track {track}"


def main():
    until_idle = "--until-idle" in sys.argv[1:]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    done = retried = 0
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as conn:
        while not stopping.is_set():
            try:
                told = react(conn)
            except (SerializationFailure, DeadlockDetected):
                # Nothing of it happened, and the reaction is still waiting.
                retried += 1
                continue
            if told:
                print(told, flush=True)
                done += 1
            elif until_idle:
                break
            else:
                stopping.wait(0.2)
    print(f"royalties: {done} reactions, {retried} retried", flush=True)


if __name__ == "__main__":
    main()
