-- Customer care's own words over the table that it keeps.
CREATE VIEW customer_current AS
SELECT customer_id, first_name, last_name, company, email, phone FROM customer;
