-- What customer care keeps of Chinook's tables: who its customers are, and who of the staff looks after them. The script's
-- database is attached as `chinook`.
CREATE TABLE Employee (EmployeeId INTEGER PRIMARY KEY, FirstName TEXT NOT NULL, LastName TEXT NOT NULL, Email TEXT);
CREATE TABLE Customer (CustomerId INTEGER PRIMARY KEY, FirstName TEXT NOT NULL, LastName TEXT NOT NULL, Company TEXT,
  Phone TEXT, Email TEXT NOT NULL, SupportRepId INTEGER);

INSERT INTO Employee SELECT EmployeeId, FirstName, LastName, Email FROM chinook.Employee;
INSERT INTO Customer SELECT CustomerId, FirstName, LastName, Company, Phone, Email, SupportRepId FROM chinook.Customer;
