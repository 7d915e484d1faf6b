//! Hostile texts in each format, and what the formats require.
