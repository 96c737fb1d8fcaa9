#!/usr/bin/env bash
# Measures what README's tables of speed show, then writes the tables. usage: bench.sh PYTHON BIN
set -euo pipefail
python=$1 bin=$2
rivals=.venv-rivals
requirements=benchmarks/rivals/requirements.txt
fail() { printf 'liquidcal bench: %s\n' "$*" >&2; exit 2; }

command -v "$python" >/dev/null || python=$bin/python
# rivals are LGPL: they get an environment of their own
if ! cmp -s "$requirements" "$rivals/requirements.txt"; then
    printf 'installing da4ml into %s\n' "$rivals"
    [ -x "$rivals/bin/python" ] || "$python" -m venv "$rivals"
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$rivals/bin/python" -m pip install --quiet --retries 5 --timeout 60 \
        --requirement "$requirements" || fail "pip could not install what $requirements names"
    cp "$requirements" "$rivals/requirements.txt"
fi

mkdir -p benchmarks/results
for name in models simulation showers frozen; do
    [ -f "benchmarks/$name.py" ] || continue
    printf '\n== benchmarks.%s\n' "$name"
    "$bin/python" -m "benchmarks.$name"
done
"$bin/python" -m flows.figures
