-- The repertoire's own words over the tables that it keeps.
CREATE VIEW track_current AS
SELECT t.track_id, t.name AS title, b.title AS album_title, a.name AS artist_name, g.name AS genre, t.composer,
       t.milliseconds AS playing_time
  FROM track t
  LEFT JOIN album b ON b.album_id = t.album_id
  LEFT JOIN artist a ON a.artist_id = b.artist_id
  LEFT JOIN genre g ON g.genre_id = t.genre_id;
