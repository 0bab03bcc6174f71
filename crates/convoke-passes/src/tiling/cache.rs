//! Tiles and their errors, remembered in the process: to build one takes about as long as to compile a small layer.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use convoke_bilinear::Tile;
use convoke_bilinear::error::{tile_bound, tile_estimate};

/// What a tile is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// Outputs, taps, steps.
    Winograd([usize; 2], [usize; 2], [usize; 2]),
    /// Points, taps.
    Fft([usize; 2], [usize; 2]),
}

/// A tile, the channels it is summed over, and the bits of the unit roundoff.
type Summed = (Key, usize, u64);

#[derive(Default)]
struct Cache {
    tiles: HashMap<Key, Arc<Tile>>,
    typical: HashMap<Summed, f64>,
    bounds: HashMap<Summed, f64>,
}

/// The most entries: a process that compiles ever new shapes starts over.
const MOST: usize = 512;

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);

/// The tile of `key`, whose sizes are within the limits of its construction.
pub(crate) fn tile(key: Key) -> Arc<Tile> {
    // Entries are whole or not there, so that a panic elsewhere leaves nothing wrong behind.
    if let Some(tile) = CACHE.lock().unwrap_or_else(PoisonError::into_inner).tiles.get(&key) {
        return tile.clone();
    }
    let tile = Arc::new(match key {
        Key::Winograd(m, r, s) => Tile::winograd(m, r, s).expect("sizes within the limits"),
        Key::Fft(points, taps) => Tile::fft(points, taps).expect("sizes within the limits"),
    });
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.tiles.len() >= MOST {
        cache.tiles.clear();
    }
    cache.tiles.insert(key, tile.clone());
    tile
}

/// The estimate of the error of the tile of `key`, summed over `channels` in numbers of unit roundoff `u`.
pub(crate) fn typical(key: Key, channels: usize, u: f64) -> f64 {
    remembered(|cache| &mut cache.typical, key, channels, u, tile_estimate)
}

/// The certified bound of the error of the tile of `key`, likewise.
pub(crate) fn bound(key: Key, channels: usize, u: f64) -> f64 {
    remembered(|cache| &mut cache.bounds, key, channels, u, tile_bound)
}

fn remembered(
    of: impl Fn(&mut Cache) -> &mut HashMap<Summed, f64>,
    key: Key,
    channels: usize,
    u: f64,
    compute: impl Fn(&Tile, usize, f64) -> f64,
) -> f64 {
    let entry = (key, channels, u.to_bits());
    if let Some(&error) = of(&mut CACHE.lock().unwrap_or_else(PoisonError::into_inner)).get(&entry) {
        return error;
    }
    let error = compute(&tile(key), channels, u);
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let errors = of(&mut cache);
    if errors.len() >= MOST {
        errors.clear();
    }
    errors.insert(entry, error);
    error
}
