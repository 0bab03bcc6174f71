//! Minimising a smooth function of many variables from a start: limited-memory BFGS.
//!
//! Source  Liu, Nocedal, On the limited memory BFGS method for large scale optimization, Mathematical Programming 45, 1989. Steps are halved until the function
//!         falls by a ten-thousandth of what the slope promises (Armijo); pairs without positive curvature are left out.

/// Pairs of steps and changes of slope that are kept.
const MEMORY: usize = 20;
/// The most halvings of a step.
const HALVINGS: usize = 30;
/// Iterations over which a start must lower the value by [`PROGRESS`] of it, or ends.
const PATIENCE: usize = 10;
/// See [`PATIENCE`].
const PROGRESS: f64 = 1e-3;

/// Goes down from `x`: `f` gives the value and the slope there. Ends after `iterations`, below `enough`, or where nothing is gained any more. Gives the last
/// place and its value.
pub(crate) fn minimise(
    mut f: impl FnMut(&[f64]) -> (f64, Vec<f64>),
    mut x: Vec<f64>,
    iterations: usize,
    enough: f64,
) -> (Vec<f64>, f64) {
    let (mut value, mut slope) = f(&x);
    let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let mut values = vec![value];
    for _ in 0..iterations {
        let down = direction(&pairs, &slope);
        let steepness = dot(&down, &slope);
        if steepness >= 0.0 || steepness.is_nan() || value <= enough {
            break;
        }
        // Without any knowledge of curvature the first step is as long as x.
        let mut length = match pairs.is_empty() {
            true => (dot(&x, &x) / dot(&down, &down)).sqrt(),
            false => 1.0,
        };
        let mut found = None;
        for _ in 0..HALVINGS {
            let moved: Vec<f64> = x.iter().zip(&down).map(|(x, d)| x + length * d).collect();
            let (next, next_slope) = f(&moved);
            if next <= value + 1e-4 * length * steepness {
                found = Some((moved, next, next_slope));
                break;
            }
            length /= 2.0;
        }
        let Some((moved, next, next_slope)) = found else { break };
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
        let pair = (difference(&moved, &x), difference(&next_slope, &slope));
        if dot(&pair.0, &pair.1) > 0.0 {
            pairs.push(pair);
            if pairs.len() > MEMORY {
                pairs.remove(0);
            }
        }
        (x, value, slope) = (moved, next, next_slope);
        values.push(value);
        if values.len() > PATIENCE && values[values.len() - 1 - PATIENCE] - value < PROGRESS * value {
            break;
        }
    }
    (x, value)
}

/// The direction of a quasi-Newton step, by the two loops of the method.
fn direction(pairs: &[(Vec<f64>, Vec<f64>)], slope: &[f64]) -> Vec<f64> {
    let mut down: Vec<f64> = slope.iter().map(|v| -v).collect();
    let mut parts = Vec::new();
    for (step, change) in pairs.iter().rev() {
        let part = dot(step, &down) / dot(step, change);
        add(&mut down, change, -part);
        parts.push(part);
    }
    if let Some((step, change)) = pairs.last() {
        let scale = dot(step, change) / dot(change, change);
        down.iter_mut().for_each(|v| *v *= scale);
    }
    for ((step, change), part) in pairs.iter().zip(parts.into_iter().rev()) {
        let back = dot(change, &down) / dot(step, change);
        add(&mut down, step, part - back);
    }
    down
}

fn add(to: &mut [f64], what: &[f64], times: f64) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += times * what);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curved_valley_is_followed_to_its_end() {
        let rosenbrock = |x: &[f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            (a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * b * x[0], 200.0 * b])
        };
        let (x, value) = minimise(rosenbrock, vec![-1.2, 1.0], 200, 1e-20);
        assert!(value < 1e-15 && (x[0] - 1.0).abs() < 1e-6, "{x:?} {value:e}");
    }
}
