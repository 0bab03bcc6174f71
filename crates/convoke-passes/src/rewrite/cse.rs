//! `cse`: compute equal values once.
//!
//! ```text
//! %a = relu %x                       %a = relu %x
//! %b = relu %x              ⟶
//! %y = add %a, %b                    %y = add %a, %a
//! ```
//!
//! Applies:    to instructions of the same op, attributes, operands and epilogue (the operands of `add` and `mul` in any
//!             order), and to constants of the same type and source.   Guarantee: `Exact`.
//! Leaves:     unbound weights: two of them are two weights, however alike they look; constants whose numbers agree
//!             though their sources differ; of two equal results of the layer, both.

use convoke_ir::layer::{Instr, Layer, Source};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write;

use super::edit::Replacer;
use crate::error::PassError;
use crate::guarantee::{Exact, Granted};
use crate::note::Log;
use crate::pass::{Changed, Context, LayerPass};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Cse;

impl LayerPass for Cse {
    type Needs = Exact;
    const NAME: &'static str = "cse";
    const SUMMARY: &'static str = "compute what is computed twice once, and keep equal constants once";

    fn run(&self, layer: &mut Layer, _: &Context<'_>, _: Granted<Exact>, _: &mut Log) -> Result<Changed, PassError> {
        let constants_changed = constants(layer);
        let mut replacer = Replacer::new(layer);
        let mut seen = HashMap::new();
        for at in 0..layer.body.len() {
            replacer.resolve(layer, at);
            match seen.entry(key(&layer.body[at])) {
                Entry::Vacant(entry) => {
                    entry.insert(layer.body[at].result);
                }
                Entry::Occupied(entry) => {
                    let by = replacer.get(*entry.get());
                    replacer.replace(layer, at, by);
                }
            }
        }
        Ok((replacer.finish(layer) || constants_changed).into())
    }
}

/// Lets readers of equal constants read the first of them.
fn constants(layer: &mut Layer) -> bool {
    let mut seen = HashMap::new();
    let mut first: Vec<_> = layer.values.ids().collect();
    for (id, value) in layer.values.iter() {
        let source = match layer.constant(id) {
            None | Some(Source::Unbound) => continue,
            // Numbers made by a pass are the same only if they are the same array.
            Some(Source::Computed(numbers)) => format!("{:p} {}", numbers.bytes().as_ptr(), numbers.len()),
            Some(source) => format!("{source:?}"),
        };
        first[id.index()] = *seen.entry((value.ty.clone(), source)).or_insert(id);
    }
    let uses = layer.uses();
    let returned = layer.returned();
    let changed = layer.values.ids().any(|id| first[id.index()] != id && uses[id.index()] > 0 && !returned[id.index()]);
    for id in layer.body.iter_mut().flat_map(|instr| instr.reads_mut()) {
        *id = first[id.index()];
    }
    changed
}

/// The same for instructions that compute the same.
fn key(instr: &Instr) -> String {
    let mut key = String::new();
    let mut args = instr.args.clone();
    if instr.op.commutes() {
        args.sort();
    }
    // The debug form of an op shows every attribute in full.
    write!(key, "{:?} {args:?}", instr.op).expect("writing to a string");
    for step in &instr.then {
        write!(key, " {:?} {:?}", step.op, step.args).expect("writing to a string");
    }
    key
}
