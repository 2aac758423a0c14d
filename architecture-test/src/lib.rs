//! This crate has only tests, in `tests/architecture`: no file of the workspace
//! has more than 400 lines, and no files of a crate import each other in a
//! circle. It is a crate of its own, without dependencies, so that the answer
//! takes a second to build and belongs to none of the crates that it is about.
