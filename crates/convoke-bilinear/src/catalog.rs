//! The algorithms that come with convoke, each proved when it is asked for.

use crate::algorithm::Bilinear;
use crate::fft;
use crate::file;
use crate::karatsuba::karatsuba;
use crate::matmul::{laderman, strassen, strassen_winograd};
use crate::proof::Proved;
use crate::winograd::{strided, winograd};

/// The sizes m, r of the Winograd algorithms in the list.
const WINOGRAD: [(usize, usize); 10] = [(2, 3), (3, 3), (4, 3), (6, 3), (8, 3), (2, 5), (4, 5), (2, 7), (4, 7), (3, 2)];
/// The sizes m, r and the steps of those that move by more than 1.
const STRIDED: [(usize, usize, usize); 4] = [(2, 3, 2), (4, 3, 2), (4, 5, 2), (4, 7, 2)];
/// The points and taps of the Fourier transforms.
const FFT: [(usize, usize); 3] = [(8, 3), (16, 7), (32, 15)];
/// ⟨4,4,4⟩ in 48 products.
const RANK_48: &str = include_str!("../../../algorithms/dumas-pernet-sedoglavic-4x4x4.toml");

/// Every algorithm, correlations first.
pub fn all() -> Vec<Proved> {
    let winograds = WINOGRAD.iter().map(|&(m, r)| winograd(m, r).expect("sizes within the limits"));
    let strideds = STRIDED.iter().map(|&(m, r, s)| strided(m, r, s).expect("sizes within the limits"));
    let ffts = FFT.iter().map(|&(points, taps)| fft::correlation(points, taps).expect("powers of two"));
    let correlations: Vec<Bilinear> =
        std::iter::once(karatsuba()).chain(winograds).chain(strideds).chain(ffts).collect();
    let matmuls = [strassen(), strassen_winograd(), laderman()];
    let prove = |a: Bilinear| a.prove().expect("the tests prove every algorithm of this list");
    let mut all: Vec<Proved> = correlations.into_iter().map(prove).collect();
    let squares = [("winograd-2-3", "winograd-2x2-3x3"), ("winograd-4-3", "winograd-4x4-3x3")];
    for (of, name) in squares {
        let one = all.iter().find(|a| a.name == of).expect("listed above");
        let square = one.tensor(one).expect("both are correlations");
        all.push(square.named(name));
    }
    let nested = all[0].recursive(2).expect("F(2, 2) nests");
    all.insert(1, nested.named("karatsuba-4-4"));
    all.extend(matmuls.into_iter().map(prove));
    let strassens = all.iter().find(|a| a.name == "strassen").and_then(|a| a.recursive(2));
    all.push(strassens.expect("listed above").named("strassen-4x4x4"));
    all.push(file::parse(RANK_48).expect("the tests prove every algorithm of this list"));
    all
}

/// The algorithm of this name.
pub fn find(name: &str) -> Option<Proved> {
    all().into_iter().find(|a| a.name == name)
}

impl Proved {
    /// The same algorithm under another name.
    fn named(self, name: &str) -> Proved {
        let off = self.off().clone();
        Proved::by_theorem(Bilinear { name: name.into(), ..self.into_inner() }, off)
    }
}
