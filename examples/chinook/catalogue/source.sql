-- The repertoire's own words over the tables that it keeps.
CREATE VIEW IF NOT EXISTS track_current AS
SELECT t.TrackId AS track_id, t.Name AS title, b.Title AS album_title, a.Name AS artist_name, g.Name AS genre,
       t.Composer AS composer, t.Milliseconds AS playing_time
  FROM Track t
  LEFT JOIN Album b ON b.AlbumId = t.AlbumId
  LEFT JOIN Artist a ON a.ArtistId = b.ArtistId
  LEFT JOIN Genre g ON g.GenreId = t.GenreId;
