//! Chains whose `band` lowering refuses.
//!
//! A rewriting moves pads, fuses and drops convolutions, and selection names algorithms; none of them looks at bands. The manager
//! therefore asks after each pass: convolutions that lowering would now refuse to compute in turns are computed each by itself.

use convoke_ir::attr::Algorithm;
use convoke_ir::layer::{Axis, Layer};
use convoke_machine::Machine;

use super::{Band, bands, conv, ends, links, rows};
use crate::known::Known;
use crate::select::{self, Conv};

/// The most padding that an attribute takes.
const MOST: usize = 1 << 30;

/// The places of the convolutions with a band that lowering refuses, if there are any.
pub(crate) fn refused(layer: &Layer, machine: &Machine) -> Vec<usize> {
    if layer.body.iter().all(|instr| rows(instr) == 0) {
        return vec![];
    }
    let links = links(layer);
    let mut refused = Vec::new();
    for end in ends(layer, &links) {
        let banded = |&at: &usize| rows(&layer.body[at]) > 0;
        let same = |&at: &usize| rows(&layer.body[at]) == rows(&layer.body[end]);
        let own: Vec<usize> = std::iter::successors(Some(end), |&at| links[at]).take_while(same).collect();
        // What the first of them follows.
        match links[own[own.len() - 1]] {
            Some(first) if !banded(&first) => {
                let chain: Vec<usize> = own.iter().rev().copied().collect();
                let chain = [&[first], &chain[..]].concat();
                if !fits(layer, &chain, machine) {
                    refused.extend(own);
                }
            }
            _ => refused.extend(own),
        }
    }
    refused
}

/// Whether each band of a chain, first to last, can be computed.
fn fits(layer: &Layer, chain: &[usize], machine: &Machine) -> bool {
    let known = Known::of(layer);
    let convs: Option<Vec<Conv>> = chain.iter().map(|&at| Conv::new(layer, &known, &layer.body[at])).collect();
    let Some(convs) = convs else { return false };
    let axes: Vec<Axis> = convs.iter().map(|conv| conv.window.h).collect();
    let Some(all) = bands(&axes, rows(&layer.body[chain[chain.len() - 1]])) else { return false };
    let written = |axis: &Axis| axis.begin.max(axis.end) <= MOST;
    let computed = |band: &Band| {
        chain.iter().zip(&convs).zip(&band.axes).all(|((&at, whole), &axis)| {
            let algorithm = conv(&layer.body[at]).map_or(Algorithm::Auto, |conv| conv.algorithm);
            let chosen = algorithm != Algorithm::Auto && (algorithm.is_plain_sum() || algorithm != algorithm.family());
            !chosen || select::computes_band(whole, axis, algorithm, machine)
        })
    };
    all.iter().all(|band| band.axes.iter().all(written) && computed(band))
}
