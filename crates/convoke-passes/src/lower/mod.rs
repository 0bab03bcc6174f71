//! Lowering: each op of the layer IR as loops.
