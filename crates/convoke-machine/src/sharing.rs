//! How much work threads are worth waking for. Operations are those of loop IR, on single elements.

use serde::{Deserialize, Serialize};

/// When threads share the work of a run. Round figures of a server core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sharing {
    /// Operations of a run below which it stays on one thread: some 50 µs of work, about what a sleeping thread takes to wake.
    pub wake_operations: u64,
    /// Operations of a step below which it stays on one thread: some µs of work, several times what handing over a chunk takes between
    /// threads that are awake.
    pub split_operations: u64,
    /// Chunks of a step for each thread: few enough to cost nothing, enough that one slow thread does not keep the others waiting.
    pub chunks_per_thread: u64,
}

impl Default for Sharing {
    fn default() -> Sharing {
        Sharing { wake_operations: 1 << 21, split_operations: 1 << 16, chunks_per_thread: 8 }
    }
}

impl Sharing {
    /// What is wrong with it: the key, what was found, what is expected.
    pub(crate) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let numbers = [
            ("sharing.wake_operations", self.wake_operations),
            ("sharing.split_operations", self.split_operations),
            ("sharing.chunks_per_thread", self.chunks_per_thread),
        ];
        // A step is cut into chunks of a quarter of `split_operations`.
        let (key, found) = numbers.into_iter().find(|(_, number)| !(4..=1 << 40).contains(number))?;
        Some((key, found.to_string(), "from 4 to 2^40"))
    }
}
