//! Poison: a NaN that no computation makes, in memory that nobody has written.
//!
//! It is a signalling NaN. A copy keeps its bits, while arithmetic makes it quiet and keeps its payload. So an element of an output shows
//! whether it was never written, or was computed from an element that was not. The number of a half is lost in arithmetic on other
//! types, after which it is a NaN like any other.

use convoke_ir::elem::Elem;

/// The poison of each type, and the bits that arithmetic may change in it: the sign, and the bit that makes a NaN quiet.
macro_rules! poison {
    ($($elem:ident, $bits:ty = $poison:literal, quiet $quiet:literal;)*) => {
        /// Fills `len` elements with poison.
        ///
        /// # Safety
        ///
        /// They are the caller's, to be written.
        pub(crate) unsafe fn fill(begin: *mut u8, elem: Elem, len: usize) {
            match elem {
                $(Elem::$elem => {
                    for i in 0..len {
                        // SAFETY: the caller's promise.
                        unsafe { begin.cast::<$bits>().add(i).write_unaligned($poison) }
                    }
                })*
            }
        }

        /// The first of `len` elements that is poison, or was computed from it.
        ///
        /// # Safety
        ///
        /// They are the caller's, to be read.
        pub(crate) unsafe fn find(begin: *const u8, elem: Elem, len: usize) -> Option<(usize, Trace)> {
            match elem {
                $(Elem::$elem => (0..len).find_map(|i| {
                    // SAFETY: the caller's promise.
                    let bits: $bits = unsafe { begin.cast::<$bits>().add(i).read_unaligned() };
                    let may_differ: $bits = $quiet | 1 << (<$bits>::BITS - 1);
                    match bits {
                        $poison => Some((i, Trace::Poison)),
                        _ if bits & !may_differ == $poison => Some((i, Trace::Computed)),
                        _ => None,
                    }
                }),)*
            }
        }
    };
}

poison! {
    F16, u16 = 0x7d55, quiet 0x0200;
    Bf16, u16 = 0x7fa5, quiet 0x0040;
    F32, u32 = 0x7fa5_a5a5, quiet 0x0040_0000;
    F64, u64 = 0x7ff4_a5a5_a5a5_a5a5, quiet 0x0008_0000_0000_0000;
}

/// The origin of a poisoned element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    /// It is poison: never written, or a copy of memory that was not.
    Poison,
    /// It was computed from poison.
    Computed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_is_a_signalling_nan_and_arithmetic_leaves_a_trace() {
        let mut memory = [0u64; 4];
        let begin = memory.as_mut_ptr().cast::<u8>();
        for &elem in Elem::ALL {
            let len = 32 / elem.bytes();
            // SAFETY: 32 bytes of our own.
            unsafe {
                fill(begin, elem, len);
                assert_eq!(find(begin, elem, len), Some((0, Trace::Poison)), "{elem}");
            }
        }
        // SAFETY: 32 bytes of our own.
        unsafe {
            fill(begin, Elem::F32, 8);
            let numbers = begin.cast::<f32>();
            (0..7).for_each(|i| numbers.add(i).write(i as f32));
            assert_eq!(find(begin, Elem::F32, 7), None);
            assert_eq!(find(begin, Elem::F32, 8), Some((7, Trace::Poison)));
            numbers.add(3).write(-std::hint::black_box(numbers.add(7).read()) + 1.0);
            assert_eq!(find(begin, Elem::F32, 8), Some((3, Trace::Computed)));
            numbers.write(f32::NAN);
            assert_eq!(find(begin, Elem::F32, 3), None, "a NaN of another payload is a result");
        }
    }
}
