//! Attributes of a node by name and type.

use crate::error::{Converted, malformed};
use crate::proto::{AttributeProto, TensorProto};

/// The attributes of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes(Vec<AttributeProto>);

impl Attributes {
    pub(crate) fn new(attributes: Vec<AttributeProto>) -> Attributes {
        Attributes(attributes)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&AttributeProto> {
        self.0.iter().find(|attribute| attribute.name == name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &AttributeProto> {
        self.0.iter()
    }

    /// A whole number.
    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        // proto3 leaves 0 out.
        self.get(name).map_or(default, |attribute| attribute.i.unwrap_or(0))
    }

    /// A truth value.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.int(name, 0) != 0
    }

    /// A whole number, if it is given.
    pub(crate) fn maybe_int(&self, name: &str) -> Option<i64> {
        self.get(name).map(|attribute| attribute.i.unwrap_or(0))
    }

    /// A real number.
    pub(crate) fn float(&self, name: &str, default: f64) -> f64 {
        self.get(name).map_or(default, |attribute| attribute.f.unwrap_or(0.0).into())
    }

    /// A list of whole numbers, if it is given.
    pub(crate) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.get(name).map(|attribute| attribute.ints.as_slice())
    }

    /// A list of real numbers, if it is given.
    pub(crate) fn floats(&self, name: &str) -> Option<Vec<f64>> {
        self.get(name).map(|attribute| attribute.floats.iter().copied().map(f64::from).collect())
    }

    /// A word.
    pub(crate) fn word<'a>(&'a self, name: &str, default: &'a str) -> Converted<&'a str> {
        match self.get(name) {
            None => Ok(default),
            Some(attribute) => match std::str::from_utf8(attribute.s.as_deref().unwrap_or_default()) {
                Ok(word) => Ok(word),
                Err(_) => malformed(format!("attribute `{name}` is not UTF-8")),
            },
        }
    }

    /// A tensor, if it is given.
    pub(crate) fn tensor(&self, name: &str) -> Option<&TensorProto> {
        self.get(name).and_then(|attribute| attribute.t.as_ref())
    }

    /// A list of exactly `N` whole numbers.
    pub(crate) fn exactly<const N: usize>(&self, name: &str, default: [i64; N]) -> Converted<[i64; N]> {
        match self.ints(name) {
            None | Some([]) => Ok(default),
            Some(list) => match <[i64; N]>::try_from(list) {
                Ok(list) => Ok(list),
                Err(_) => malformed(format!("attribute `{name}` has {} numbers, {N} are expected", list.len())),
            },
        }
    }
}
