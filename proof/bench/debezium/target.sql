-- The projection without markers: the sink keeps none. Dates and amounts are text, because it casts arrays of text to nothing
-- else where it writes by UNNEST; with its other ways of writing they could be typed, and it would be slower.
CREATE TABLE policy (
    policy_ref text PRIMARY KEY,
    may_open_claim boolean NOT NULL,
    cover_from text NOT NULL,
    cover_to text,
    product text NOT NULL,
    holder text NOT NULL,
    premium text NOT NULL
);
