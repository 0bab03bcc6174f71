//! Times runs one by one.

use std::time::{Duration, Instant};

/// Calls `run` again and again until `least` has passed, once at the fewest, and gives the seconds that each call took.
///
/// Reading the clock costs some 25 ns of each.
///
/// # Errors
///
/// The first error of `run`.
pub fn time<E>(least: Duration, mut run: impl FnMut() -> Result<(), E>) -> Result<Vec<f64>, E> {
    let mut seconds = Vec::new();
    let start = Instant::now();
    loop {
        let one = Instant::now();
        run()?;
        seconds.push(one.elapsed().as_secs_f64());
        if start.elapsed() >= least {
            return Ok(seconds);
        }
    }
}

/// The number below which the fraction `q` of `sorted` lies, the nearest of them; NaN of none.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = (sorted.len().saturating_sub(1) as f64 * q).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_once_at_the_fewest_and_stops_at_an_error() {
        assert_eq!(time(Duration::ZERO, || Ok::<(), ()>(())).expect("no error").len(), 1);
        let mut left = 3;
        let run = || {
            left -= 1;
            if left == 0 { Err("third") } else { Ok(()) }
        };
        assert_eq!(time(Duration::from_secs(3600), run), Err("third"));
    }

    #[test]
    fn quantiles_are_elements() {
        let sorted = [1.0, 2.0, 4.0, 8.0, 16.0];
        assert_eq!([0.0, 0.1, 0.5, 0.9, 1.0].map(|q| quantile(&sorted, q)), [1.0, 1.0, 4.0, 16.0, 16.0]);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
