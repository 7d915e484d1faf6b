-- What customer care keeps of Chinook's tables: who its customers are, and who of the staff looks after them.
CREATE TABLE employee (employee_id integer PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL, email text);
CREATE TABLE customer (customer_id integer PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL, company text,
  phone text, email text NOT NULL, support_rep_id integer REFERENCES employee);

INSERT INTO employee SELECT employee_id, first_name, last_name, email FROM chinook.employee;
INSERT INTO customer SELECT customer_id, first_name, last_name, company, phone, email, support_rep_id FROM chinook.customer;

-- For which invoices customers were thanked. An invoice that stands here twice would be one reaction too many.
CREATE TABLE thanks (invoice_no integer NOT NULL, thanked_at timestamptz NOT NULL DEFAULT now());
