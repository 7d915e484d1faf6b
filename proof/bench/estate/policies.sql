-- The producer's own table: the service writes it, the contract's source view reads it.
CREATE TABLE policy_current (
    policy_no text PRIMARY KEY,
    claims_status text NOT NULL,
    cover_from date NOT NULL,
    cover_to date,
    product text NOT NULL,
    holder_name text NOT NULL,
    annual_premium numeric(12, 2) NOT NULL
);
