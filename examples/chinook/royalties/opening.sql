-- Opens the books: counts every line in the projection `sold` that has no entry yet. A backfill tells of no events, so that
-- the sales of years ago are in nobody's inbox. Running it again changes nothing.
BEGIN IMMEDIATE;
INSERT INTO royalty (track_id, payee, rate)
SELECT DISTINCT w.work_no, w.performed_by, coalesce(a.rate, 12)
  FROM sold s
  JOIN work w ON w.work_no = s.work_no
  LEFT JOIN agreement a ON a.payee = w.performed_by
 WHERE true
    ON CONFLICT (track_id) DO NOTHING;

INSERT INTO entry (line_id, track_id, copies, amount)
SELECT s.sale_no, s.work_no, s.copies, s.copies * CAST(round(s.paid_each * 100) AS INTEGER) * r.rate
  FROM sold s
  JOIN royalty r ON r.track_id = s.work_no
 WHERE true
    ON CONFLICT (line_id) DO NOTHING;

UPDATE royalty
   SET (copies_counted, owed) = (SELECT sum(copies), sum(amount) FROM entry e WHERE e.track_id = royalty.track_id);
COMMIT;
