//! The languages of convoke and their one text form.
//!
//! [`layer`] is a net of tensors and ops; [`loops`] is what it becomes: loops over buffers. Both print, parse back to
//! the same value, and are checked by a verifier that finds every mistake, not just the first.
//!
//! | module | holds |
//! |---|---|
//! | [`elem`], [`shape`], [`types`], [`values`] | what a tensor is |
//! | [`layer`] | layer IR: op table, shape rules, builder |
//! | [`loops`] | loop IR: functions, affine addresses, builder |
//! | [`attr`] | attribute values |
//! | [`text`] | parser and printer |
//! | [`memory`] | memory for numbers |
//! | [`limits`] | how much may be taken |
//! | [`diagnostic`], [`span`] | what is wrong, and where |

#![forbid(unsafe_code)]

pub mod arena;
pub mod attr;
pub mod diagnostic;
pub mod elem;
pub mod layer;
pub mod limits;
pub mod loops;
pub mod memory;
pub mod shape;
pub mod span;
pub mod text;
pub mod types;
pub mod values;
