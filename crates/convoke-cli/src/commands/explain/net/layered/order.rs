//! The order of the boxes and slots of each layer, with few crossings.

use super::ranks::Grid;

/// Sweeps, each down and up again.
const SWEEPS: usize = 12;

/// Orders the layers of a grid: each box by the mean place of its neighbours above, then of those below, and so on.
pub(super) fn order(grid: &mut Grid) {
    let mut at = vec![0; grid.rank.len()];
    let mut best = (crossings(grid, &mut at), grid.layers.clone());
    for _ in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        for layer in 1..grid.layers.len() {
            sort(&mut grid.layers, layer, layer - 1, &grid.above, &mut at);
        }
        for layer in (1..grid.layers.len()).rev() {
            sort(&mut grid.layers, layer - 1, layer, &grid.below, &mut at);
        }
        let found = crossings(grid, &mut at);
        if found < best.0 {
            best = (found, grid.layers.clone());
        }
    }
    grid.layers = best.1;
}

/// Sorts a layer by the mean places of neighbours in `other`. A box without a neighbour there stays where it is.
fn sort(layers: &mut [Vec<usize>], layer: usize, other: usize, neighbours: &[Vec<usize>], at: &mut [usize]) {
    layers[other].iter().enumerate().for_each(|(place, &i)| at[i] = place);
    let mean = |i: usize| {
        let all = &neighbours[i];
        all.iter().map(|&j| at[j] as f64).sum::<f64>() / all.len() as f64
    };
    let places: Vec<usize> =
        (0..layers[layer].len()).filter(|&place| !neighbours[layers[layer][place]].is_empty()).collect();
    let mut moved: Vec<(f64, usize)> = places.iter().map(|&place| layers[layer][place]).map(|i| (mean(i), i)).collect();
    moved.sort_by(|a, b| a.0.total_cmp(&b.0));
    places.iter().zip(moved).for_each(|(&place, (_, i))| layers[layer][place] = i);
}

/// Crossings of all lines. `at` is room for places.
fn crossings(grid: &Grid, at: &mut [usize]) -> usize {
    let mut all = 0;
    for layers in grid.layers.windows(2) {
        let [upper, lower] = layers else { continue };
        lower.iter().enumerate().for_each(|(place, &i)| at[i] = place);
        // Lines by their upper ends; those that end further left than one before cross it. A Fenwick tree counts them.
        let mut tree = vec![0usize; lower.len() + 1];
        let mut seen = 0;
        for &i in upper {
            let ends: Vec<usize> = grid.below[i].iter().map(|&j| at[j]).collect();
            for &end in &ends {
                let (mut node, mut not_right) = (end + 1, 0);
                while node > 0 {
                    not_right += tree[node];
                    node &= node - 1;
                }
                all += seen - not_right;
            }
            for end in ends {
                seen += 1;
                let mut node = end + 1;
                while node < tree.len() {
                    tree[node] += 1;
                    node += node & node.wrapping_neg();
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_are_counted_and_undone() {
        // 0 and 1 above, 2 and 3 below, crosswise.
        let edges = [(0, 3), (1, 2)];
        let mut grid = Grid::new(&[(10.0, 10.0); 4], &edges);
        assert_eq!(crossings(&grid, &mut [0; 4]), 1);
        order(&mut grid);
        assert_eq!(crossings(&grid, &mut [0; 4]), 0);
        // All of three with all of three: 9 crossings, in any order.
        let edges: Vec<_> = (0..3).flat_map(|i| (3..6).map(move |j| (i, j))).collect();
        assert_eq!(crossings(&Grid::new(&[(10.0, 10.0); 6], &edges), &mut [0; 6]), 9);
    }
}
