//! Chains whose attribute `band` lowering would refuse.
//!
//! Rewrites move pads, fuse and drop convolutions, and selection names plans, without regard to strips. After each of them the pass manager therefore
//! clears the attribute of convolutions that lowering would now refuse to fuse.

use std::collections::HashSet;

use convoke_ir::attr::Plan;
use convoke_ir::layer::{Axis, Layer, Op, ValueId};
use convoke_lower::known::Known;
use convoke_machine::Machine;

use super::choose::of_strip;
use super::{Strip, conv, ends, links, rows, strips};
use crate::algorithms;
use crate::conv::Conv;
use crate::lower::views;

/// The most padding that an attribute takes.
const MOST: usize = 1 << 30;

/// The places of the convolutions with a `band` that lowering refuses, if there are any.
pub fn refused(layer: &Layer, machine: &Machine) -> Vec<usize> {
    if layer.body.iter().all(|instr| rows(instr) == 0) {
        return vec![];
    }
    let links = links(layer);
    let mut refused = Vec::new();
    for end in ends(layer, &links) {
        let in_strips = |&at: &usize| rows(&layer.body[at]) > 0;
        let same = |&at: &usize| rows(&layer.body[at]) == rows(&layer.body[end]);
        let own: Vec<usize> = std::iter::successors(Some(end), |&at| links[at]).take_while(same).collect();
        // What the first of them follows.
        match links[own[own.len() - 1]] {
            Some(first) if !in_strips(&first) => {
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

/// If a rewrite made a fused strip impossible, clears the attribute. What the text asked for, `asked`, is left, so that lowering can say why it
/// cannot be.
pub fn clear_refused(layer: &mut Layer, asked: &HashSet<ValueId>, machine: &Machine) {
    loop {
        let refused = refused(layer, machine).into_iter();
        let left: Vec<usize> = refused.filter(|&at| !asked.contains(&layer.body[at].result)).collect();
        if left.is_empty() {
            return;
        }
        for &at in &left {
            let x = layer.body[at].args[0];
            layer.values[x].storage = None;
            if let Op::Conv2d(conv) = &mut layer.body[at].op {
                conv.band = 0;
            }
        }
    }
}

/// Whether each strip of a chain, first to last, can be computed.
fn fits(layer: &Layer, chain: &[usize], machine: &Machine) -> bool {
    let known = Known::of(layer);
    let convs: Option<Vec<Conv>> = chain.iter().map(|&at| Conv::new(layer, &known, &layer.body[at])).collect();
    let Some(convs) = convs else { return false };
    let axes: Vec<Axis> = convs.iter().map(|conv| conv.window.h).collect();
    let Some(all) = strips(&axes, rows(&layer.body[chain[chain.len() - 1]])) else { return false };
    let written = |axis: &Axis| axis.begin.max(axis.end) <= MOST;
    let computed = |strip: &Strip| {
        chain.iter().zip(&convs).zip(&strip.axes).all(|((&at, whole), &axis)| {
            let plan = conv(&layer.body[at]).map_or(Plan::default(), |conv| conv.plan);
            let Some(method) = algorithms::of(&plan).filter(|method| algorithms::is_complete(*method, &plan)) else {
                return true;
            };
            // A plan that does not compute all of it is told so by its name.
            let fits = |conv: Conv| {
                let conv = views::as_read(layer, &layer.body[at], conv);
                method.fits(plan, &conv, machine).is_ok()
            };
            !fits(*whole) || fits(of_strip(whole, axis))
        })
    };
    all.iter().all(|strip| strip.axes.iter().all(written) && computed(strip))
}
