//! Bounds and estimates of error against what single precision does.

mod data;
mod published;
mod single;
mod tiles;
