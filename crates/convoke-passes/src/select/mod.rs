//! Algorithm selection: every candidate, its cost, and the choice.
