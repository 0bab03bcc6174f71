//! Loop IR to native code through Cranelift: JIT memory and object files.
