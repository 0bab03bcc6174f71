//! Names of C: how the function of a layer is called in an object file.
//!
//! ```text
//!   symbol = prefix + layer's name, in which every other character than a letter, a digit or `_` becomes `_`
//! ```
//!
//! A symbol that C, C++ or the C library has taken is refused: an object that defines `expf` replaces the library's for the whole program. With the
//! prefix that convoke has by default there are none.

use crate::error::CodegenError;

/// Prefix of exported functions unless another is asked for.
pub const SYMBOL_PREFIX: &str = "convoke_";

/// The name of the C function of a layer.
///
/// # Errors
///
/// A name that is reserved, or none of C.
pub fn symbol(prefix: &str, layer: &str) -> Result<String, CodegenError> {
    let symbol = [prefix, &identifier(layer)].concat();
    let refused = |reason| Err(CodegenError::Symbol { layer: layer.into(), symbol: symbol.clone(), reason });
    let is = |words: &str| words.split_whitespace().any(|word| word == symbol);
    match symbol.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => {}
        Some('_') => return refused("a name with `_` in front is for compilers and the C library"),
        _ => return refused("a name of C begins with a letter"),
    }
    if is(KEYWORDS) {
        return refused("this is a keyword of C or C++");
    }
    if is(LIBRARY) || prefix.is_empty() && symbol.ends_with("_t") {
        return refused("this is a name of C or of its library, which the object would replace for the whole program");
    }
    if identifier(&symbol) != symbol {
        return refused("a name of C has letters, digits and `_`");
    }
    Ok(symbol)
}

/// A name with `_` for what no identifier of C has.
pub(crate) fn identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Keywords of C23 and C++23, and of the dialects that compilers speak unless told not to.
const KEYWORDS: &str = "\
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class co_await \
    co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype default delete do \
    double dynamic_cast else enum explicit export extern false float for friend goto if inline int linux long mutable \
    namespace new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast \
    requires restrict return short signed sizeof static static_assert static_cast struct switch template this \
    thread_local throw true try typedef typeid typename typeof typeof_unqual union unix unsigned using virtual void \
    volatile wchar_t while xor xor_eq";

/// Names of C23, POSIX and the C library of GNU that have a symbol, and macros that stand for functions.
const LIBRARY: &str = include_str!("reserved.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_keeps_every_name_apart() {
        // Each is looked for among all.
        for word in KEYWORDS.split_whitespace().chain(LIBRARY.split_whitespace().step_by(41)) {
            assert_eq!(symbol(SYMBOL_PREFIX, word).ok(), Some(format!("convoke_{word}")));
            assert!(matches!(symbol("", word), Err(CodegenError::Symbol { .. })), "{word}");
        }
        assert_eq!(symbol("", "conv_3x3").ok().as_deref(), Some("conv_3x3"));
        assert_eq!(symbol("net.", "a").ok(), None);
        assert_eq!(symbol(SYMBOL_PREFIX, "0.block-1").ok().as_deref(), Some("convoke_0_block_1"));
    }

    #[test]
    fn what_c_has_taken_is_refused_with_the_reason() {
        for taken in ["expf", "environ", "execve", "sbrk", "memcpy", "main", "mem_t", "_x", "0", "int"] {
            assert!(matches!(symbol("", taken), Err(CodegenError::Symbol { .. })), "{taken}");
        }
        // Together, though neither part is.
        assert!(symbol("mem", "cpy").is_err());
    }
}
