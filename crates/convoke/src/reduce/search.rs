//! The search: the smallest net so far that fails, and the question whether a candidate fails too.

use std::collections::HashSet;
use std::ops::Range;

use convoke_data::Files;
use convoke_ir::layer::{Def, Layer, Source, verify};
use convoke_ir::text;

use super::size::Size;
use crate::module::Module;

/// The search ends here: whether a candidate fails could not be found out.
#[derive(Debug)]
pub(super) struct Stop;

/// Says whether a net fails.
type Fails<'a> = &'a mut dyn FnMut(&Module) -> Result<bool, Stop>;

/// See the [module](self).
pub(super) struct Search<'a> {
    name: String,
    files: Files,
    best: text::Module,
    size: Size,
    fails: Fails<'a>,
    /// Texts that were asked about.
    asked: HashSet<blake3::Hash>,
    /// Whether instructions that no result depends on are dropped from every candidate.
    drops_dead: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(module: &Module, fails: Fails<'a>) -> Search<'a> {
        let mut best = module.to_ir();
        // Tables in the order of the text stay in their order when a candidate is taken.
        best.layers.iter_mut().for_each(|layer| *layer = layer.compact());
        let size = Size::of_ir(&best);
        let (name, files) = (module.name().to_owned(), module.files().clone());
        Search { name, files, best, size, fails, asked: HashSet::new(), drops_dead: false }
    }

    /// Asks about the net as it is given, then without dead instructions: a failure may lie in how these are treated.
    pub(super) fn begin(&mut self) -> Result<bool, Stop> {
        let given = self.best.clone();
        if !self.ask(&given)? {
            return Ok(false);
        }
        let mut live = given.clone();
        let dead = live.layers.iter_mut().fold(false, |any, layer| layer.drop_dead() | any);
        self.drops_dead = !dead || self.offer(live)?;
        Ok(true)
    }

    pub(super) fn best(&self) -> &text::Module {
        &self.best
    }

    pub(super) fn layer(&self, at: usize) -> &Layer {
        &self.best.layers[at]
    }

    pub(super) fn layers(&self) -> usize {
        self.best.layers.len()
    }

    pub(super) fn size(&self) -> &Size {
        &self.size
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    pub(super) fn into_best(self) -> Module {
        Module::of_ir(self.name, self.best, self.files)
    }

    /// Tries another layer in the place `at`; whether it fails too and is the smallest now.
    pub(super) fn offer_layer(&mut self, at: usize, mut layer: Layer) -> Result<bool, Stop> {
        if self.drops_dead {
            layer.drop_dead();
        }
        let layer = layer.compact();
        if verify(&layer).is_err() {
            return Ok(false);
        }
        let mut candidate = self.best.clone();
        candidate.layers[at] = layer;
        self.offer(candidate)
    }

    /// Tries a text whose layers are verified.
    pub(super) fn offer(&mut self, candidate: text::Module) -> Result<bool, Stop> {
        let size = Size::of_ir(&candidate);
        let taken = size < self.size && self.ask(&candidate)?;
        if taken {
            (self.best, self.size) = (candidate, size);
        }
        Ok(taken)
    }

    /// Whether a text fails; `false` too for one that was asked about before and is not the best.
    fn ask(&mut self, candidate: &text::Module) -> Result<bool, Stop> {
        let module = Module::of_ir(self.name.clone(), candidate.clone(), self.files.clone());
        Ok(self.asked.insert(key(&module)) && (self.fails)(&module)?)
    }

    /// Tries to do without parts of a list of the layer at `at`, large parts first. `count` is the length of the list; `candidates` are the layers
    /// without a part, of which the first that fails is taken.
    pub(super) fn without_parts(
        &mut self,
        at: usize,
        count: impl Fn(&Layer) -> usize,
        candidates: impl Fn(&Layer, Range<usize>) -> Vec<Layer>,
    ) -> Result<(), Stop> {
        let mut part = count(self.layer(at));
        while part > 0 {
            let mut end = count(self.layer(at));
            while end > 0 {
                let range = end.saturating_sub(part)..end;
                end = range.start;
                for candidate in candidates(self.layer(at), range) {
                    if self.offer_layer(at, candidate)? {
                        // Later entries may have gone with these.
                        end = end.min(count(self.layer(at)));
                        break;
                    }
                }
            }
            part /= 2;
        }
        Ok(())
    }
}

/// A hash of the text, with the numbers that the text does not show.
fn key(module: &Module) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(module.to_string().as_bytes());
    for (_, value) in module.layers().iter().flat_map(|layer| layer.ir().values.iter()) {
        if let Def::Const(Source::Computed(numbers)) = &value.def {
            hasher.update(numbers.bytes());
        }
    }
    hasher.finalize()
}

/// Smaller numbers than `n` to try, down to `least`: the least first, then half, then those nearer and nearer to n.
pub(super) fn smaller(n: usize, least: usize) -> Vec<usize> {
    let steps = std::iter::successors(Some(n / 2), |step| Some(step / 2)).take_while(|&step| step > 0);
    let mut found: Vec<_> =
        std::iter::once(least).chain(steps.map(|step| n - step)).filter(|&m| (least..n).contains(&m)).collect();
    found.dedup();
    found
}
