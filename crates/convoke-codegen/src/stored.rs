//! Compiled programs in files, which later processes load without passes, code generation or packing.
//!
//! ```text
//!   convoke\n  length and checksum of the head  head  code  constants      code and constants on boundaries of 64 bytes
//! ```
//!
//! The head is JSON: the caller's key and notes, the steps of a run, and for each part its place, length and checksum. A loaded file is mapped, and
//! constants stay in it: processes that load the same file share them. Code is copied into memory of its own, which is executable and no longer
//! written to.
//!
//! Who may write the file decides what code runs. A checksum finds damage, not malice.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use convoke_ir::arena::Id;
use convoke_ir::elem::Elem;
use convoke_machine::Machine;
use memmap2::{Mmap, MmapMut};
use serde::{Deserialize, Serialize};

use crate::aligned::Aligned;
use crate::compiled::Compiled;
use crate::convention::ALIGN;
use crate::helpers::Helpers;
use crate::jit::Kernel;
use crate::options::Options;
use crate::parts::{Machinery, Param, Step};
use crate::plan::Plan;
use crate::work;

/// The first bytes of a file.
const MAGIC: &[u8; 8] = b"convoke\n";
/// Bytes before the head: the magic ones, the length of the head, its checksum.
const DOOR: usize = 20;

/// The part of a file before code and constants.
#[derive(Serialize, Deserialize)]
struct Head {
    key: String,
    notes: String,
    code: Part,
    code_bytes: usize,
    inputs: Vec<StoredParam>,
    outputs: Vec<StoredParam>,
    steps: Vec<StoredStep>,
    /// For each buffer of the program, its constant.
    constants: Vec<Option<Part>>,
    /// For each buffer of the program, its place in the workspace.
    scratch: Vec<Option<usize>>,
    scratch_bytes: usize,
    local_bytes: usize,
    flushed: usize,
}

/// Bytes of the file, from the end of the head on.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Part {
    at: usize,
    len: usize,
    checksum: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredParam {
    buffer: usize,
    name: String,
    elem: String,
    len: usize,
}

#[derive(Serialize, Deserialize)]
struct StoredStep {
    /// Where the kernel begins in the code.
    at: usize,
    args: Vec<usize>,
    trips: u64,
    work: u64,
}

impl Part {
    /// The part that these bytes are, behind `end`, which it moves on.
    fn of(bytes: &[u8], end: &mut usize) -> Part {
        let at = end.next_multiple_of(ALIGN);
        *end = at + bytes.len();
        Part { at, len: bytes.len(), checksum: crc32fast::hash(bytes) }
    }

    /// Its bytes among those behind the head, if they are there and undamaged.
    fn read(self, bytes: &[u8]) -> Option<&[u8]> {
        let part = bytes.get(self.at..self.at.checked_add(self.len)?)?;
        (crc32fast::hash(part) == self.checksum).then_some(part)
    }
}

impl Compiled {
    /// Writes the program with a key and notes of the caller's, and says whether it did: code that refers to this process, sanitised code, and code for other CPUs than
    /// x86-64, cannot be stored.
    pub fn store(&self, key: &str, notes: &str, out: &mut dyn Write) -> io::Result<bool> {
        let Machinery::Made(code) = &self.code else { return Ok(false) };
        if self.sanitizer.is_some() {
            return Ok(false);
        }
        let Some(bytes) = code.movable().filter(|_| cfg!(target_arch = "x86_64")) else { return Ok(false) };
        let steps = self.steps.iter().map(|step| {
            let args = step.args.iter().map(|arg| arg.index()).collect();
            let work::Step { trips, work } = step.work;
            Some(StoredStep { at: code.offset(step.kernel)?, args, trips, work })
        });
        let Some(steps) = steps.collect::<Option<Vec<_>>>() else { return Ok(false) };
        let mut end = 0;
        let code = Part::of(bytes, &mut end);
        let constants: Vec<Option<Part>> =
            self.constants.iter().map(|held| Some(Part::of(held.as_ref()?.bytes(), &mut end))).collect();
        let head = Head {
            key: key.into(),
            notes: notes.into(),
            code,
            code_bytes: self.code_bytes(),
            inputs: self.inputs.iter().map(StoredParam::of).collect(),
            outputs: self.outputs.iter().map(StoredParam::of).collect(),
            steps,
            constants: constants.clone(),
            scratch: self.plan.scratch.clone(),
            scratch_bytes: self.plan.scratch_bytes,
            local_bytes: self.plan.local_bytes,
            flushed: self.flushed(),
        };
        let mut head = serde_json::to_vec(&head)?;
        // Parts count from a boundary.
        head.resize((DOOR + head.len()).next_multiple_of(ALIGN) - DOOR, b' ');
        out.write_all(MAGIC)?;
        out.write_all(&(head.len() as u64).to_le_bytes())?;
        out.write_all(&crc32fast::hash(&head).to_le_bytes())?;
        out.write_all(&head)?;
        let held = self.constants.iter().flatten().map(|held| held.bytes());
        let parts = std::iter::once((code, bytes)).chain(constants.into_iter().flatten().zip(held));
        let mut written = 0;
        for (part, bytes) in parts {
            out.write_all(&[0; ALIGN][..part.at - written])?;
            out.write_all(bytes)?;
            written = part.at + part.len;
        }
        Ok(true)
    }

    /// The program of a file that [`Compiled::store`] wrote with this key, and its notes; `None` for any other file, or a damaged one.
    ///
    /// `machine` and `options` are those that it was compiled for; only the number of threads may differ. The caller trusts whoever may write the
    /// file, since its code runs.
    pub fn load(file: &File, key: &str, machine: &Machine, options: &Options) -> Option<(Compiled, String)> {
        if !cfg!(target_arch = "x86_64") || machine.runs_on_host().is_err() {
            return None;
        }
        // SAFETY: files of a cache are written whole and then named, never written to again. Who breaks that may as well replace the code.
        let map = Arc::new(unsafe { Mmap::map(file) }.ok()?);
        let (door, rest) = map.split_at_checked(DOOR)?;
        let len = u64::from_le_bytes(*door[MAGIC.len()..].first_chunk()?);
        let checksum = u32::from_le_bytes(*door.last_chunk()?);
        let (head, bytes) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        if !door.starts_with(MAGIC) || crc32fast::hash(head) != checksum {
            return None;
        }
        let head: Head = serde_json::from_slice(head).ok().filter(|head: &Head| head.key == key)?;
        let behind = DOOR + usize::try_from(len).ok()?;
        let code = head.code.read(bytes)?;
        let region = region(code)?;
        let buffers = head.constants.len();
        let known = |buffer: usize| (buffer < buffers).then(|| Id::new(buffer));
        let params = |stored: Vec<StoredParam>| {
            let params = stored.into_iter().map(|param| {
                let elem = Elem::from_name(&param.elem)?;
                Some(Param { buffer: known(param.buffer)?, name: param.name, elem, len: param.len })
            });
            params.collect::<Option<Vec<_>>>()
        };
        let held = |part: Part| {
            part.read(bytes)?;
            Some(Arc::new(Aligned::in_file(&map, behind + part.at, part.len)?))
        };
        let constants = head.constants.iter().map(|part| part.map_or(Some(None), |part| held(part).map(Some)));
        let (mut steps, mut table) = (Vec::new(), 0);
        for stored in head.steps {
            code.get(stored.at)?;
            // SAFETY: the kernel that `store` found at this place of the same code, which has been copied to the region.
            let kernel = unsafe { std::mem::transmute::<*const u8, Kernel>(region.as_ptr().wrapping_add(stored.at)) };
            let args = stored.args.into_iter().map(known).collect::<Option<Vec<_>>>()?;
            let len = args.len();
            steps.push(Step { kernel, args, table, work: work::Step { trips: stored.trips, work: stored.work } });
            table += len;
        }
        let Head { scratch, scratch_bytes, local_bytes, flushed, code_bytes, notes, .. } = head;
        if scratch.len() != buffers || scratch.iter().flatten().any(|&at| at > scratch_bytes) {
            return None;
        }
        let plan = Plan { scratch, scratch_bytes, local_bytes };
        let mut compiled = Compiled::new(Machinery::Loaded(region, code_bytes), steps, plan, machine, options);
        compiled.inputs = params(head.inputs)?;
        compiled.outputs = params(head.outputs)?;
        compiled.constants = constants.collect::<Option<Vec<_>>>()?;
        compiled.flushed = flushed;
        compiled.helpers = Helpers::of(compiled.threads(), options.bounds.limits()).ok()?;
        Some((compiled, notes))
    }
}

/// Memory with this code, executable.
fn region(code: &[u8]) -> Option<Mmap> {
    let mut region = MmapMut::map_anon(code.len().max(1)).ok()?;
    region[..code.len()].copy_from_slice(code);
    region.make_exec().ok()
}

impl StoredParam {
    fn of(param: &Param) -> StoredParam {
        let Param { buffer, name, elem, len } = param;
        StoredParam { buffer: buffer.index(), name: name.clone(), elem: elem.name().into(), len: *len }
    }
}
