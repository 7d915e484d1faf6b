//! What changes are called, and whom they break.
