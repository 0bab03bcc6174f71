//! The generators of [`Generator`]: numbers made by rule, bit for bit the same on every machine.
//!
//! Kernels fill the last two axes, `[…, H, W]`, and repeat over the others. Rows and columns are counted from the
//! centre: `v = row − (H − 1)/2`, `u = column − (W − 1)/2`. Exponentials and cosines are computed in software.

use std::f64::consts::PI;

use convoke_ir::layer::Generator;

use crate::random::Sequence;

/// Appends the numbers of a tensor of extents `dims` to `out`. `dims` must be extents [`Generator::refuses`] accepts.
pub(crate) fn generate(generator: &Generator, dims: &[usize], out: &mut Vec<f64>) {
    let count: usize = dims.iter().product();
    let sobel = [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]];
    match *generator {
        Generator::Normal { seed, mean, std } => {
            out.resize(count, 0.0);
            for (chunk, part) in out.chunks_mut(1024).enumerate() {
                Sequence::new(seed, 0).normals(chunk * 1024, part);
                part.iter_mut().for_each(|x| *x = mean + std * *x);
            }
        }
        Generator::Uniform { seed, low, high } => {
            let sequence = Sequence::new(seed, 1);
            // Written so that neither the span nor the sum overflows.
            out.extend((0..count).map(|i| {
                let t = sequence.uniform(i);
                (low * (1.0 - t) + high * t).clamp(low, high)
            }));
        }
        Generator::Gaussian { sigma } => kernel(dims, out, |h, w| {
            // Relative to the taps nearest to the centre, of which an even kernel has four: a narrow envelope then
            // does not vanish everywhere. The scale takes the factor out again.
            let square = |v: f64, u: f64| u * u + v * v;
            let nearest = square((h + 1) as f64 % 2.0 / 2.0, (w + 1) as f64 % 2.0 / 2.0);
            let mut taps = taps(h, w, |v, u| libm::exp(-(square(v, u) - nearest) / sigma / sigma / 2.0));
            let sum: f64 = taps.iter().sum();
            taps.iter_mut().for_each(|t| *t /= sum);
            taps
        }),
        Generator::Box {} => kernel(dims, out, |h, w| vec![1.0 / (h * w) as f64; h * w]),
        Generator::SobelX {} => kernel(dims, out, |_, _| sobel.concat()),
        Generator::SobelY {} => kernel(dims, out, |_, _| (0..9).map(|i| sobel[i % 3][i / 3]).collect()),
        Generator::Laplacian {} => kernel(dims, out, |_, _| vec![0.0, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0]),
        Generator::Gabor { sigma, theta, lambda, gamma, psi } => kernel(dims, out, |h, w| {
            let (cos, sin) = (libm::cos(theta), libm::sin(theta));
            taps(h, w, |v, u| {
                let (along, across) = (u * cos + v * sin, -u * sin + v * cos);
                let envelope = libm::exp(-(along * along + gamma * gamma * across * across) / sigma / sigma / 2.0);
                envelope * libm::cos(2.0 * PI * along / lambda + psi)
            })
        }),
        Generator::ZonePlate {} => {
            kernel(dims, out, |h, w| taps(h, w, |v, u| 0.5 + 0.5 * libm::cos(PI * (u * u + v * v) / h.max(w) as f64)))
        }
        Generator::Zeros {} => out.resize(count, 0.0),
        Generator::Ones {} => out.resize(count, 1.0),
        Generator::Identity {} => {
            out.resize(count, 0.0);
            let (inner, rest) = (count / (dims[0] * dims[1]), &dims[2..]);
            let centre = rest.iter().fold(0, |at, &d| at * d + (d - 1) / 2);
            for i in 0..dims[0].min(dims[1]) {
                out[(i * dims[1] + i) * inner + centre] = 1.0;
            }
        }
    }
}

/// Repeats the kernel of the last two axes over the others.
fn kernel(dims: &[usize], out: &mut Vec<f64>, make: impl FnOnce(usize, usize) -> Vec<f64>) {
    let &[ref others @ .., h, w] = dims else { return };
    let taps = make(h, w);
    for _ in 0..others.iter().product() {
        out.extend_from_slice(&taps);
    }
}

fn taps(h: usize, w: usize, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let from_centre = |i: usize, extent: usize| i as f64 - (extent - 1) as f64 / 2.0;
    (0..h * w).map(|i| f(from_centre(i / w, h), from_centre(i % w, w))).collect()
}
