//! Ranks by analytic variational Bayes: how many singular values stand out of the noise that the smaller ones suggest.
//!
//! ```text
//!   L ≤ M, α = L/M, τ̄ = 2.5129 √α, x̄ = (1 + τ̄)(1 + α/τ̄);    rank = #{ σ² > M·s·x̄ }    s: the noise variance
//! ```
//!
//! s minimises the free energy (equation 25 of the source), over a grid and then by golden section.
//!
//! Source  Nakajima, Sugiyama, Babacan, Tomioka, Global Analytic Solution of Fully-observed Variational Bayesian Matrix Factorization, JMLR 14, 2013.

/// The rank that variational Bayes gives a `rows × columns` matrix with these singular values, largest first; all of them, as a thin
/// decomposition gives.
pub fn rank(rows: usize, columns: usize, values: &[f64]) -> usize {
    let (l, m) = (rows.min(columns) as f64, rows.max(columns) as f64);
    let total: f64 = values.iter().map(|s| s * s).sum();
    if values.is_empty() || total <= 0.0 || !total.is_finite() {
        return 0;
    }
    let alpha = l / m;
    let tau = 2.5129 * alpha.sqrt();
    let x_bar = (1.0 + tau) * (1.0 + alpha / tau);

    // Between them lies the variance: as if all were noise, and as if no more than L/(1 + α) were signal.
    let most = ((l / (1.0 + alpha)).ceil() as usize).saturating_sub(1).min(values.len() - 1);
    let rest = &values[most..];
    let mean = rest.iter().map(|s| s * s).sum::<f64>() / rest.len() as f64;
    let upper = total / (l * m);
    let lower = (rest[0] * rest[0] / (m * x_bar)).max(mean / m).max(upper * 1e-30);
    let energy = |log: f64| free_energy(log.exp(), l, m, alpha, x_bar, values);
    let variance = minimum(lower.ln(), upper.ln().max(lower.ln()), energy).exp();
    values.iter().filter(|s| **s * **s > m * variance * x_bar).count()
}

fn free_energy(variance: f64, l: f64, m: f64, alpha: f64, x_bar: f64, values: &[f64]) -> f64 {
    let terms = values.iter().map(|s| {
        let x = (s * s / (m * variance)).max(f64::MIN_POSITIVE);
        if x <= x_bar {
            return x - x.ln();
        }
        let b = x - (1.0 + alpha);
        let tau = 0.5 * (b + (b * b - 4.0 * alpha).max(0.0).sqrt());
        x - tau + ((tau + 1.0) / x).ln() + alpha * (tau / alpha + 1.0).ln()
    });
    terms.sum::<f64>() + (l - values.len() as f64) * variance.ln()
}

/// Where `f` is least between two numbers: the best of a grid, then golden section around it.
fn minimum(low: f64, high: f64, f: impl Fn(f64) -> f64) -> f64 {
    const GRID: usize = 64;
    let step = (high - low) / GRID as f64;
    let at = |i: usize| low + step * i as f64;
    let best = (0..=GRID).min_by(|&a, &b| f(at(a)).total_cmp(&f(at(b)))).unwrap_or(0);
    let (mut a, mut b) = (at(best.saturating_sub(1)), at((best + 1).min(GRID)));
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    for _ in 0..60 {
        let (left, right) = (b - golden * (b - a), a + golden * (b - a));
        if f(left) < f(right) { b = right } else { a = left }
    }
    (a + b) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::{Matrix, Svd};

    #[test]
    fn signal_is_told_from_noise() {
        let mut random = Random::new(5);
        for (rank_in, rows, columns) in [(0, 40, 90), (3, 40, 90), (10, 64, 576), (7, 120, 50)] {
            let mut of = |r, c| Matrix::from_fn(r, c, |_, _| random.normal());
            let (a, b, noise) = (of(rows, rank_in.max(1)), of(rank_in.max(1), columns), of(rows, columns));
            let signal = a.times(&b);
            let gain = if rank_in == 0 { 0.0 } else { 1.0 };
            let sum = Matrix::from_fn(rows, columns, |i, j| gain * signal.at(i, j) + 0.3 * noise.at(i, j));
            let svd = Svd::new(&sum).expect("finite");
            assert_eq!(rank(rows, columns, &svd.values), rank_in, "{rows} × {columns}");
        }
        assert_eq!(rank(3, 3, &[0.0; 3]), 0);
    }
}
