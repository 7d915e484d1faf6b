//! Envelope, payload codec and validation compiled from a contract, canonical bytes, digests.
