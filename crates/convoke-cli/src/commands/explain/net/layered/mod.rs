//! A layered drawing of a graph without circles: each box below those that it reads, lines between the boxes and around them.
//!
//! ```text
//! ranks     the longest path to a box is its layer; a line over several layers passes each of them in a slot of its own
//! order     boxes and slots of a layer stand by the mean place of their neighbours, sweep after sweep; that with the fewest crossings is kept
//! places    each stands below its heaviest neighbour, as near as the order and the widths allow (isotonic regression, layer by layer)
//! ```
//!
//! That is Sugiyama's method. All lines that leave a box are one trunk as far as they go together, so that a value read by many has one slot in a layer.
//! The work is bounded: the sweeps are counted, and beyond [`ranks::MOST_SLOTS`] slots the longest trunks become straight lines.

mod order;
mod places;
mod ranks;

use self::ranks::Grid;

/// The drawing of a graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawing {
    /// For each box its left, its top, its width and its height.
    pub(super) boxes: Vec<[f64; 4]>,
    /// For each edge its line, from the box it leaves to the box it enters. Between two points of different x it bends.
    pub(super) lines: Vec<Vec<(f64, f64)>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Between two parts of a graph that no line joins.
const APART: f64 = 40.0;

/// Draws boxes of these widths and heights. Each edge goes from a box to one of a higher number; others are left out.
pub(super) fn draw(sizes: &[(f64, f64)], edges: &[(usize, usize)]) -> Drawing {
    let mut drawing =
        Drawing { boxes: vec![[0.0; 4]; sizes.len()], lines: vec![Vec::new(); edges.len()], ..Drawing::default() };
    let is_drawn = |&(from, to): &(usize, usize)| from < to && to < sizes.len();
    let part_of = parts(sizes.len(), edges.iter().copied().filter(is_drawn));
    let count = part_of.iter().max().map_or(0, |last| last + 1);
    let (mut boxes_of, mut edges_of) = (vec![Vec::new(); count], vec![Vec::new(); count]);
    let mut place = vec![0; sizes.len()];
    for (i, &part) in part_of.iter().enumerate() {
        place[i] = boxes_of[part].len();
        boxes_of[part].push(i);
    }
    edges.iter().enumerate().filter(|(_, edge)| is_drawn(edge)).for_each(|(i, edge)| edges_of[part_of[edge.0]].push(i));
    for (boxes, lines) in boxes_of.iter().zip(&edges_of) {
        let left = if drawing.width > 0.0 { drawing.width + APART } else { 0.0 };
        let sizes: Vec<_> = boxes.iter().map(|&i| sizes[i]).collect();
        let edges: Vec<_> = lines.iter().map(|&i| (place[edges[i].0], place[edges[i].1])).collect();
        let part = draw_part(&sizes, &edges);
        boxes.iter().zip(part.boxes).for_each(|(&i, [x, y, w, h])| drawing.boxes[i] = [x + left, y, w, h]);
        for (&i, line) in lines.iter().zip(part.lines) {
            drawing.lines[i] = line.into_iter().map(|(x, y)| (x + left, y)).collect();
        }
        drawing.width = left + part.width;
        drawing.height = drawing.height.max(part.height);
    }
    drawing
}

/// For each box the number of its part: boxes that lines join have the same. Parts are numbered as they come.
fn parts(count: usize, edges: impl Iterator<Item = (usize, usize)>) -> Vec<usize> {
    fn root(parent: &mut [usize], mut i: usize) -> usize {
        while parent[i] != i {
            parent[i] = parent[parent[i]];
            i = parent[i];
        }
        i
    }
    let mut parent: Vec<usize> = (0..count).collect();
    for (from, to) in edges {
        let (a, b) = (root(&mut parent, from), root(&mut parent, to));
        parent[a.max(b)] = a.min(b);
    }
    let (mut numbers, mut next) = (vec![usize::MAX; count], 0);
    (0..count)
        .map(|i| {
            let root = root(&mut parent, i);
            if numbers[root] == usize::MAX {
                numbers[root] = next;
                next += 1;
            }
            numbers[root]
        })
        .collect()
}

/// Draws a graph of one part.
fn draw_part(sizes: &[(f64, f64)], edges: &[(usize, usize)]) -> Drawing {
    let mut grid = Grid::new(sizes, edges);
    order::order(&mut grid);
    let x = places::places(&grid);
    let bands = bands(&grid, sizes, &x);
    let boxes: Vec<[f64; 4]> = sizes
        .iter()
        .enumerate()
        .map(|(i, &(w, h))| {
            let (top, bottom) = bands[grid.rank[i]];
            [x[i] - w / 2.0, (top + bottom - h) / 2.0, w, h]
        })
        .collect();
    let ports = places::ports(&grid, &x);
    let line = |(i, &(from, to)): (usize, &(usize, usize))| {
        let [_, top, _, height] = boxes[from];
        let mut line = vec![(x[from], top + height), (x[from], bands[grid.rank[from]].1)];
        let slots = grid.slots(i);
        line.extend(
            slots.iter().flat_map(|&slot| [(x[slot], bands[grid.rank[slot]].0), (x[slot], bands[grid.rank[slot]].1)]),
        );
        let last = slots.last().copied().unwrap_or(from);
        let port = ports.get(&(last, to)).copied().unwrap_or(x[to]);
        line.extend([(port, bands[grid.rank[to]].0), (port, boxes[to][1])]);
        line
    };
    let lines = edges.iter().enumerate().map(line).collect();
    let width = (0..grid.width.len()).map(|i| x[i] + grid.width[i] / 2.0).fold(0.0, f64::max);
    Drawing { boxes, lines, width, height: bands.last().map_or(0.0, |band| band.1) }
}

/// The top and the bottom of each layer. Between two layers there is the more room the further their lines go sideways.
fn bands(grid: &Grid, sizes: &[(f64, f64)], x: &[f64]) -> Vec<(f64, f64)> {
    const GAP: f64 = 20.0;
    const SIDEWAYS: f64 = 0.08;
    const WIDEST: f64 = 70.0;
    let mut top = 0.0;
    let mut bands = Vec::new();
    for layer in &grid.layers {
        let height = layer.iter().filter_map(|&i| sizes.get(i)).map(|size| size.1).fold(0.0, f64::max);
        bands.push((top, top + height));
        let aside = layer.iter().flat_map(|&i| grid.below[i].iter().map(move |&j| (x[i] - x[j]).abs()));
        top += height + (GAP + SIDEWAYS * aside.fold(0.0, f64::max)).min(WIDEST);
    }
    bands
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Boxes of two sizes.
    fn sizes(count: usize) -> Vec<(f64, f64)> {
        (0..count).map(|i| if i % 3 == 0 { (180.0, 40.0) } else { (150.0, 24.0) }).collect()
    }

    /// Draws, and checks that no two boxes overlap, that lines join their boxes, and that no line crosses a box of another.
    fn checked(count: usize, edges: &[(usize, usize)]) -> Drawing {
        let drawing = draw(&sizes(count), edges);
        assert_eq!((drawing.boxes.len(), drawing.lines.len()), (count, edges.len()));
        let boxes = &drawing.boxes;
        for (i, [x, y, w, h]) in boxes.iter().enumerate() {
            assert!(*x >= -1e-6 && *y >= -1e-6 && x + w <= drawing.width + 1e-6 && y + h <= drawing.height + 1e-6);
            for [a, b, c, d] in &boxes[..i] {
                let apart = a + c <= *x || x + w <= *a || b + d <= *y || y + h <= *b;
                assert!(apart, "box {i} overlaps another");
            }
        }
        for ((from, to), line) in edges.iter().zip(&drawing.lines) {
            let (first, last) = (line[0], line[line.len() - 1]);
            assert!(
                (first.1 - boxes[*from][1] - boxes[*from][3]).abs() < 1e-6 && (last.1 - boxes[*to][1]).abs() < 1e-6
            );
            assert!(line.is_sorted_by(|a, b| a.1 <= b.1 + 1e-6), "{line:?}");
            for (i, [x, y, w, h]) in boxes.iter().enumerate().filter(|(i, _)| i != from && i != to) {
                // Lines go sideways between the layers alone.
                let crosses = |a: (f64, f64), b: (f64, f64)| x < &a.0 && a.0 < x + w && a.1 < y + h && *y < b.1;
                assert!(!line.windows(2).any(|ends| ends[0].0 == ends[1].0 && crosses(ends[0], ends[1])), "box {i}");
            }
        }
        drawing
    }

    #[test]
    fn small_graphs_are_drawn() {
        assert_eq!(draw(&[], &[]).boxes.len(), 0);
        checked(1, &[]);
        checked(4, &[]);
        checked(2, &[(0, 1), (0, 1), (0, 1)]);
        checked(5, &[(0, 1), (2, 3), (2, 3)]);
        // Edges that go nowhere, or back, are left out.
        let drawing = draw(&sizes(3), &[(0, 1), (1, 0), (1, 1), (1, 9)]);
        let drawn: Vec<_> = drawing.lines.iter().map(|line| !line.is_empty()).collect();
        assert_eq!(drawn, [true, false, false, false]);
    }

    #[test]
    fn a_chain_with_shortcuts_is_straight() {
        let edges: Vec<_> = (1..30).map(|i| (i - 1, i)).chain((3..30).step_by(3).map(|i| (i - 3, i))).collect();
        let drawing = checked(30, &edges);
        let middle = |i: usize| drawing.boxes[i][0] + drawing.boxes[i][2] / 2.0;
        assert!((1..30).all(|i| (middle(i) - middle(0)).abs() < 1e-6), "{:?}", drawing.boxes);
    }

    /// A net of a thousand ops is drawn with a bounded number of slots, whatever its edges are.
    #[test]
    fn a_thousand_boxes_take_bounded_work() {
        let count = 1000;
        let chain = || (1..count).map(|i| (i - 1, i));
        let graphs: [Vec<(usize, usize)>; 4] = [
            chain().collect(),
            // A residual net, a net shaped like a U, and one whose blocks read all that came before in them.
            chain().chain((4..count).map(|i| (i - 4, i))).collect(),
            chain().chain((0..count / 2).map(|i| (i, count - 1 - i)).filter(|(a, b)| a + 1 < *b)).collect(),
            chain()
                .chain((0..count).flat_map(|i| (i + 2..count.min((i / 24 + 1) * 24)).map(move |j| (i, j))))
                .collect(),
        ];
        for edges in &graphs {
            let grid = Grid::new(&sizes(count), edges);
            assert!(grid.rank.len() <= count + ranks::MOST_SLOTS, "{} places", grid.rank.len());
            let drawing = draw(&sizes(count), edges);
            assert!(drawing.width.is_finite() && drawing.height.is_finite());
            assert!(drawing.lines.iter().all(|line| line.len() >= 4));
        }
        checked(200, &graphs[1].iter().copied().filter(|edge| edge.1 < 200).collect::<Vec<_>>());
    }
}
