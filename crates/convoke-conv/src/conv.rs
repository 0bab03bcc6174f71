//! A convolution in numbers, as the cost model sees it.

use convoke_bilinear::error::{plain_bound, plain_estimate, rounding};
use convoke_ir::attr::Algorithm;
use convoke_ir::elem::Elem;
use convoke_ir::layer::{Conv2d, Def, Instr, Layer, Op, Range, Window};
use convoke_ir::types::{Image, Layout, TensorType};
use convoke_lower::known::Known;
use convoke_machine::Machine;

use crate::budget::Allowed;

/// The numbers of one convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv {
    /// The type computed in.
    pub elem: Elem,
    /// The element types of input, weights and output as they are stored.
    pub stored: [Elem; 3],
    /// Layout of input and output.
    pub layout: Layout,
    /// The input.
    pub x: Image,
    /// The output.
    pub y: Image,
    /// Kernel, strides, dilations and pads, all derived.
    pub window: Window,
    /// Groups.
    pub group: usize,
    /// The attribute `guard`.
    pub guard: i64,
    /// Whether the weights are known when the layer is compiled. Others are packed in each run.
    pub weights_known: bool,
    /// The magnitudes of the input's elements, where they are declared.
    pub range: Option<Range>,
    /// Whether input and output are values within a net. These lie in its workspace, in huge pages; others are the caller's.
    pub within: [bool; 2],
    /// Bytes of the other constants of the net. A run reads them all before it reads these weights again.
    pub others: u128,
}

impl Conv {
    /// Lanes of a vector.
    pub(crate) fn lanes(&self, machine: &Machine) -> usize {
        usize::from(machine.lanes(self.elem.bytes()))
    }

    /// The numbers of an instruction of a layer with these values known; `None` if it is no convolution.
    pub fn new(layer: &Layer, known: &Known, instr: &Instr) -> Option<Conv> {
        let conv = Conv::with_known_weights(layer, instr)?;
        Some(Conv { weights_known: known.has(instr.args[1]), ..conv })
    }

    /// The same if its weights were known.
    pub(crate) fn with_known_weights(layer: &Layer, instr: &Instr) -> Option<Conv> {
        let Op::Conv2d(op) = &instr.op else { return None };
        let &[x, w] = &instr.args[..] else { return None };
        let conv = Conv::of(op, layer.ty(x), layer.ty(w), layer.ty(instr.result))?;
        let within = [layer.values[x].def != Def::Param, !layer.results.contains(&instr.result)];
        let constants = layer.values.iter().filter(|(_, value)| matches!(value.def, Def::Const(_)));
        let others = constants.filter(|&(id, _)| id != w).map(|(_, value)| value.ty.bytes() as u128).sum();
        Some(Conv { within, others, ..conv })
    }

    /// The numbers of a convolution of these operands and this result; `None` if they do not go together.
    pub fn of(op: &Conv2d, x: &TensorType, w: &TensorType, y: &TensorType) -> Option<Conv> {
        Some(Conv {
            elem: y.elem.compute(),
            stored: [x.elem, w.elem, y.elem],
            layout: y.layout,
            x: x.as_image()?,
            y: y.as_image()?,
            window: op.window(x, w).ok()?,
            group: usize::try_from(op.group).ok()?,
            guard: op.guard,
            weights_known: true,
            range: None,
            within: [false; 2],
            others: 0,
        })
    }

    /// How many times the error of `algorithm` counts that comes from other inputs than those of the output element: by how much they may
    /// be larger. A guard limits that.
    pub fn spread(&self, algorithm: Algorithm) -> f64 {
        let declared = self.range.map_or(1.0, Range::spread);
        match self.kappa() {
            _ if algorithm.is_plain_sum() => 1.0,
            Some(kappa) if algorithm.transforms_tiles() => declared.min(kappa as f64),
            _ => declared,
        }
    }

    /// The same in a loop of its own, in which its weights stay in the caches, between arrays of a caller.
    pub(crate) fn alone(&self) -> Conv {
        Conv { within: [false; 2], others: 0, ..*self }
    }

    /// The same with rows for columns and columns for rows.
    pub(crate) fn transposed(&self) -> Conv {
        let turn = |image: Image| Image { h: image.w, w: image.h, ..image };
        let Window { h, w } = self.window;
        Conv { x: turn(self.x), y: turn(self.y), window: Window { h: w, w: h }, ..*self }
    }

    /// The same guarded as `allowed` says, where the text does not.
    pub(crate) fn guarded(self, allowed: &Allowed) -> Conv {
        Conv { guard: if self.guard < 0 { allowed.guard } else { self.guard }, ..self }
    }

    /// The guard κ of a tile: how many times as large as the inputs under one output its other inputs may be. Only reducing tiles are guarded.
    pub fn kappa(&self) -> Option<usize> {
        let summed = self.c_per_group() > 1 || self.k_per_group() > 1;
        usize::try_from(self.guard).ok().filter(|&kappa| summed && kappa > 0)
    }

    /// Input channels of a group.
    pub fn c_per_group(&self) -> usize {
        self.x.c / self.group
    }

    /// Output channels of a group.
    pub fn k_per_group(&self) -> usize {
        self.y.c / self.group
    }

    /// Taps of a kernel.
    pub fn taps(&self) -> usize {
        self.window.h.kernel * self.window.w.kernel
    }

    /// Products summed for each output element: `(C/group)·R·S`.
    pub fn depth(&self) -> usize {
        self.c_per_group() * self.taps()
    }

    /// Output pixels of an image.
    pub fn pixels(&self) -> usize {
        self.y.h * self.y.w
    }

    /// Multiplications: `N·K·P·Q·(C/group)·R·S`.
    pub fn multiplications(&self) -> u128 {
        elements(self.y) * self.depth() as u128
    }

    /// Elements of the input, of the weights, and of the output.
    pub fn elements(&self) -> [u128; 3] {
        [elements(self.x), self.y.c as u128 * self.depth() as u128, elements(self.y)]
    }

    /// Their bytes.
    pub fn bytes(&self) -> [u128; 3] {
        std::array::from_fn(|i| self.elements()[i] * self.stored[i].bytes() as u128)
    }

    /// Whether some output reads padding.
    pub fn is_padded(&self) -> bool {
        [self.window.h, self.window.w].iter().any(|axis| axis.begin > 0 || axis.read() > axis.input)
    }

    /// Bytes of the copy of the input with its halo, without rows and columns that are not read. 0 if the input is read in place: it has no padding,
    /// and is stored in the type that is computed in.
    pub fn halo_bytes(&self) -> u128 {
        if !self.is_padded() && !self.stored[0].is_storage() {
            return 0;
        }
        let [h, w] = [self.window.h, self.window.w].map(|a| a.read().max(a.begin + a.input) as u128);
        self.x.n as u128 * self.x.c as u128 * h * w * self.elem.bytes() as u128
    }

    /// What no error of a plain sum exceeds, relative to Σ|w||x| of each output element, before it is stored.
    pub fn error_bound(&self) -> f64 {
        plain_bound(self.depth(), self.elem.unit_roundoff())
    }

    /// The error to expect of a plain sum, relative to Σ|w||x|, before it is stored.
    pub fn error_typical(&self) -> f64 {
        plain_estimate(self.depth(), self.elem.unit_roundoff())
    }

    /// What storing the result adds to errors: at most, and to expect. A sum of n terms of mean zero is about Σ|w||x| / √n.
    pub fn rounding(&self) -> [f64; 2] {
        let [.., y] = self.stored;
        let unit = if y.is_storage() { y.unit_roundoff() } else { 0.0 };
        [unit, rounding(unit) / (self.depth() as f64).sqrt()]
    }
}

fn elements(image: Image) -> u128 {
    [image.n, image.c, image.h, image.w].map(|d| d as u128).iter().product()
}
