//! The macro behind the op table: what an entry becomes.
//!
//! Its names are those of the file that has the table.

macro_rules! operands {
    (many) => { Operands::Many };
    ($($operand:ident),+) => { Operands::Named(&[$(stringify!($operand)),+]) };
}

/// The name of an attribute in the text form: that of its field, unless it has another.
macro_rules! attribute {
    ($attr:ident) => {
        stringify!($attr)
    };
    ($attr:ident $text:literal) => {
        $text
    };
}

macro_rules! ops {
    ($(
        $(#[doc = $doc:literal])+
        $op:ident = $name:literal ($($operand:ident),+) {
            $($(#[doc = $attr_doc:literal])+ $attr:ident $(as $text:literal)?: $ty:ty = $default:expr,)*
        } => $infer:expr;
    )*) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Debug, PartialEq)]
            pub struct $op { $($(#[doc = $attr_doc])+ pub $attr: $ty,)* }

            impl Default for $op {
                fn default() -> $op {
                    $op { $($attr: $default,)* }
                }
            }

            impl From<$op> for Op {
                fn from(op: $op) -> Op {
                    Op::$op(op)
                }
            }
        )*

        /// An op with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "each case is documented at its struct")]
        pub enum Op { $($op($op),)* }

        /// The table, in the order of the documentation.
        pub const OPS: &[OpInfo] = &[$(OpInfo {
            name: $name,
            operands: operands!($($operand),+),
            attributes: &[$(attribute!($attr $($text)?)),*],
            doc: concat!($($doc, "\n"),+),
        },)*];

        impl Op {
            /// The op that has this name, with default attributes.
            pub fn from_name(name: &str) -> Option<Op> {
                match name {
                    $($name => Some(Op::$op($op::default())),)*
                    _ => None,
                }
            }

            /// The table entry.
            pub fn info(&self) -> &'static OpInfo {
                // Cases and table come from the same list, in the same order.
                let mut index = 0;
                $(
                    if matches!(self, Op::$op(_)) { return &OPS[index]; }
                    index += 1;
                )*
                unreachable!("op {index} of {} is in the table", OPS.len())
            }

            /// The attributes that differ from their defaults, as the printer writes them.
            pub fn attrs(&self) -> Vec<(&'static str, Attr)> {
                match self {
                    $(Op::$op(_op) => {
                        let _default = $op::default();
                        let mut _attrs = Vec::new();
                        $(if _op.$attr != _default.$attr {
                            _attrs.push((attribute!($attr $($text)?), _op.$attr.to_attr()));
                        })*
                        _attrs
                    })*
                }
            }

            /// Sets the attribute `name` from its written value.
            pub fn set_attr(&mut self, name: &str, value: &Attr) -> Result<(), AttrError> {
                let info = self.info();
                match self {
                    $(Op::$op(_op) => match name {
                        $(attribute!($attr $($text)?) => {
                            _op.$attr = <$ty>::from_attr(value).ok_or_else(|| AttrError::Kind {
                                op: info.name,
                                name: attribute!($attr $($text)?),
                                expected: <$ty>::expected(),
                                found: value.clone(),
                            })?;
                            Ok(())
                        })*
                        _ => Err(AttrError::Unknown { op: info.name, name: name.into(), known: info.attributes }),
                    })*
                }
            }

            /// The type of the result for operands of these types.
            pub fn infer(&self, args: &[&TensorType]) -> Result<TensorType, InferError> {
                infer::count(self.info(), args.len())?;
                match self {
                    $(Op::$op(op) => $infer(op, args),)*
                }
            }
        }
    };
}

pub(super) use {attribute, operands, ops};
