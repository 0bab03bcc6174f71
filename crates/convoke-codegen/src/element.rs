//! The element types of Rust slices that compiled code runs on.

use convoke_ir::elem::half::{bf16, f16};
use convoke_ir::elem::{Elem, Number};

mod sealed {
    pub trait Sealed {}
    impl<T: convoke_ir::elem::Number> Sealed for T {}
}

/// A number that a buffer may hold: `f32`, `f64`, or of the crate `half` `f16` or `bf16`.
pub trait Element: sealed::Sealed + Number {
    /// A slice to be read.
    fn slice(slice: &[Self]) -> Slice<'_>;
    /// A slice to be written.
    fn slice_mut(slice: &mut [Self]) -> SliceMut<'_>;
}

macro_rules! elements {
    ($($ty:ty = $case:ident),*) => {
        /// A slice of any element type, to be read.
        #[derive(Clone, Copy, Debug)]
        pub enum Slice<'a> {
            $(#[doc = concat!("Of `", stringify!($ty), "`.")] $case(&'a [$ty]),)*
        }

        /// A slice of any element type, to be written.
        #[derive(Debug)]
        pub enum SliceMut<'a> {
            $(#[doc = concat!("Of `", stringify!($ty), "`.")] $case(&'a mut [$ty]),)*
        }

        $(impl Element for $ty {
            fn slice(slice: &[Self]) -> Slice<'_> {
                Slice::$case(slice)
            }
            fn slice_mut(slice: &mut [Self]) -> SliceMut<'_> {
                SliceMut::$case(slice)
            }
        })*

        impl Slice<'_> {
            pub(crate) fn raw(&self) -> Raw {
                match self { $(Slice::$case(s) => Raw { elem: Elem::$case, len: s.len(), begin: s.as_ptr() as *mut u8 },)* }
            }
        }

        impl SliceMut<'_> {
            pub(crate) fn raw(&mut self) -> Raw {
                match self { $(SliceMut::$case(s) => Raw { elem: Elem::$case, len: s.len(), begin: s.as_mut_ptr().cast() },)* }
            }
        }
    };
}

elements!(f16 = F16, bf16 = Bf16, f32 = F32, f64 = F64);

/// Type, length and address of a slice, for the checks before a run.
pub(crate) struct Raw {
    pub(crate) elem: Elem,
    pub(crate) len: usize,
    pub(crate) begin: *mut u8,
}
