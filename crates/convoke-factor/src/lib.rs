//! Factorisations of convolution kernels: numbers in, factors out. Knows nothing of layers.
//!
//! ```text
//!   matrix    A ≈ Σ_t column_t · row_t                    separable kernels, 1×1 layers          svd, exact
//!   Tucker-2  W[m,c,r,s] ≈ Σ_ij E[m,i] G[i,j,r,s] D[j,c]   a bottleneck                            tucker, evbmf
//!   CP        W[m,c,r,s] ≈ Σ_t E[m,t] v[t,r] h[t,s] D[t,c]   1×1, K×1, 1×K, 1×1                     cp
//!   stack     k = k_1 ∗ k_2 ∗ …                            small kernels for a large one           polynomial, stack
//!   pair      W[m,c,·] ≈ Σ_j B[m,j,·] ∗ A[j,c,·]            the same of a layer that mixes channels  pair
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`matrix`] | dense matrices, row-major |
//! | [`svd`] | singular values, the error of each rank, the best factors of a rank |
//! | [`exact`] | rank over the rationals, by elimination modulo primes |
//! | [`tucker`] | Tucker-2 of a layer's weights over its channels |
//! | [`evbmf`] | ranks by analytic variational Bayes |
//! | [`cp`] | canonical polyadic form of a layer's weights, by alternating least squares |
//! | [`polynomial`] | 1-D kernels as products of kernels of at most three taps |
//! | [`stack`] | 2-D kernels as products of small ones, fitted |
//! | [`pair`] | a layer that mixes channels as two of small kernels, fitted |
//! | [`work`] | a limit on the work of a search |
//!
//! Errors are relative and in the Frobenius norm, unless a name says otherwise. All of it is deterministic for a given CPU: starts of
//! iterations are seeded, nothing runs on threads. Between CPUs the last digits of an SVD may differ, as its sums are vectorised.

#![forbid(unsafe_code)]

pub mod cp;
mod descent;
pub mod evbmf;
pub mod exact;
mod field;
pub mod matrix;
pub mod pair;
pub mod polynomial;
mod random;
mod solve;
pub mod stack;
pub mod svd;
pub mod tucker;
pub mod work;

pub use matrix::Matrix;
pub use svd::Svd;
pub use work::Work;

/// Why something has no factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactorError {
    /// An infinity or a NaN among the numbers.
    #[error("an infinity or a NaN is among the numbers")]
    NotFinite,
    /// An iteration that should end did not.
    #[error("the iteration that finds factors did not converge")]
    NoConvergence,
    /// More multiplications than were allowed.
    #[error("finding factors takes more multiplications than are allowed")]
    TooMuchWork,
}
