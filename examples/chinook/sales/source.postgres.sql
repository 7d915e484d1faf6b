-- Commerce's own words over the tables that it keeps. Its times are without a zone, and the shop books by UTC.
CREATE VIEW price_current AS
SELECT track_id, unit_price FROM track;

CREATE VIEW invoice_current AS
SELECT invoice_id, customer_id, invoice_date::date AS booked_on, total FROM invoice;

CREATE VIEW buyer_current AS
SELECT customer_id, city AS billing_city, country AS billing_country FROM customer;

CREATE VIEW sale_current AS
SELECT l.invoice_line_id AS line_id, l.invoice_id, l.track_id, i.invoice_date::date AS sold_on, l.quantity AS copies,
       l.unit_price AS paid_each
  FROM invoice_line l
  JOIN invoice i ON i.invoice_id = l.invoice_id;
