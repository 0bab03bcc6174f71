//! The layers of a drawing: the boxes of each, and the slots of lines that pass it.

/// The most slots of lines; see the [module](super).
pub(super) const MOST_SLOTS: usize = 20_000;
/// The width of a slot.
const SLOT: f64 = 4.0;

/// Boxes and slots in layers. Boxes have the first numbers, as in the graph.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    /// Boxes of the graph.
    pub(super) boxes: usize,
    /// For each box and slot, its layer.
    pub(super) rank: Vec<usize>,
    pub(super) width: Vec<f64>,
    /// The boxes and slots of each layer, from left to right.
    pub(super) layers: Vec<Vec<usize>>,
    /// For each box and slot, its neighbours in the layer above, each once.
    pub(super) above: Vec<Vec<usize>>,
    pub(super) below: Vec<Vec<usize>>,
    /// For each box, the slots of its trunk from above to below.
    trunks: Vec<Vec<usize>>,
    /// For each edge, its box and the slots of its trunk that it uses.
    used: Vec<(usize, usize)>,
}

impl Grid {
    /// The layers of a graph whose edges go from a box to one of a higher number.
    pub(super) fn new(sizes: &[(f64, f64)], edges: &[(usize, usize)]) -> Grid {
        let count = sizes.len();
        let rank = ranks(count, edges);
        let depth = rank.iter().max().map_or(0, |last| last + 1);
        let mut grid = Grid {
            boxes: count,
            width: sizes.iter().map(|size| size.0).collect(),
            layers: vec![Vec::new(); depth],
            above: vec![Vec::new(); count],
            below: vec![Vec::new(); count],
            trunks: vec![Vec::new(); count],
            used: Vec::new(),
            rank,
        };
        let mut lengths = vec![0; count];
        edges.iter().for_each(|&(from, to)| lengths[from] = lengths[from].max(grid.rank[to] - grid.rank[from] - 1));
        // Short trunks come first, so that the longest are those that are left out.
        let mut short: Vec<usize> = (0..count).filter(|&i| lengths[i] > 0).collect();
        short.sort_by_key(|&i| (lengths[i], i));
        for from in short {
            if grid.rank.len() + lengths[from] <= count + MOST_SLOTS {
                grid.add_trunk(from, lengths[from]);
            }
        }
        for &(from, to) in edges {
            let slots = (grid.rank[to] - grid.rank[from] - 1).min(grid.trunks[from].len());
            grid.used.push((from, slots));
            let last = slots.checked_sub(1).map_or(from, |last| grid.trunks[from][last]);
            // A straight line over several layers is none of the grid.
            if grid.rank[last] + 1 == grid.rank[to] {
                grid.join(last, to);
            }
        }
        // Slots stand beside the box of their trunk at first.
        let mut all: Vec<(usize, usize)> = (0..count).map(|i| (i, i)).collect();
        all.extend((0..count).flat_map(|from| grid.trunks[from].iter().map(move |&slot| (from, slot))));
        all.sort_unstable();
        all.iter().for_each(|&(_, i)| grid.layers[grid.rank[i]].push(i));
        grid
    }

    fn add_trunk(&mut self, from: usize, length: usize) {
        let mut last = from;
        for step in 1..=length {
            let slot = self.rank.len();
            self.rank.push(self.rank[from] + step);
            self.width.push(SLOT);
            self.above.push(Vec::new());
            self.below.push(Vec::new());
            self.trunks[from].push(slot);
            self.join(last, slot);
            last = slot;
        }
    }

    fn join(&mut self, upper: usize, lower: usize) {
        if !self.below[upper].contains(&lower) {
            self.below[upper].push(lower);
            self.above[lower].push(upper);
        }
    }

    /// The slots that an edge passes, from above to below.
    pub(super) fn slots(&self, edge: usize) -> &[usize] {
        let (from, used) = self.used[edge];
        &self.trunks[from][..used]
    }

    pub(super) fn is_slot(&self, i: usize) -> bool {
        i >= self.boxes
    }
}

/// For each box, the length of the longest path to it. A box that reads nothing stands right above the first that reads it.
fn ranks(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut readers = vec![Vec::new(); count];
    let mut reads = vec![0; count];
    for &(from, to) in edges {
        readers[from].push(to);
        reads[to] += 1;
    }
    let mut rank = vec![0; count];
    for from in 0..count {
        for &to in &readers[from] {
            rank[to] = rank[to].max(rank[from] + 1);
        }
    }
    for from in (0..count).filter(|&i| reads[i] == 0) {
        if let Some(first) = readers[from].iter().map(|&to| rank[to]).min() {
            rank[from] = first - 1;
        }
    }
    rank
}
