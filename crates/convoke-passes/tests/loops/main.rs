//! The passes over loop IR: none changes the numbers that a program computes, and some keep limits of size and time.
//!
//! Inputs are small whole numbers, so that sums in another order are the same sums and programs agree to the bit.

mod corners;
mod harness;
mod pieces;
mod programs;
mod random;
mod transpose;
