-- What commerce keeps of Chinook's tables: of track the price alone, of customer where invoices go.
CREATE TABLE track (track_id integer PRIMARY KEY, unit_price numeric(10,2) NOT NULL);
CREATE TABLE customer (customer_id integer PRIMARY KEY, city text, country text);
CREATE TABLE invoice (invoice_id integer PRIMARY KEY, customer_id integer NOT NULL, invoice_date timestamp NOT NULL,
  total numeric(10,2) NOT NULL);
CREATE TABLE invoice_line (invoice_line_id integer PRIMARY KEY, invoice_id integer NOT NULL REFERENCES invoice,
  track_id integer NOT NULL, unit_price numeric(10,2) NOT NULL, quantity integer NOT NULL);
CREATE INDEX invoice_line_invoice ON invoice_line (invoice_id);

INSERT INTO track SELECT track_id, unit_price FROM chinook.track;
INSERT INTO customer SELECT customer_id, city, country FROM chinook.customer;
INSERT INTO invoice SELECT invoice_id, customer_id, invoice_date, total FROM chinook.invoice;
INSERT INTO invoice_line SELECT invoice_line_id, invoice_id, track_id, unit_price, quantity FROM chinook.invoice_line;

-- Chinook numbers by hand; a shop with several tills cannot.
CREATE SEQUENCE invoice_number OWNED BY invoice.invoice_id;
CREATE SEQUENCE invoice_line_number OWNED BY invoice_line.invoice_line_id;
SELECT setval('invoice_number', (SELECT max(invoice_id) FROM invoice)),
       setval('invoice_line_number', (SELECT max(invoice_line_id) FROM invoice_line));
ALTER TABLE invoice ALTER invoice_id SET DEFAULT nextval('invoice_number');
ALTER TABLE invoice_line ALTER invoice_line_id SET DEFAULT nextval('invoice_line_number');
