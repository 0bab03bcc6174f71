//! The exported functions of a net.
//!
//! | function | |
//! |---|---|
//! | `NAME(inputs…, outputs…, workspace)` | a run on the calling thread |
//! | `NAME_part(step, part, parts, inputs…, outputs…, workspace)` | a part of a step, for threads of the caller's |
//! | `NAME_steps()` | the number of steps |
//! | `NAME_workspace_bytes(parts)` | bytes of the workspace for so many parts |
//! | `NAME_describe()` | the net in words, as JSON |
//! | `NAME_weights_bytes()` | bytes of the file of constants, if they are beside the object |
//!
//! With constants beside the object, `weights` stands before each workspace.
//! Each checks what it can before it writes anything, and returns a [`Status`].

use convoke_ir::loops::BufferId;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Block, InstBuilder, MemFlagsData, Signature, StackSlotData, StackSlotKind, Type, Value, types,
};
use cranelift_frontend::{FunctionBuilder, Switch};
use cranelift_module::{FuncId, Linkage, Module};

use super::builder::Builder;
use super::net::Net;
use super::steps::Steps;
use super::weights::{HEAD_BYTES, WeightsFile};
use super::{cpu, description};
use crate::convention::ALIGN;
use crate::error::CodegenError;

/// The return value of an exported function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It ran.
    Ok = 0,
    /// A pointer is null.
    Null = 1,
    /// An array is not on a boundary of its elements, or the workspace on none of 64 bytes.
    Alignment = 2,
    /// The object has no code for this CPU.
    Cpu = 3,
    /// The step or part is none of those there are.
    Part = 4,
    /// The weights are not those of the object.
    Weights = 5,
}

impl Status {
    /// Each with its name in C, behind the prefix, and its meaning.
    pub(super) const ALL: [(Status, &'static str, &'static str); 6] = [
        (Status::Ok, "OK", "it ran"),
        (Status::Null, "NULL", "a pointer is null"),
        (
            Status::Alignment,
            "ALIGNMENT",
            "an array is not aligned to its elements, or the workspace or the weights not to 64 bytes",
        ),
        (Status::Cpu, "CPU", "the object has no code for this CPU"),
        (Status::Part, "PART", "the step or part is none of those there are"),
        (Status::Weights, "WEIGHTS", "the weights are not those that were written with the object"),
    ];
}

/// A net with its compiled variants.
struct Entries<'a> {
    net: &'a Net<'a>,
    steps: &'a [Steps],
    params: Vec<BufferId>,
    /// The beginning of the file of constants, if they are beside the object.
    weights: Option<[u64; HEAD_BYTES / 8]>,
    /// The function that chooses a variant: its number, or -1.
    choose: FuncId,
    pointer: Type,
}

impl Builder {
    /// Exports a net whose variants are compiled.
    pub(super) fn entries(&mut self, net: &Net<'_>, steps: &[Steps]) -> Result<(), CodegenError> {
        let name = net.symbol(&self.export)?;
        let choose = self.choose(net, &name)?;
        let pointer = self.target.ordered.pointer_type();
        let weights = self.weights.as_ref().map(WeightsFile::head);
        let entries = Entries { net, steps, params: net.params(), weights, choose, pointer };
        let int = AbiParam::new(types::I32);
        let arrays = vec![AbiParam::new(pointer); entries.params.len() + usize::from(weights.is_some()) + 1];

        let signature = self.exported(arrays.clone(), int.sext());
        self.function(&name, Linkage::Export, signature, |builder, b| entries.run(builder, b))?;
        let signature = self.exported([vec![int.uext(); 3], arrays].concat(), int.sext());
        self.function(&format!("{name}_part"), Linkage::Export, signature, |builder, b| entries.part(builder, b))?;
        let signature = self.exported(vec![], int.uext());
        self.function(&format!("{name}_steps"), Linkage::Export, signature, |builder, b| entries.count(builder, b))?;
        let signature = self.exported(vec![int.uext()], AbiParam::new(pointer));
        self.function(&format!("{name}_workspace_bytes"), Linkage::Export, signature, |builder, b| {
            entries.workspace_bytes(builder, b)
        })?;
        let weights_bytes = self.weights.as_ref().map_or(0, WeightsFile::len);
        if weights.is_some() {
            let signature = self.exported(vec![], AbiParam::new(pointer));
            self.function(&format!("{name}_weights_bytes"), Linkage::Export, signature, |_, b| {
                let bytes = b.ins().iconst(pointer, weights_bytes as i64);
                b.ins().return_(&[bytes]);
                Ok(())
            })?;
        }
        let text =
            self.text(&format!("convoke.{name}.description"), &description::json(net, &self.export, weights_bytes))?;
        let signature = self.exported(vec![], AbiParam::new(pointer));
        self.function(&format!("{name}_describe"), Linkage::Export, signature, |builder, b| {
            let text = builder.module.declare_data_in_func(text, b.func);
            let address = b.ins().symbol_value(pointer, text);
            b.ins().return_(&[address]);
            Ok(())
        })?;
        Ok(())
    }

    /// A function in the platform's C convention.
    fn exported(&self, params: Vec<AbiParam>, returns: AbiParam) -> Signature {
        let mut signature = Signature::new(self.target.ordered.default_call_conv());
        (signature.params, signature.returns) = (params, vec![returns]);
        signature
    }

    /// The function that gives the number of the variant for this CPU, or -1. It keeps the answer, which is the same for every thread, in a word: 0 before
    /// the first call, else the number + 2.
    fn choose(&mut self, net: &Net<'_>, name: &str) -> Result<FuncId, CodegenError> {
        let masks = net.variants.iter().map(|variant| cpu::masks(variant.machine)).collect::<Result<Vec<_>, _>>()?;
        let mut signature = Signature::new(self.target.call_conv());
        signature.returns.push(AbiParam::new(types::I32));
        let stem = format!("convoke.{name}.choose");
        let last = masks.len() as i64 - 1;
        if masks.last() == Some(&None) {
            return self.function(&stem, Linkage::Local, signature, |_, b| {
                let number = b.ins().iconst(types::I32, last);
                b.ins().return_(&[number]);
                Ok(())
            });
        }
        let (word, ask) = (self.word(&format!("convoke.{name}.chosen"))?, self.ask()?);
        let pointer = self.target.ordered.pointer_type();
        self.function(&stem, Linkage::Local, signature, |builder, b| {
            let word = builder.module.declare_data_in_func(word, b.func);
            let kept = b.ins().symbol_value(pointer, word);
            let before = b.ins().load(types::I32, MemFlagsData::trusted(), kept, 0);
            let (asked, done) = (b.create_block(), b.create_block());
            b.append_block_param(done, types::I32);
            b.ins().brif(before, done, &[before.into()], asked, &[]);

            b.switch_to_block(asked);
            let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, (cpu::WORDS * 4) as u32, 3);
            let slot = b.create_sized_stack_slot(slot);
            let address = b.ins().stack_addr(pointer, slot, 0);
            let ask = builder.module.declare_func_in_func(ask, b.func);
            b.ins().call(ask, &[address]);
            let mut chosen = b.ins().iconst(types::I32, 1);
            for (number, masks) in masks.iter().enumerate() {
                let own = b.ins().iconst(types::I32, number as i64 + 2);
                let mut lacking = b.ins().iconst(types::I32, 0);
                for (at, &mask) in masks.iter().flatten().enumerate().filter(|(_, mask)| **mask != 0) {
                    let has = b.ins().stack_load(pointer, types::I32, slot, (at * 4) as i32);
                    let mask = b.ins().iconst(types::I32, i64::from(mask));
                    let lacks = b.ins().band_not(mask, has);
                    lacking = b.ins().bor(lacking, lacks);
                }
                chosen = b.ins().select(lacking, chosen, own);
            }
            b.ins().store(MemFlagsData::trusted(), chosen, kept, 0);
            b.ins().jump(done, &[chosen.into()]);

            b.switch_to_block(done);
            let kept = b.block_params(done)[0];
            let number = b.ins().iadd_imm_s(kept, -2);
            b.ins().return_(&[number]);
            Ok(())
        })
    }
}

impl Entries<'_> {
    /// `int NAME(inputs…, outputs…, workspace)`.
    fn run(&self, builder: &mut Builder, b: &mut FunctionBuilder<'_>) -> Result<(), CodegenError> {
        let arrays = b.block_params(b.current_block().expect("the first block")).to_vec();
        self.check(b, &arrays)?;
        let chosen = self.chosen(builder, b);
        let (buffers, workspace) = self.table(b, &arrays);
        let before = exchange(builder, b, None);
        let done = self.by_variant(b, chosen, |entries, b, number| {
            let steps = &entries.steps[number];
            let callee = builder.module.declare_func_in_func(steps.function, b.func);
            let (head, body, out) = (b.create_block(), b.create_block(), b.create_block());
            b.append_block_param(head, types::I64);
            let [zero, one, count] = [0, 1, i64::from(steps.count)].map(|n| b.ins().iconst(types::I64, n));
            b.ins().jump(head, &[zero.into()]);
            b.switch_to_block(head);
            let step = b.block_params(head)[0];
            let more = b.ins().icmp(IntCC::UnsignedLessThan, step, count);
            b.ins().brif(more, body, &[], out, &[]);
            b.switch_to_block(body);
            b.ins().call(callee, &[step, zero, one, buffers, workspace]);
            let next = b.ins().iadd(step, one);
            b.ins().jump(head, &[next.into()]);
            b.switch_to_block(out);
        });
        b.switch_to_block(done);
        exchange(builder, b, before);
        give(b, Status::Ok);
        Ok(())
    }

    /// `int NAME_part(step, part, parts, inputs…, outputs…, workspace)`.
    fn part(&self, builder: &mut Builder, b: &mut FunctionBuilder<'_>) -> Result<(), CodegenError> {
        let params = b.block_params(b.current_block().expect("the first block")).to_vec();
        let (numbers, arrays) = params.split_at(3);
        let [step, part, parts] = [0, 1, 2].map(|i| b.ins().uextend(types::I64, numbers[i]));
        self.check(b, arrays)?;
        let chosen = self.chosen(builder, b);
        let is_part = b.ins().icmp(IntCC::UnsignedLessThan, part, parts);
        refuse_unless(b, is_part, Status::Part);
        let (buffers, workspace) = self.table(b, arrays);
        let before = exchange(builder, b, None);
        let beyond = b.create_block();
        let done = self.by_variant(b, chosen, |entries, b, number| {
            let steps = &entries.steps[number];
            let count = b.ins().iconst(types::I64, i64::from(steps.count));
            let is_step = b.ins().icmp(IntCC::UnsignedLessThan, step, count);
            let inside = b.create_block();
            b.ins().brif(is_step, inside, &[], beyond, &[]);
            b.switch_to_block(inside);
            let callee = builder.module.declare_func_in_func(steps.function, b.func);
            b.ins().call(callee, &[step, part, parts, buffers, workspace]);
        });
        for (block, status) in [(done, Status::Ok), (beyond, Status::Part)] {
            b.switch_to_block(block);
            exchange(builder, b, before);
            give(b, status);
        }
        Ok(())
    }

    /// `uint32_t NAME_steps(void)`: 0 without code for this CPU.
    fn count(&self, builder: &mut Builder, b: &mut FunctionBuilder<'_>) -> Result<(), CodegenError> {
        let chosen = self.number(builder, b);
        let counts = self.steps.iter().map(|steps| i64::from(steps.count));
        let count = self.of_chosen(b, chosen, types::I32, counts.collect());
        b.ins().return_(&[count]);
        Ok(())
    }

    /// `size_t NAME_workspace_bytes(uint32_t parts)`: 0 without code for this CPU.
    fn workspace_bytes(&self, builder: &mut Builder, b: &mut FunctionBuilder<'_>) -> Result<(), CodegenError> {
        let parts = b.block_params(b.current_block().expect("the first block"))[0];
        let parts = b.ins().uextend(self.pointer, parts);
        let chosen = self.number(builder, b);
        let scratch = self.steps.iter().map(|steps| steps.scratch_bytes as i64).collect();
        let scratch = self.of_chosen(b, chosen, self.pointer, scratch);
        let local = self.steps.iter().map(|steps| steps.local_bytes as i64).collect();
        let local = self.of_chosen(b, chosen, self.pointer, local);
        let locals = b.ins().imul(local, parts);
        let bytes = b.ins().iadd(scratch, locals);
        b.ins().return_(&[bytes]);
        Ok(())
    }

    /// A number of the chosen variant; 0 if there is none.
    fn of_chosen(&self, b: &mut FunctionBuilder<'_>, chosen: Value, ty: Type, numbers: Vec<i64>) -> Value {
        let mut found = b.ins().iconst(ty, 0);
        for (number, of) in numbers.into_iter().enumerate() {
            let is = b.ins().icmp_imm_s(IntCC::Equal, chosen, number as i64);
            let own = b.ins().iconst(ty, of);
            found = b.ins().select(is, own, found);
        }
        found
    }

    /// Refuses null pointers, those that are not aligned, and the weights of another object.
    fn check(&self, b: &mut FunctionBuilder<'_>, arrays: &[Value]) -> Result<(), CodegenError> {
        let program = self.net.program();
        let aligns = self.params.iter().map(|&id| program.buffers[id].ty.elem.bytes());
        let needs_workspace = self.net.workspace(1) > 0;
        let aligns = aligns.chain(self.weights.map(|_| ALIGN)).chain(needs_workspace.then_some(ALIGN));
        let mut none = b.ins().iconst(types::I8, 0);
        let mut offset = b.ins().iconst(self.pointer, 0);
        for (&array, align) in arrays.iter().zip(aligns) {
            let is_null = b.ins().icmp_imm_s(IntCC::Equal, array, 0);
            none = b.ins().bor(none, is_null);
            let beyond = b.ins().band_imm_s(array, align as i64 - 1);
            offset = b.ins().bor(offset, beyond);
        }
        let given = b.ins().icmp_imm_s(IntCC::Equal, none, 0);
        refuse_unless(b, given, Status::Null);
        let aligned = b.ins().icmp_imm_s(IntCC::Equal, offset, 0);
        refuse_unless(b, aligned, Status::Alignment);
        if let Some(head) = self.weights {
            let file = arrays[self.params.len()];
            let mut others = b.ins().iconst(types::I64, 0);
            for (at, word) in (0..).step_by(8).zip(head) {
                let found = b.ins().load(types::I64, MemFlagsData::trusted(), file, at);
                let word = b.ins().iconst(types::I64, word as i64);
                let other = b.ins().bxor(found, word);
                others = b.ins().bor(others, other);
            }
            let own = b.ins().icmp_imm_s(IntCC::Equal, others, 0);
            refuse_unless(b, own, Status::Weights);
        }
        Ok(())
    }

    /// The number of the variant for this CPU, or -1.
    fn number(&self, builder: &mut Builder, b: &mut FunctionBuilder<'_>) -> Value {
        let choose = builder.module.declare_func_in_func(self.choose, b.func);
        let call = b.ins().call(choose, &[]);
        b.inst_results(call)[0]
    }

    /// The number of the variant for this CPU; without one, the function returns.
    fn chosen(&self, builder: &mut Builder, b: &mut FunctionBuilder<'_>) -> Value {
        let number = self.number(builder, b);
        let some = b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, number, 0);
        refuse_unless(b, some, Status::Cpu);
        number
    }

    /// The table of arrays on the stack, and the workspace.
    fn table(&self, b: &mut FunctionBuilder<'_>, arrays: &[Value]) -> (Value, Value) {
        let (&workspace, buffers) = arrays.split_last().expect("the workspace is a parameter");
        let bytes = self.pointer.bytes();
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, (buffers.len() as u32 * bytes).max(bytes), 3);
        let slot = b.create_sized_stack_slot(slot);
        for (i, &buffer) in buffers.iter().enumerate() {
            b.ins().stack_store(self.pointer, buffer, slot, (i as u32 * bytes) as i32);
        }
        (b.ins().stack_addr(self.pointer, slot, 0), workspace)
    }

    /// Code for each variant, reached by its number. Gives the block where all of them end.
    fn by_variant(
        &self,
        b: &mut FunctionBuilder<'_>,
        chosen: Value,
        mut write: impl FnMut(&Self, &mut FunctionBuilder<'_>, usize),
    ) -> Block {
        let done = b.create_block();
        let blocks: Vec<Block> = self.steps.iter().map(|_| b.create_block()).collect();
        let mut switch = Switch::new();
        blocks.iter().enumerate().for_each(|(number, &block)| switch.set_entry(number as u128, block));
        switch.emit(b, chosen, done);
        for (number, block) in blocks.into_iter().enumerate() {
            b.switch_to_block(block);
            write(self, b, number);
            b.ins().jump(done, &[]);
        }
        done
    }
}

/// Sets the control register for kernels, or back to `before`; gives what it was.
fn exchange(builder: &mut Builder, b: &mut FunctionBuilder<'_>, before: Option<Value>) -> Option<Value> {
    let (word, function) = builder.control?;
    let function = builder.module.declare_func_in_func(function, b.func);
    let word = before.unwrap_or_else(|| b.ins().iconst(types::I64, word as i64));
    let call = b.ins().call(function, &[word]);
    Some(b.inst_results(call)[0])
}

/// Returns a status unless a condition holds.
fn refuse_unless(b: &mut FunctionBuilder<'_>, holds: Value, status: Status) {
    let (refused, on) = (b.create_block(), b.create_block());
    b.ins().brif(holds, on, &[], refused, &[]);
    b.switch_to_block(refused);
    give(b, status);
    b.switch_to_block(on);
}

fn give(b: &mut FunctionBuilder<'_>, status: Status) {
    let status = b.ins().iconst(types::I32, status as i64);
    b.ins().return_(&[status]);
}
