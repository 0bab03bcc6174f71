//! Checks of sanitised code: before an access, whether all its lanes are inside the buffer.
//!
//! ```text
//!     first  = address of the lowest lane − address of the buffer
//!     inside = first < bytes of the buffer − bytes from the lowest lane to the end of the highest + 1      without sign: below 0 is large
//!     brif inside, next, exit(site, first)
//!   exit(site, first):       one for each scope of loops
//!     the frame of this function ← site, first, loop variables
//!     return
//! ```
//!
//! A kernel asks after each call whether the codelet has stopped, and then stops too.

use std::sync::Arc;

use convoke_ir::loops::{FuncId, FuncKind, SlotId};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Value, types};
use cranelift_frontend::Variable;

use super::{Emitter, Index};
use crate::sanitize::{FRAME_BYTES, FRAME_VARS, REPORT_BYTES, Site, Touched, number};

/// The checks of one function.
pub(super) struct Checks {
    func: FuncId,
    /// The codelets' frame of the report.
    report: Value,
    /// The frame of this function.
    frame: Value,
    pub(super) sites: Vec<Site>,
    exits: Vec<Exit>,
    /// The exit of each open scope, innermost last.
    open: Vec<Option<usize>>,
}

/// Where a function stops, with the loop variables of its scope.
struct Exit {
    block: Block,
    loops: Arc<[String]>,
    values: Vec<Value>,
}

impl Emitter<'_, '_> {
    /// Begins the checks of a function. A codelet is given the report behind its buffers; a kernel's lies in front of its locals.
    pub(super) fn begin_checks(&mut self, func: FuncId, params: &[Value]) {
        let (report, frame) = match self.func.kind {
            FuncKind::Codelet => (params[params.len() - 1], params[params.len() - 1]),
            FuncKind::Kernel => {
                let report = self.b.ins().iadd_imm_s(params[1], -(REPORT_BYTES as i64));
                (report, self.b.ins().iadd_imm_s(report, FRAME_BYTES as i64))
            }
        };
        self.checks = Some(Checks { func, report, frame, sites: Vec::new(), exits: Vec::new(), open: vec![None] });
    }

    /// The report, where this function passes one on.
    pub(super) fn report(&self) -> Option<Value> {
        self.checks.as_ref().map(|checks| checks.report)
    }

    pub(super) fn open_scope(&mut self) {
        if let Some(checks) = &mut self.checks {
            checks.open.push(None);
        }
    }

    pub(super) fn close_scope(&mut self) {
        if let Some(checks) = &mut self.checks {
            checks.open.pop();
        }
    }

    /// Checks `lanes` elements, `stride` apart, from `base + offset` bytes on.
    pub(super) fn check(
        &mut self,
        slot: SlotId,
        (base, offset): (Value, i64),
        (stride, lanes): (i64, usize),
        write: bool,
    ) {
        if self.checks.is_none() {
            return;
        }
        let func = self.func;
        let declared = &func.slots[slot];
        let bytes = declared.elem.bytes();
        let reach = stride.saturating_mul(bytes as i64).saturating_mul(lanes.saturating_sub(1) as i64);
        let taken = reach.saturating_abs().saturating_add(bytes as i64);
        let places = ((declared.len * bytes) as i64 - taken).saturating_add(1).max(0);
        let distance = self.b.ins().isub(base, self.slots[slot.index()]);
        let first = self.b.ins().iadd_imm_s(distance, offset.saturating_add(reach.min(0)));
        let places = self.b.ins().iconst(types::I64, places);
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, first, places);
        let (buffer, len) = (declared.name.clone(), declared.len);
        self.stop_unless(inside, first, Touched::Elements { buffer, len, bytes, stride, lanes, write });
    }

    /// Stops if the codelet just called has.
    pub(super) fn check_callee(&mut self) {
        let Some(report) = self.report() else { return };
        let site = self.b.ins().load(types::I64, MemFlagsData::trusted(), report, 0);
        let fine = self.b.ins().icmp_imm_s(IntCC::Equal, site, 0);
        self.stop_unless(fine, site, Touched::Callee);
    }

    /// Notes the check and returns, unless the condition holds.
    fn stop_unless(&mut self, holds: Value, first: Value, touched: Touched) {
        let exit = self.exit();
        let Some(checks) = &mut self.checks else { return };
        let Exit { block, loops, .. } = &checks.exits[exit];
        let site = number(checks.func.index(), checks.sites.len());
        let (block, loops) = (*block, loops.clone());
        checks.sites.push(Site { touched, loops });
        let site = self.b.ins().iconst(types::I64, site);
        let next = self.b.create_block();
        self.b.ins().brif(holds, next, &[], block, &[site.into(), first.into()]);
        self.b.switch_to_block(next);
        self.b.seal_block(next);
    }

    /// The exit of this scope. Its variables do not change within, so that their present values are those of all its checks.
    fn exit(&mut self) -> usize {
        if let Some(exit) = self.checks.as_ref().and_then(|checks| *checks.open.last()?) {
            return exit;
        }
        let mut live: Vec<(usize, String, Variable)> = Vec::new();
        for (state, (_, var)) in self.vars.iter().zip(self.func.vars.iter()) {
            if let Index::Live { variable, depth } = *state {
                live.push((depth, var.name.clone(), variable));
            }
        }
        live.sort_by_key(|(depth, ..)| *depth);
        live.truncate(FRAME_VARS);
        let values = live.iter().map(|&(.., variable)| self.b.use_var(variable)).collect();
        let block = self.b.create_block();
        self.b.append_block_param(block, types::I64);
        self.b.append_block_param(block, types::I64);
        self.b.set_cold_block(block);
        let loops = live.into_iter().map(|(_, name, _)| name).collect();
        let Some(checks) = &mut self.checks else { unreachable!("only checks ask for an exit") };
        checks.exits.push(Exit { block, loops, values });
        let exit = checks.exits.len() - 1;
        *checks.open.last_mut().expect("the function's own scope stays open") = Some(exit);
        exit
    }

    /// Writes the exits, when all else is written.
    pub(super) fn end_checks(&mut self) {
        let Some(Checks { frame, exits, .. }) = &self.checks else { return };
        let flags = MemFlagsData::trusted();
        for Exit { block, values, .. } in exits {
            self.b.switch_to_block(*block);
            self.b.seal_block(*block);
            let words = [self.b.block_params(*block), values].concat();
            for (i, word) in words.into_iter().enumerate() {
                self.b.ins().store(flags, word, *frame, (i * size_of::<i64>()) as i32);
            }
            self.b.ins().return_(&[]);
        }
    }
}
