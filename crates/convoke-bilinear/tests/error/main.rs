//! Bounds and estimates of error against what single precision does.

mod data;
mod products;
mod published;
mod single;
mod tiles;

/// The unit roundoff of single precision.
const U: f64 = f32::EPSILON as f64 / 2.0;
