//! The commands, one file each.

pub(crate) mod algorithms;
#[cfg(feature = "analyze")]
pub(crate) mod analyze;
pub(crate) mod bench;
pub(crate) mod check;
#[cfg(feature = "compile")]
pub(crate) mod compile;
pub(crate) mod docs;
pub(crate) mod explain;
pub(crate) mod import;
pub(crate) mod machine;
pub(crate) mod opt;
pub(crate) mod passes;
pub(crate) mod reduce;
pub(crate) mod run;
pub(crate) mod targets;
pub(crate) mod verify;
