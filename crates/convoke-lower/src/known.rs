//! The values known at compile time: constants, and results computed from constants alone.
//!
//! Lowering puts their instructions into `prepare`.

use convoke_ir::layer::{Def, Instr, Layer, Op, ValueId};

/// The most elements of a result, relative to those of its operands.
const MAX_GROWTH: usize = 4;
/// The elements up to which a result may grow whatever its operands have.
const SMALL: usize = 4096;
/// The most multiplications at compile time: some seconds.
const MOST_WORK: u128 = 1 << 34;

/// Whether each value of a layer is known when it is compiled.
#[derive(Clone, Debug)]
pub struct Known(Vec<bool>);

impl Known {
    /// The known values of a verified layer. Results of fused row strips are not known, nor are results that take much more memory than
    /// their operands, nor results beyond the most multiplications at compile time.
    pub fn of(layer: &Layer) -> Known {
        let mut known = Known(layer.values.iter().map(|(_, value)| matches!(value.def, Def::Const(_))).collect());
        let mut work = 0;
        for instr in &layer.body {
            // A pooling window may be as large as the image, and its work is not counted.
            let pool = matches!(instr.op, Op::MaxPool(_) | Op::AvgPool(_));
            if !in_strips(instr) && !pool && known.all_read(instr) && !grows(layer, instr) {
                work += layer.multiplications(instr);
                known.0[instr.result.index()] = work <= MOST_WORK;
            }
        }
        known
    }

    /// Whether a value is known.
    pub fn has(&self, id: ValueId) -> bool {
        self.0[id.index()]
    }

    /// The known values of another layer, whose values in order are `values` of this one.
    pub fn of_values(&self, values: &[ValueId]) -> Known {
        Known(values.iter().map(|&id| self.has(id)).collect())
    }

    fn all_read(&self, instr: &Instr) -> bool {
        instr.reads().all(|id| self.has(id))
    }
}

/// Whether an instruction is a convolution by row strips.
fn in_strips(instr: &Instr) -> bool {
    matches!(&instr.op, Op::Conv2d(conv) if conv.band > 0)
}

/// Whether the result of an instruction takes so much more memory than its operands that it must not become a constant.
pub fn grows(layer: &Layer, instr: &Instr) -> bool {
    let read = instr.reads().map(|id| layer.ty(id).elements()).fold(0, usize::saturating_add);
    layer.ty(instr.result).elements() > SMALL.max(read.saturating_mul(MAX_GROWTH))
}

#[cfg(test)]
mod tests {
    use convoke_ir::text::parse_and_verify;

    use super::*;

    #[test]
    fn constants_and_what_is_small_and_quick_to_compute_from_them_are_known() {
        let text = "layer @l(%x: f32[4]) -> f32[4] {
            %a = const f32[4] = ones
            %k = const f32[1, 1, 1, 1] = ones
            %i = const f32[1, 1, 100, 100] = ones
            %b = relu %a
            %c = mul %b, %x
            %d = conv2d %i, %k
            %e = max_pool %i { kernel_shape = [2, 2] }
            %f = pad %k { pads = [100, 100, 100, 100] }
            %y = add %c, %b
            return %y
        }";
        let module = parse_and_verify(text).expect("a valid layer");
        let layer = &module.layers[0];
        let known = Known::of(layer);
        let names = layer.values.iter().filter(|(id, _)| known.has(*id)).map(|(_, value)| value.name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "k", "i", "b", "d"]);
    }
}
