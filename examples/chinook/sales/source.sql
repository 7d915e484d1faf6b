-- Commerce's own words over the tables that it keeps. SQLite stores NUMERIC(10,2) as a binary float, so the amount is
-- rounded to the cent that was meant, as text; its dates are texts without a zone, and the shop books by UTC.
CREATE VIEW IF NOT EXISTS price_current AS
SELECT TrackId AS track_id, printf('%.2f', UnitPrice) AS unit_price FROM Track;

CREATE VIEW IF NOT EXISTS invoice_current AS
SELECT InvoiceId AS invoice_id, CustomerId AS customer_id, date(InvoiceDate) AS booked_on, printf('%.2f', Total) AS total
  FROM Invoice;

CREATE VIEW IF NOT EXISTS buyer_current AS
SELECT CustomerId AS customer_id, City AS billing_city, Country AS billing_country FROM Customer;

CREATE VIEW IF NOT EXISTS sale_current AS
SELECT l.InvoiceLineId AS line_id, l.InvoiceId AS invoice_id, l.TrackId AS track_id, date(i.InvoiceDate) AS sold_on,
       l.Quantity AS copies, printf('%.2f', l.UnitPrice) AS paid_each
  FROM InvoiceLine l
  JOIN Invoice i ON i.InvoiceId = l.InvoiceId;
