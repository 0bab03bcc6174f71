//! The report of a net: an overview of its ops in the place of a long report for each convolution.

mod graph;
mod json;
mod layered;
mod page;
mod rows;
mod shape;
#[cfg(test)]
mod tests;
mod text;

pub(super) use json::{json, measured};
pub(super) use page::page;
pub(super) use rows::{Net, is_net};
pub(super) use text::text;
