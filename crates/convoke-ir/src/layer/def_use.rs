//! Who defines a value and who reads it, in time linear in the layer.

use super::{Instr, Layer, Op};

impl Layer {
    /// For each value, the place in the body of the instruction that defines it.
    pub fn definitions(&self) -> Vec<Option<usize>> {
        let mut at = vec![None; self.values.len()];
        self.body.iter().enumerate().for_each(|(i, instr)| at[instr.result.index()] = Some(i));
        at
    }

    /// For each value, the places in the body that read it, once for each operand; results are not listed.
    pub fn readers(&self) -> Vec<Vec<usize>> {
        let mut readers = vec![Vec::new(); self.values.len()];
        for (i, instr) in self.body.iter().enumerate() {
            instr.reads().for_each(|id| readers[id.index()].push(i));
        }
        readers
    }

    /// For each value, whether the layer returns it.
    pub fn returned(&self) -> Vec<bool> {
        let mut returned = vec![false; self.values.len()];
        self.results.iter().for_each(|id| returned[id.index()] = true);
        returned
    }

    /// For each value, the only instruction that reads it, if one does, with one operand, and the layer does not return it.
    pub fn single_readers(&self) -> Vec<Option<usize>> {
        let mut reads = vec![(0, 0); self.values.len()];
        for (i, instr) in self.body.iter().enumerate() {
            instr.reads().for_each(|id| reads[id.index()] = (reads[id.index()].0 + 1, i));
        }
        let single = |((times, at), returned): ((usize, usize), bool)| (times == 1 && !returned).then_some(at);
        reads.into_iter().zip(self.returned()).map(single).collect()
    }

    /// Multiplications of one instruction: `N·K·P·Q·(C/group)·R·S` of a `conv2d`, `M·K·N` for each product of a `matmul`, else 0.
    pub fn multiplications(&self, instr: &Instr) -> u128 {
        let y = self.ty(instr.result).elements() as u128;
        match (&instr.op, &instr.args[..]) {
            // Weights are `[K, C/group, R, S]`: all but the first axis are summed over for each output element.
            (Op::Conv2d(_), [_, w]) => y * self.ty(*w).shape.dims()[1..].iter().map(|&d| d as u128).product::<u128>(),
            (Op::MatMul(_), [a, _]) => y * self.ty(*a).shape.dims().last().map_or(0, |&k| k as u128),
            _ => 0,
        }
    }
}
