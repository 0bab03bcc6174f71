//! The function of a net for one CPU that runs a part of a step.
//!
//! ```text
//! step(step, part, parts, buffers, workspace)
//!   step 0: table ◄── pointers of its buffers; kernel(table, locals of this part, its iterations)
//!   step 1: …
//! ```
//!
//! A step is a kernel on whole buffers. The iterations of its parallel loop are split into as many parts as the caller asks for, each with locals to
//! itself; the last part of a kernel without such a loop is all of it.

use convoke_ir::loops::{BufferId, Run};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, InstBuilder, MemFlagsData, Signature, StackSlot, StackSlotData, StackSlotKind, Value, types,
};
use cranelift_frontend::{FunctionBuilder, Switch};
use cranelift_module::{FuncId, Linkage, Module};

use super::builder::{Builder, Held};
use super::net::{Variant, params};
use crate::convention;
use crate::error::CodegenError;
use crate::machine_code::Numbered;
use crate::plan::Plan;

/// The steps of a variant.
pub(super) struct Steps {
    /// `step(step, part, parts, buffers, workspace)`; all of 64 bits.
    pub(super) function: FuncId,
    /// How many there are.
    pub(super) count: u32,
    /// Bytes of scratch that all parts share.
    pub(super) scratch_bytes: usize,
    /// Bytes of locals of each part.
    pub(super) local_bytes: usize,
}

/// The variant and the parameters of its step function.
struct Writer<'a> {
    variant: &'a Variant<'a>,
    numbers: &'a Numbered,
    /// Constants, by buffer.
    data: &'a [Option<Held>],
    /// Inputs and outputs in the order of the caller's table, in which the file of constants follows them if there is one.
    params: Vec<BufferId>,
    plan: Plan,
    /// The table of a kernel's pointers.
    table: StackSlot,
    /// Parameters of the function.
    part: Value,
    parts: Value,
    buffers: Value,
    workspace: Value,
}

impl Builder {
    pub(super) fn steps(
        &mut self,
        stem: &str,
        variant: &Variant<'_>,
        numbers: &Numbered,
        data: &[Option<Held>],
    ) -> Result<Steps, CodegenError> {
        let program = variant.program.program();
        let pointer = self.target.ordered.pointer_type();
        let plan = Plan::new(program, &program.entry);
        let (scratch_bytes, local_bytes) = (plan.scratch_bytes, plan.local_bytes);
        let mut signature = Signature::new(self.target.call_conv());
        let number = AbiParam::new(types::I64);
        signature.params = vec![number, number, number, AbiParam::new(pointer), AbiParam::new(pointer)];
        let function = self.function(&format!("{stem}.step"), Linkage::Local, signature, |builder, b| {
            let entry = b.current_block().expect("the first block");
            let &[step, part, parts, buffers, workspace] = b.block_params(entry) else {
                unreachable!("five parameters")
            };
            let longest = program.entry.iter().map(|run| run.args.len()).max().unwrap_or(0).max(1) as u32;
            let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, longest * pointer.bytes(), 3);
            let table = b.create_sized_stack_slot(slot);
            let params = params(program);
            let writer = Writer { variant, numbers, data, params, plan, table, part, parts, buffers, workspace };
            let done = b.create_block();
            let mut switch = Switch::new();
            let blocks: Vec<_> = program.entry.iter().map(|_| b.create_block()).collect();
            blocks.iter().enumerate().for_each(|(number, &block)| switch.set_entry(number as u128, block));
            switch.emit(b, step, done);
            for (run, block) in program.entry.iter().zip(blocks) {
                b.switch_to_block(block);
                writer.step(run, builder, b, done);
            }
            b.switch_to_block(done);
            b.ins().return_(&[]);
            Ok(())
        })?;
        Ok(Steps { function, count: program.entry.len() as u32, scratch_bytes, local_bytes })
    }
}

impl Writer<'_> {
    /// The iterations of this part, if it has any, and the call.
    fn step(&self, run: &Run, builder: &mut Builder, b: &mut FunctionBuilder<'_>, done: cranelift_codegen::ir::Block) {
        let pointer = builder.target.ordered.pointer_type();
        let func = &self.variant.program.program().funcs[run.func];
        let trips = convention::parallel_loop(func).map_or(1, |parallel| parallel.trips());
        let bound = |b: &mut FunctionBuilder<'_>, part: Value| {
            // Parts are at most 2³², trips fewer.
            let product = b.ins().imul_imm_s(part, trips as i64);
            b.ins().udiv(product, self.parts)
        };
        let begin = bound(b, self.part);
        let next = b.ins().iadd_imm_s(self.part, 1);
        let end = bound(b, next);
        let some = b.create_block();
        let is_empty = b.ins().icmp(IntCC::Equal, begin, end);
        b.ins().brif(is_empty, done, &[], some, &[]);
        b.switch_to_block(some);
        for (i, &buffer) in run.args.iter().enumerate() {
            let value = self.place(buffer, builder, b);
            b.ins().stack_store(pointer, value, self.table, (i as u32 * pointer.bytes()) as i32);
        }
        let table = b.ins().stack_addr(pointer, self.table, 0);
        let own = b.ins().imul_imm_s(self.part, self.plan.local_bytes as i64);
        let own = b.ins().iadd_imm_s(own, self.plan.scratch_bytes as i64);
        let local = b.ins().iadd(self.workspace, own);
        let callee = builder.module.declare_func_in_func(self.numbers.of(run.func), b.func);
        b.ins().call(callee, &[table, local, begin, end]);
        b.ins().jump(done, &[]);
    }

    /// The address of a buffer.
    fn place(&self, buffer: BufferId, builder: &mut Builder, b: &mut FunctionBuilder<'_>) -> Value {
        let pointer = builder.target.ordered.pointer_type();
        let given = |b: &mut FunctionBuilder<'_>, at: usize| {
            let offset = (at as u32 * pointer.bytes()) as i32;
            b.ins().load(pointer, MemFlagsData::trusted(), self.buffers, offset)
        };
        if let Some(at) = self.params.iter().position(|&param| param == buffer) {
            return given(b, at);
        }
        match self.data[buffer.index()] {
            Some(Held::Inside(data)) => {
                let data = builder.module.declare_data_in_func(data, b.func);
                b.ins().symbol_value(pointer, data)
            }
            Some(Held::Beside(place)) => {
                let file = given(b, self.params.len());
                b.ins().iadd_imm_s(file, place as i64)
            }
            None => b.ins().iadd_imm_s(self.workspace, self.plan.scratch[buffer.index()].unwrap_or(0) as i64),
        }
    }
}
