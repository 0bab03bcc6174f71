//! Passes over layer IR.
