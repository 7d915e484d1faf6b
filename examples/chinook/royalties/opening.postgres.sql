-- Opens the books: counts every line in the projection `sold` that has no entry yet. A backfill tells of no events, so that
-- the sales of years ago are in nobody's inbox. Running it again changes nothing.
BEGIN;
INSERT INTO royalty (track_id, payee, rate)
SELECT DISTINCT w.work_no, w.performed_by, coalesce(a.rate, 0.12)
  FROM sold s
  JOIN work w ON w.work_no = s.work_no
  LEFT JOIN agreement a ON a.payee = w.performed_by
    ON CONFLICT (track_id) DO NOTHING;

WITH counted AS (
  INSERT INTO entry (line_id, track_id, copies, amount)
  SELECT s.sale_no, s.work_no, s.copies, s.copies * s.paid_each * r.rate
    FROM sold s
    JOIN royalty r ON r.track_id = s.work_no
      ON CONFLICT (line_id) DO NOTHING
  RETURNING track_id, copies, amount
)
UPDATE royalty r
   SET copies_counted = r.copies_counted + c.copies, owed = r.owed + c.amount
  FROM (SELECT track_id, sum(copies) AS copies, sum(amount) AS amount FROM counted GROUP BY track_id) c
 WHERE c.track_id = r.track_id;
COMMIT;
