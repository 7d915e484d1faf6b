-- Works off the inbox, all of it or nothing: each line that was sold becomes an entry, what is owed for its recording
-- rises, that is published, and the reaction is done. A line that has an entry is not counted again. A reaction whose
-- recording is not known here yet goes on waiting.
BEGIN IMMEDIATE;
CREATE TEMP TABLE claimed AS
SELECT i.id, w.work_no, CAST(json_extract(i.key, '$[0]') AS INTEGER) AS line_id,
       CAST(json_extract(i.payload, '$.carries.copies') AS INTEGER) AS copies,
       CAST(round(json_extract(i.payload, '$.carries.paidEach') * 100) AS INTEGER) AS cents_each
  FROM seamline_inbox i
  JOIN work w ON w.work_no = CAST(json_extract(i.payload, '$.carries.trackId') AS INTEGER)
 WHERE i.subscription = 'royalties/sales' AND i.state = 'waiting' AND i.event = 'CopiesSold'
 ORDER BY i.number;

INSERT INTO royalty (track_id, payee, rate)
SELECT DISTINCT w.work_no, w.performed_by, coalesce(a.rate, 12)
  FROM claimed c
  JOIN work w ON w.work_no = c.work_no
  LEFT JOIN agreement a ON a.payee = w.performed_by
 WHERE true
    ON CONFLICT (track_id) DO NOTHING;

INSERT INTO entry (line_id, track_id, copies, amount, cause)
SELECT c.line_id, c.work_no, c.copies, c.copies * c.cents_each * r.rate, c.id
  FROM claimed c
  JOIN royalty r ON r.track_id = c.work_no
 WHERE true
    ON CONFLICT (line_id) DO NOTHING;

UPDATE royalty
   SET (copies_counted, owed) = (SELECT sum(copies), sum(amount) FROM entry e WHERE e.track_id = royalty.track_id)
 WHERE track_id IN (SELECT work_no FROM claimed);

INSERT INTO seamline_publish (contract, change, key, causation)
SELECT 'royalty', 'RoyaltyEarned', json_array(CAST(e.track_id AS TEXT)), max(c.id)
  FROM claimed c
  JOIN entry e ON e.cause = c.id
 GROUP BY e.track_id;

UPDATE seamline_inbox SET state = 'done' WHERE id IN (SELECT id FROM claimed) AND subscription = 'royalties/sales';
DROP TABLE claimed;
COMMIT;
