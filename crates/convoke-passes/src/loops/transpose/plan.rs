//! The cheapest way to transpose a window of columns: which memory to access, and which zips to do.

use convoke_ir::loops::Place;

use super::columns::{Key, Kind, Window};
use crate::loops::util::network::Network;

impl Key {
    /// Operations of one column: an access for each lane, and an insertion or extraction for each but the first; or two loads, the order of
    /// their lanes and the permutation.
    pub(super) fn cost(&self, kind: Kind, wide: bool) -> usize {
        if wide && kind == Kind::Loads && self.stride == 2 && self.lanes > 2 {
            4
        } else {
            2 * usize::from(self.lanes) - 1
        }
    }
}

/// How a window is transposed.
pub(super) struct Plan {
    pub(super) network: Network,
    /// The first access to memory, and elements from one to the next.
    first: Place,
    step: i64,
    /// How many there are.
    pub(super) accesses: usize,
    /// The lanes of the last one.
    last: u8,
    /// The accesses, parts of a vector each, that a vector of the last round is stored by.
    pub(super) parts: usize,
    /// Operations in all.
    pub(super) cost: usize,
}

impl Plan {
    /// The cheapest.
    pub(super) fn new(kind: Kind, key: &Key, window: &Window) -> Plan {
        let rows = Plan::of_rows(kind, key, window);
        match Plan::of_memory(kind, key, window) {
            Some(memory) if memory.cost < rows.cost => memory,
            _ => rows,
        }
    }

    /// An access for each row.
    fn of_rows(kind: Kind, key: &Key, window: &Window) -> Plan {
        let (n, rows, columns) = (usize::from(key.ty.lanes), usize::from(key.lanes), window.columns);
        let first = Place { slot: key.slot, at: window.at.clone(), stride: 1, lanes: columns as u8 };
        let (network, parts) = match kind {
            Kind::Loads => (Network::new(rows, n.ilog2(), &window.wanted(n)), 1),
            // Of few columns, a vector of the last round has several rows.
            Kind::Stores => {
                let vectors = columns.max(2).next_power_of_two();
                let parts = n / vectors;
                let wanted: Vec<bool> = (0..vectors).map(|vector| vector * parts < rows).collect();
                (Network::new(columns, vectors.ilog2(), &wanted), parts)
            }
        };
        // A part of a vector takes a mask, or several accesses.
        let whole = columns == n / parts;
        let cost = if whole { rows } else { 2 * rows } + if parts > 1 { rows } else { 0 };
        Plan { network, first, step: key.stride, accesses: rows, last: columns as u8, parts, cost }.with_zips(kind)
    }

    /// The memory that 2, 4, … columns span, a vector after the other. Columns between that are not loaded may be read where nobody
    /// writes.
    fn of_memory(kind: Kind, key: &Key, window: &Window) -> Option<Plan> {
        let (n, rows, columns) = (usize::from(key.ty.lanes), usize::from(key.lanes), window.columns);
        let vectors = usize::try_from(key.stride).ok().filter(|s| s.is_power_of_two() && *s <= n)?;
        if columns > vectors || columns < vectors && !(kind == Kind::Loads && key.read_only) {
            return None;
        }
        let elements = vectors * (rows - 1) + columns;
        let accesses = elements.div_ceil(n);
        let last = (elements - (accesses - 1) * n) as u8;
        let network = match kind {
            Kind::Loads => Network::new(accesses, n.ilog2(), &window.wanted(vectors)),
            Kind::Stores => {
                Network::new(columns, vectors.ilog2(), &(0..vectors).map(|v| v < accesses).collect::<Vec<_>>())
            }
        };
        let first = Place { slot: key.slot, at: window.at.clone(), stride: 1, lanes: n as u8 };
        let cost = accesses + usize::from(usize::from(last) < n);
        Some(Plan { network, first, step: n as i64, accesses, last, parts: 1, cost }.with_zips(kind))
    }

    /// Adds the zips to the cost, and the zero that padding of what is loaded is.
    fn with_zips(self, kind: Kind) -> Plan {
        let zeros = usize::from(kind == Kind::Loads && self.network.is_padded());
        Plan { cost: self.cost + self.network.zips() + zeros, ..self }
    }

    /// The access to memory of this number.
    pub(super) fn access(&self, access: usize) -> Place {
        let lanes = if access + 1 == self.accesses { self.last } else { self.first.lanes };
        Place { at: self.first.at.clone() + self.step * access as i64, lanes, ..self.first.clone() }
    }
}
