//! The passes over loop IR: what each makes of a small text, and that none changes what a program computes.
//!
//! Inputs are small whole numbers, so that sums in another order are the same sums and programs agree to the bit.

mod corners;
mod harness;
mod pieces;
mod programs;
mod random;
mod rewrites;
mod transpose;
