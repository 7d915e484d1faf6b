//! The proof that an estate holds: services write, workers carry, faults strike, and each is absorbed or found and blamed.

pub(crate) mod fault;

pub(crate) mod crew;
pub(crate) mod scene;
pub(crate) mod services;

pub(crate) mod hands;
pub(crate) mod inject;

pub(crate) mod story;
pub(crate) mod verdict;
