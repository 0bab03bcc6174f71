//! Generated code to read: Cranelift IR and disassembly, function after function under their loop IR names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use convoke_ir::limits::Bounds;
use convoke_ir::loops::{FuncId, Program, Verified};
use convoke_machine::Machine;
use cranelift_module::ModuleRelocTarget;
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, OpKind, SymbolResolver, SymbolResult};

use crate::emit;
use crate::error::CodegenError;
use crate::machine_code::{MachineCode, Numbered, compile_all, guard, reachable};
use crate::target::{Place, Target};

/// The Cranelift IR of every function that a run needs, before Cranelift optimises it.
pub fn clif(program: Verified<'_>, machine: &Machine, bounds: &Bounds) -> Result<String, CodegenError> {
    let program = program.program();
    let target = Target::new(machine, Place::object())?;
    let funcs = reachable(program, &program.entry);
    let numbers = Numbered::new(program, &funcs);
    let mut text = String::new();
    for &id in &funcs {
        bounds.on_time(format_args!("code of `@{}`", program.funcs[id].name))?;
        emit::check_size(&program.funcs[id], &target, bounds.limits())?;
        let (func, _) = guard(|| Ok(emit::function(program, id, &target, &|callee| numbers.of(callee).as_u32())))?;
        write_title(&mut text, program, id, numbers.of(id).as_u32());
        let _ = writeln!(text, "{}", func.display());
    }
    Ok(text)
}

/// The machine code of every function that a run needs, disassembled.
pub fn asm(program: Verified<'_>, machine: &Machine, bounds: &Bounds) -> Result<String, CodegenError> {
    let program = program.program();
    let target = Target::new(machine, Place::object())?;
    let funcs = reachable(program, &program.entry);
    let numbers = Numbered::new(program, &funcs);
    let compiled = compile_all(program, &funcs, &target, &numbers, !target.is_x86(), bounds)?;
    let mut text = String::new();
    for (&id, code) in funcs.iter().zip(&compiled) {
        write_title(&mut text, program, id, numbers.of(id).as_u32());
        let name = |target: &ModuleRelocTarget| match target {
            ModuleRelocTarget::User { index, .. } => funcs
                .get(*index as usize)
                .map_or_else(|| target.to_string(), |&id| format!("@{}", program.funcs[id].name)),
            other => other.to_string(),
        };
        match &code.listing {
            Some(listing) => text.push_str(listing),
            None => disassemble(&mut text, code, &name),
        }
        text.push('\n');
    }
    Ok(text)
}

fn write_title(text: &mut String, program: &Program, id: FuncId, number: u32) {
    let func = &program.funcs[id];
    let slots: Vec<String> = func
        .slots
        .iter()
        .map(|(_, slot)| format!("{} %{}: {}[{}]", slot.access.keyword(), slot.name, slot.elem, slot.len))
        .collect();
    let _ = writeln!(text, "; @{} (fn{number}) {}", func.name, slots.join(", "));
}

/// x86-64 machine code, with labels for the targets of branches and names for those of calls.
fn disassemble(text: &mut String, code: &MachineCode, name: &dyn Fn(&ModuleRelocTarget) -> String) {
    let instructions = decode(&code.bytes);
    let is_branch = |i: &Instruction| i.op_count() > 0 && i.op_kind(0) == OpKind::NearBranch64;
    let calls: BTreeMap<u64, String> =
        code.relocs.iter().map(|reloc| (u64::from(reloc.offset), name(&reloc.name))).collect();
    let called = |i: &Instruction| calls.range(i.ip()..i.next_ip()).next().map(|(_, name)| name);
    let targets: BTreeSet<u64> = instructions
        .iter()
        .filter(|i| is_branch(i) && called(i).is_none())
        .map(Instruction::near_branch_target)
        .collect();
    let labels: BTreeMap<u64, String> = targets.iter().enumerate().map(|(n, &at)| (at, format!("L{n}"))).collect();

    let mut formatter = IntelFormatter::with_options(Some(Box::new(Labels(labels.clone()))), None);
    formatter.options_mut().set_first_operand_char_index(13);
    formatter.options_mut().set_space_after_operand_separator(true);
    formatter.options_mut().set_rip_relative_addresses(true);
    let mut line = String::new();
    for instruction in &instructions {
        if let Some(label) = labels.get(&instruction.ip()) {
            let _ = writeln!(text, "{label}:");
        }
        line.clear();
        match called(instruction) {
            Some(callee) => {
                let _ = write!(line, "{:<13}{callee}", format!("{:?}", instruction.mnemonic()).to_lowercase());
            }
            None => formatter.format(instruction, &mut line),
        }
        let _ = writeln!(text, "  {line}");
    }
    let code_end = instructions.last().map_or(0, Instruction::next_ip) as usize;
    if code_end < code.bytes.len() {
        let _ = writeln!(text, "  ; {} bytes of constants and padding", code.bytes.len() - code_end);
    }
}

/// The instructions of a function. Behind its last `ret` are only constants, the first of which is addressed from the code.
fn decode(bytes: &[u8]) -> Vec<Instruction> {
    let mut decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
    let mut instructions = Vec::new();
    let mut end = bytes.len() as u64;
    while decoder.can_decode() && decoder.ip() < end {
        let instruction = decoder.decode();
        if instruction.is_ip_rel_memory_operand() && instruction.ip_rel_memory_address() > instruction.ip() {
            end = end.min(instruction.ip_rel_memory_address());
        }
        instructions.push(instruction);
    }
    let last = instructions.iter().rposition(|i| i.mnemonic() == iced_x86::Mnemonic::Ret);
    instructions.truncate(last.map_or(instructions.len(), |i| i + 1));
    instructions
}

struct Labels(BTreeMap<u64, String>);

impl SymbolResolver for Labels {
    fn symbol(&mut self, _: &Instruction, _: u32, _: Option<u32>, address: u64, _: u32) -> Option<SymbolResult<'_>> {
        self.0.get(&address).map(|label| SymbolResult::with_str(address, label))
    }
}
