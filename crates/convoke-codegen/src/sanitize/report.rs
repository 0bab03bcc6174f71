//! Where sanitised code notes the check that failed: memory in front of the locals of each thread.
//!
//! ```text
//!   frame of a codelet   frame of the kernel   run
//!   site, byte, loops    site, byte, loops           words of 64 bits; a site of 0 says that no check has failed
//! ```

use crate::convention::ALIGN;

/// Words of a frame: the site, the byte that the access begins at, loop variables from the outermost inwards.
const FRAME_WORDS: usize = 16;
/// How many loop variables are noted.
pub(crate) const FRAME_VARS: usize = FRAME_WORDS - 2;
/// Bytes from one frame to the next.
pub(crate) const FRAME_BYTES: usize = FRAME_WORDS * size_of::<i64>();
/// Bytes of a report.
pub(crate) const REPORT_BYTES: usize = (2 * FRAME_BYTES + size_of::<i64>()).next_multiple_of(ALIGN);
const WORDS: usize = REPORT_BYTES / size_of::<i64>();
/// Where the number of the run stands.
const STEP: usize = 2 * FRAME_WORDS;

/// The report of one thread.
#[derive(Clone, Copy)]
pub(crate) struct Report(*mut i64);

/// A copy of a report.
pub(crate) struct Words([i64; WORDS]);

impl Report {
    /// The one in front of these locals.
    pub(crate) fn before(local: *mut u8) -> Report {
        Report(local.wrapping_sub(REPORT_BYTES).cast())
    }

    /// Says that no check has failed.
    ///
    /// # Safety
    ///
    /// The report is the caller's. So for all methods.
    pub(crate) unsafe fn clear(self) {
        // SAFETY: the caller's promise.
        unsafe { self.0.cast::<[i64; WORDS]>().write([0; WORDS]) }
    }

    /// Whether a check has failed.
    ///
    /// # Safety
    ///
    /// As [`Report::clear`].
    pub(crate) unsafe fn failed(self) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(FRAME_WORDS).read() != 0 }
    }

    /// Notes which run it is.
    ///
    /// # Safety
    ///
    /// As [`Report::clear`].
    pub(crate) unsafe fn of_step(self, step: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(STEP).write(step as i64) }
    }

    /// Its words as they are now.
    ///
    /// # Safety
    ///
    /// As [`Report::clear`].
    pub(crate) unsafe fn words(self) -> Words {
        // SAFETY: the caller's promise.
        Words(unsafe { self.0.cast::<[i64; WORDS]>().read() })
    }
}

impl Words {
    /// The frame of a codelet, or of the kernel: site, byte, loop variables.
    pub(crate) fn frame(&self, kernel: bool) -> (i64, i64, &[i64]) {
        let frame = &self.0[usize::from(kernel) * FRAME_WORDS..][..FRAME_WORDS];
        (frame[0], frame[1], &frame[2..])
    }

    /// The number of the run.
    pub(crate) fn step(&self) -> usize {
        self.0[STEP] as usize
    }
}
