//! What a CPU offers: vector width, caches, measured rates; detected, named or read from a file.
