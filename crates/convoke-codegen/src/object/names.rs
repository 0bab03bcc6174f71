//! Names of nets in one object: their C functions and macros, and their Rust types, must differ.

use std::collections::HashMap;

use super::header::params;
use super::net::{Export, Net};
use crate::error::CodegenError;

/// Endings that functions and macros add to the name of their net.
const ENDINGS: [&str; 7] =
    ["", "_part", "_steps", "_workspace_bytes", "_workspace_align", "_weights_bytes", "_describe"];

/// The C names of nets. Macros have the names of functions in capitals, so that names are compared in capitals.
///
/// # Errors
///
/// As [`symbol`](crate::symbol()); [`CodegenError::SameName`].
pub(super) fn symbols(nets: &[Net<'_>], export: &Export) -> Result<Vec<String>, CodegenError> {
    let mut taken = Taken::default();
    let mut symbols = Vec::new();
    for net in nets {
        let symbol = net.symbol(export)?;
        let ends = ENDINGS.iter().map(|ending| format!("{symbol}{ending}"));
        let arrays = params(net).into_iter().flat_map(|param| {
            let array = format!("{symbol}_{}", param.name);
            [format!("{array}_elements"), format!("{array}_shape")]
        });
        ends.chain(arrays).try_for_each(|name| taken.take(name.to_uppercase(), net))?;
        symbols.push(symbol);
    }
    Ok(symbols)
}

/// The Rust types of nets: `SobelEdges` for `sobel_edges`. `Net` precedes a name that begins with no letter, and the name of a type that the source uses.
///
/// # Errors
///
/// [`CodegenError::SameName`].
pub(super) fn types(nets: &[Net<'_>]) -> Result<Vec<String>, CodegenError> {
    let mut taken = Taken::default();
    let named = nets.iter().map(|net| {
        let words = net.name().split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let joined: String = words.map(|word| word[..1].to_uppercase() + &word[1..]).collect();
        let is_free = !["Option", "Self", "Vec"].contains(&joined.as_str());
        let is_name = is_free && joined.starts_with(|c: char| c.is_ascii_alphabetic());
        let name = if is_name { joined } else { format!("Net{joined}") };
        taken.take(name.clone(), net).map(|()| name)
    });
    named.collect()
}

/// Names so far, each with its net.
#[derive(Default)]
struct Taken<'a>(HashMap<String, &'a str>);

impl<'a> Taken<'a> {
    fn take(&mut self, name: String, net: &Net<'a>) -> Result<(), CodegenError> {
        match self.0.get(&name) {
            Some(&other) => Err(CodegenError::SameName { layer: net.name().into(), other: other.into(), name }),
            None => {
                self.0.insert(name, net.name());
                Ok(())
            }
        }
    }
}
