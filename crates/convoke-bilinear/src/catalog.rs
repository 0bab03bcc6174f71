//! The algorithms that come with convoke, each proved when it is asked for.

use crate::algorithm::Bilinear;
use crate::karatsuba::karatsuba;
use crate::matmul::{laderman, strassen, strassen_winograd};
use crate::proof::Proved;
use crate::winograd::winograd;

/// The sizes m, r of the Winograd algorithms in the list.
const WINOGRAD: [(usize, usize); 10] = [(2, 3), (3, 3), (4, 3), (6, 3), (8, 3), (2, 5), (4, 5), (2, 7), (4, 7), (3, 2)];

/// Every algorithm, correlations first.
pub fn all() -> Vec<Proved> {
    let winograds = WINOGRAD.iter().map(|&(m, r)| winograd(m, r).expect("sizes within the limits"));
    let simple: Vec<Bilinear> =
        std::iter::once(karatsuba()).chain(winograds).chain([strassen(), strassen_winograd(), laderman()]).collect();
    let mut all: Vec<Proved> =
        simple.into_iter().map(|a| a.prove().expect("the tests prove every algorithm of this list")).collect();
    let squares =
        [("winograd-2-3", "winograd-2x2-3x3"), ("winograd-4-3", "winograd-4x4-3x3"), ("strassen", "strassen-4x4x4")];
    for (of, name) in squares {
        let one = all.iter().find(|a| a.name == of).expect("listed above");
        let square = one.tensor(one).expect("two problems of one kind");
        all.push(square.named(name));
    }
    all
}

/// The algorithm of this name.
pub fn find(name: &str) -> Option<Proved> {
    all().into_iter().find(|a| a.name == name)
}

impl Proved {
    /// The same algorithm under another name.
    fn named(self, name: &str) -> Proved {
        Proved::by_theorem(Bilinear { name: name.into(), ..self.into_inner() })
    }
}
