//! Nothing of mod_wsgi's is forgotten: `tests/compat` lists every name that a configuration, an application or an
//! administrator may know of it, each with the tests that show what becomes of it here.
//!
//! A line is a name and its evidence: `file::test` of `tests/tests`, `row:slug` of the conformance suite,
//! `path/of/file.rs::test` of a crate, or `! reason` where there can be no test, or no effect to test.
//!
//! A list alone could lose a line and nobody would see it. Each has another side, which has to have the same names:
//!
//! * [`source`]: the tables of this project's own source
//! * [`live`]: what a real worker has and gives, in requests that bring everything
//! * [`notes`]: the compatibility notes, where they lie beside the repository
//!
//! [`evidence`] says whether the tests are there, and [`idle`] holds those of names without effect.

mod evidence;
mod idle;
mod lists;
mod live;
mod notes;
mod source;
