//! Passes over loop IR.
