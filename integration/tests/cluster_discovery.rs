//! Merged discovery on real servers.
