//! The reference: runs layer IR and loop IR with plain loops in f64, and bounds rounding errors.
