# Sourced by the `run` of each example. It sets `convoke` and `python`, and goes to the example's folder, where files go to `build`.
set -euo pipefail

# The path of a program that is given as a path or a name; a name that is not found stays as it is.
program() {
    case $1 in
        */*) echo "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")" ;;
        *) type -P "$1" || echo "$1" ;;
    esac
}
convoke=$(program "${CONVOKE:-convoke}")
python=$(program "${PYTHON:-python3}")

# `examples/run` knows 77 as the status of an example that cannot run here.
skip() {
    echo "SKIPPED: $1" >&2
    exit 77
}

# needs PROGRAM HOW: skips the example without the program.
needs() {
    type -P "$1" >/dev/null || skip "$1 is missing: $2"
}

# needs_module MODULE HOW: skips the example without the Python module.
needs_module() {
    "$python" -c "import $1" 2>/dev/null || skip "$python has no module $1: $2"
}

get_convoke="cargo install --path crates/convoke-cli, or set CONVOKE to its path"
get_package="pip install . in the clone, or set PYTHON to an interpreter that has it"

cd "$(dirname "$0")"
mkdir -p build
