-- The words of the royalties department over its own books.
CREATE VIEW IF NOT EXISTS royalty_current AS
SELECT track_id, payee, printf('%d.%02d', rate / 100, rate % 100) AS rate, copies_counted,
       printf('%d.%04d', owed / 10000, owed % 10000) AS owed
  FROM royalty;
