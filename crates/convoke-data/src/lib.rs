//! The numbers of constants: generators, npy, npz, safetensors; images in and out.
