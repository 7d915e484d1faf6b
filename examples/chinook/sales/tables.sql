-- What commerce keeps of Chinook's tables: of Track the price alone, of Customer where invoices go. Prices and totals stay
-- the binary floats that they are there. The script's database is attached as `chinook`.
CREATE TABLE Track (TrackId INTEGER PRIMARY KEY, UnitPrice NUMERIC(10,2) NOT NULL);
CREATE TABLE Customer (CustomerId INTEGER PRIMARY KEY, City TEXT, Country TEXT);
CREATE TABLE Invoice (InvoiceId INTEGER PRIMARY KEY, CustomerId INTEGER NOT NULL, InvoiceDate DATETIME NOT NULL,
  Total NUMERIC(10,2) NOT NULL);
CREATE TABLE InvoiceLine (InvoiceLineId INTEGER PRIMARY KEY, InvoiceId INTEGER NOT NULL, TrackId INTEGER NOT NULL,
  UnitPrice NUMERIC(10,2) NOT NULL, Quantity INTEGER NOT NULL);

INSERT INTO Track SELECT TrackId, UnitPrice FROM chinook.Track;
INSERT INTO Customer SELECT CustomerId, City, Country FROM chinook.Customer;
INSERT INTO Invoice SELECT InvoiceId, CustomerId, InvoiceDate, Total FROM chinook.Invoice;
INSERT INTO InvoiceLine SELECT InvoiceLineId, InvoiceId, TrackId, UnitPrice, Quantity FROM chinook.InvoiceLine;
