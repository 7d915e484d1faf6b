-- The words of the royalties department over its own books.
CREATE VIEW royalty_current AS
SELECT track_id, payee, rate, copies_counted, owed FROM royalty;
