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

/// The certified bound and the estimate of the error of a tile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Errors {
    pub bound: f64,
    pub typical: f64,
}

#[derive(Default)]
struct Cache {
    tiles: HashMap<Key, Arc<Tile>>,
    /// By tile, input channels of a group, and the bits of the unit roundoff.
    errors: HashMap<(Key, usize, u64), Errors>,
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

/// The errors of the tile of `key`, summed over `channels` in numbers of unit roundoff `u`.
pub(crate) fn errors(key: Key, channels: usize, u: f64) -> Errors {
    let entry = (key, channels, u.to_bits());
    if let Some(&errors) = CACHE.lock().unwrap_or_else(PoisonError::into_inner).errors.get(&entry) {
        return errors;
    }
    let tile = tile(key);
    let errors = Errors { bound: tile_bound(&tile, channels, u), typical: tile_estimate(&tile, channels, u) };
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.errors.len() >= MOST {
        cache.errors.clear();
    }
    cache.errors.insert(entry, errors);
    errors
}
