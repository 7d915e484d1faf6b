-- Customer care's own words over the table that it keeps.
CREATE VIEW IF NOT EXISTS customer_current AS
SELECT CustomerId AS customer_id, FirstName AS first_name, LastName AS last_name, Company AS company, Email AS email,
       Phone AS phone
  FROM Customer;
