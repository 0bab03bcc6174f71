//! Generated code touches only what it was given: every input and output stands flush against pages that cannot be
//! accessed, once after it and once before it.

#![cfg(unix)]

mod common;

use std::ptr::{null_mut, slice_from_raw_parts_mut};

use convoke_machine::Machine;

const PAGE: usize = 4096;

/// Memory for `len` floats between two pages that fault.
struct Guarded {
    map: *mut u8,
    bytes: usize,
    data: *mut f32,
    len: usize,
}

impl Guarded {
    /// `at_end`: the last float ends where the page behind begins; else the first begins where the page before ends.
    fn new(len: usize, at_end: bool) -> Guarded {
        let inner = (len * 4).next_multiple_of(PAGE);
        let bytes = inner + 2 * PAGE;
        // SAFETY: a fresh private mapping; the two protected pages are inside it, the data between them.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let map = libc::mmap(null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            assert_ne!(map, libc::MAP_FAILED);
            let map = map.cast::<u8>();
            for page in [map, map.add(PAGE + inner)] {
                assert_eq!(libc::mprotect(page.cast(), PAGE, libc::PROT_NONE), 0);
            }
            let data = map.add(PAGE + if at_end { inner - len * 4 } else { 0 }).cast();
            Guarded { map, bytes, data, len }
        }
    }

    fn floats(&mut self) -> &mut [f32] {
        // SAFETY: `data` has room for `len` floats between the guards, and the mapping is zeroed.
        unsafe { &mut *slice_from_raw_parts_mut(self.data, self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, of that length.
        unsafe { libc::munmap(self.map.cast(), self.bytes) };
    }
}

#[test]
fn convolutions_stay_inside_their_buffers() {
    check(&Machine::host());
}

/// Without AVX, instructions that read memory want 16-byte boundaries, which these buffers do not have.
#[test]
fn without_avx_too() {
    let machine = Machine::named("x86-64").expect("listed");
    match machine.runs_on_host() {
        Ok(()) => check(&machine),
        Err(missing) => eprintln!("SKIPPED without_avx_too: {missing}"),
    }
}

fn check(machine: &Machine) {
    let all = common::convolutions();
    assert!(all.len() > 80, "every shape, algorithm and layout");
    for source in all {
        let layer = common::layer(&source);
        let elements = |id| layer.ty(id).elements();
        let compiled = common::compiled_for(machine, &source, 1);
        let mut results = Vec::new();
        for at_end in [true, false] {
            let mut x = Guarded::new(elements(layer.params[0]), at_end);
            let mut y = Guarded::new(elements(layer.results[0]), at_end);
            x.floats().iter_mut().enumerate().for_each(|(i, v)| *v = (i % 17) as f32 - 8.0);
            y.floats().fill(f32::NAN);
            compiled.run(&[&*x.floats()], &mut [y.floats()]).expect("it runs");
            results.push(y.floats().to_vec());
        }
        assert!(results[0].iter().all(|v| v.is_finite()), "an element was not written by\n{source}");
        assert_eq!(results[0], results[1], "{source}");
    }
}
