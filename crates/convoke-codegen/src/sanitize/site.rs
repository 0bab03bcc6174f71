//! Sites: the numbered checks of a program's code, and the messages of failed ones.

use std::fmt;
use std::sync::Arc;

use super::report::Words;

/// A check.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) touched: Touched,
    /// The loop variables that are noted, outermost first.
    pub(crate) loops: Arc<[String]>,
}

/// The subject of a check.
#[derive(Clone, Debug)]
pub(crate) enum Touched {
    /// Lanes of an access, or all elements of a part that a codelet is given.
    Elements { buffer: String, len: usize, bytes: usize, stride: i64, lanes: usize, write: bool },
    /// Whether the codelet just called has stopped.
    Callee,
}

/// The checks of every function of a program, with its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sites(pub(crate) Vec<(String, Vec<Site>)>);

/// The number of a check, as reports have it. 0 is none.
pub(crate) fn number(func: usize, site: usize) -> i64 {
    ((func as i64) << 32 | site as i64) + 1
}

impl Sites {
    fn site(&self, number: i64) -> (&str, &Site) {
        let (func, sites) = &self.0[((number - 1) >> 32) as usize];
        (func, &sites[((number - 1) & i64::from(u32::MAX)) as usize])
    }

    /// What a report of a failed check says.
    pub(crate) fn violation(&self, words: &Words) -> Violation {
        let (kernel, first, values) = words.frame(true);
        let (kernel, site) = self.site(kernel);
        let named = |site: &Site, values: &[i64]| {
            site.loops.iter().cloned().zip(values.iter().copied()).collect::<Vec<(String, i64)>>()
        };
        let mut loops = named(site, values);
        let (func, first, touched) = match &site.touched {
            Touched::Callee => {
                let (codelet, first, values) = words.frame(false);
                let (codelet, site) = self.site(codelet);
                loops.extend(named(site, values));
                (codelet, first, &site.touched)
            }
            touched => (kernel, first, touched),
        };
        let Touched::Elements { buffer, len, bytes, stride, lanes, write } = touched else {
            unreachable!("a codelet calls nothing")
        };
        Violation {
            step: words.step(),
            kernel: kernel.into(),
            func: func.into(),
            buffer: buffer.clone(),
            len: *len,
            index: outside(first.div_euclid(*bytes as i64), *len, (*stride, *lanes)),
            write: *write,
            loops,
        }
    }
}

/// The first lane that is outside of `len` elements, where the lowest of `lanes` is `lowest`.
fn outside(lowest: i64, len: usize, (stride, lanes): (i64, usize)) -> i64 {
    let last = lanes.saturating_sub(1) as i64;
    let lane_0 = if stride < 0 { lowest.wrapping_sub(stride.wrapping_mul(last)) } else { lowest };
    let inside = |index: i64| (0..len as i64).contains(&index);
    if !inside(lane_0) || stride == 0 {
        return lane_0;
    }
    // Lanes go one way, so that the first outside follows the last inside.
    let room = if stride > 0 { len as i64 - 1 - lane_0 } else { lane_0 };
    lane_0 + stride * (room / stride.abs() + 1)
}

/// An access outside of its buffer, which sanitised code stopped before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which of the program's runs it is, from 0.
    pub step: usize,
    /// The kernel that was run.
    pub kernel: String,
    /// The kernel, or the codelet that it called.
    pub func: String,
    /// The buffer, as `func` names it.
    pub buffer: String,
    /// How many elements the buffer has.
    pub len: usize,
    /// The element: of several lanes, the first that is outside.
    pub index: i64,
    /// Whether it was to be written, not read.
    pub write: bool,
    /// Loop variables with their values, outermost first; those of the kernel, then those of the codelet.
    pub loops: Vec<(String, i64)>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { kernel, func, buffer, len, index, write, loops, .. } = self;
        let verb = if *write { "writes" } else { "reads" };
        write!(f, "@{func} {verb} element {index} of %{buffer}, which has {len}")?;
        if func != kernel {
            write!(f, ", called by @{kernel}")?;
        }
        for (i, (name, value)) in loops.iter().enumerate() {
            write!(f, "{} %{name} = {value}", if i == 0 { ", at" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lane_outside_is_found() {
        assert_eq!(outside(-2, 10, (1, 4)), -2);
        assert_eq!(outside(8, 10, (1, 4)), 10);
        assert_eq!(outside(4, 10, (3, 4)), 10);
        assert_eq!(outside(-1, 10, (-2, 4)), -1);
        assert_eq!(outside(-1, 10, (-3, 4)), -1);
        assert_eq!(outside(10, 10, (0, 4)), 10);
        assert_eq!(outside(-3, 10, (-4, 3)), -3, "lanes 5, 1, -3");
        assert_eq!(outside(5, 10, (-4, 3)), 13, "lanes 13, 9, 5");
    }
}
