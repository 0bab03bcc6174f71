//! The order of operations, and how many numbers are alive in it: a register each, or a store and a load.

use super::{Op, Straight, Var};

impl Op {
    /// The operands, one or two.
    fn operands(&self) -> impl Iterator<Item = Var> {
        let (x, y) = match *self {
            Op::Add { x, y, .. } | Op::Fma { x, y, .. } => (x, Some(y)),
            Op::Mul { x, .. } => (x, None),
        };
        std::iter::once(x).chain(y)
    }
}

impl Straight {
    /// The most numbers alive at once, inputs being read when they are first needed and outputs written when they are there.
    pub fn alive(&self) -> usize {
        let count = self.ops.len();
        // The first operation after which a number is alive, and the first after which it is no longer.
        let mut ops: Vec<(usize, usize)> = (0..count).map(|i| (i, i + 1)).collect();
        let mut inputs: Vec<Option<(usize, usize)>> = vec![None; self.inputs];
        for (i, op) in self.ops.iter().enumerate() {
            for var in op.operands() {
                match var {
                    Var::Op(j) => ops[j].1 = ops[j].1.max(i),
                    Var::Input(j) => inputs[j].get_or_insert((i, i)).1 = i,
                }
            }
        }
        let (mut born, mut dead) = (vec![0; count + 1], vec![0; count + 1]);
        for (from, to) in ops.into_iter().chain(inputs.into_iter().flatten()) {
            born[from] += 1;
            dead[to] += 1;
        }
        let after = born.iter().zip(&dead).scan(0usize, |alive, (born, dead)| {
            *alive = *alive + born - dead;
            Some(*alive)
        });
        after.max().unwrap_or(0)
    }

    /// This code, or the same depth first from the outputs on: the one that has fewer numbers alive.
    pub(super) fn in_short_order(self) -> Straight {
        let other = self.depth_first();
        if other.alive() < self.alive() { other } else { self }
    }

    /// What the first output needs comes first, its operands' operands before all.
    fn depth_first(&self) -> Straight {
        let mut places: Vec<Option<usize>> = vec![None; self.ops.len()];
        let mut ops = Vec::with_capacity(self.ops.len());
        let mut open: Vec<usize> = Vec::new();
        for output in &self.outputs {
            open.extend(output.var.and_then(Var::op));
            while let Some(&i) = open.last() {
                let missing = self.ops[i].operands().filter_map(Var::op).find(|&j| places[j].is_none());
                if let Some(j) = missing {
                    open.push(j);
                    continue;
                }
                open.pop();
                if places[i].is_none() {
                    places[i] = Some(ops.len());
                    ops.push(self.ops[i].moved(&places));
                }
            }
        }
        let outputs = self.outputs.iter().map(|o| super::Output { var: o.var.map(|var| var.moved(&places)), ..*o });
        Straight { inputs: self.inputs, outputs: outputs.collect(), ops }
    }
}

impl Var {
    fn op(self) -> Option<usize> {
        if let Var::Op(i) = self { Some(i) } else { None }
    }

    /// The same number where its operation has moved. Operands are moved before what reads them.
    fn moved(self, places: &[Option<usize>]) -> Var {
        match self {
            Var::Op(i) => places[i].map_or(self, Var::Op),
            Var::Input(_) => self,
        }
    }
}

impl Op {
    fn moved(&self, places: &[Option<usize>]) -> Op {
        match self.clone() {
            Op::Add { x, minus_x, y, minus_y } => Op::Add { x: x.moved(places), minus_x, y: y.moved(places), minus_y },
            Op::Mul { factor, x } => Op::Mul { factor, x: x.moved(places) },
            Op::Fma { factor, x, y, minus_y } => Op::Fma { factor, x: x.moved(places), y: y.moved(places), minus_y },
        }
    }
}
