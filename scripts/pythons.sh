#!/usr/bin/env bash
# The supported Pythons at hand, newest first, one line each: version, a space, path.
# Supported is what was tested: one file in constraints/ per version. usage: pythons.sh [NAME or PATH]
# With an argument only that program counts. Exit status 1 and a line on standard error if there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

# "3.13", "3.12", ... ; macOS' sort knows no versions
versions() {
    for file in constraints/3.*.txt; do
        file=${file##*/}
        printf '%s\n' "${file%.txt}"
    done | sort -t . -k 1,1nr -k 2,2nr
}

# "3.11, 3.12 or 3.13"
expected() {
    versions | awk '{ a[NR] = $0 } END { for (i = NR; i; i--) printf "%s%s", a[i], (i > 2 ? ", " : i == 2 ? " or " : "\n") }'
}

# Programs of that name: each place of the PATH, then what pyenv holds without having it selected.
places() {
    { type -ap "$1" 2>/dev/null || true; }
    for path in "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/*/bin/"$1"; do
        if [ -x "$path" ]; then printf '%s\n' "$path"; fi
    done
}

# Version and path of the interpreter that each of them starts. They are really run: a shim of pyenv exists for every
# Python that any of its versions has, and answers "command not found" for those that are not selected.
answers() {
    places "$1" | while IFS= read -r path; do
        # standard input is the list of paths: the program must not read it
        "$path" -c 'import sys; print("%d.%d %s" % (sys.version_info[0], sys.version_info[1], sys.executable))' \
            2>/dev/null </dev/null || true
    done
}

supported() {
    while read -r version path; do
        if [ -f "constraints/$version.txt" ]; then printf '%s %s\n' "$version" "$path"; fi
    done
}

if [ -n "${1:-}" ]; then
    found=$(answers "$1")
else
    found=$(for name in $(versions | sed 's/^/python/') python3 python; do answers "$name"; done)
fi
fitting=$(printf '%s\n' "$found" | supported | sort -s -t . -k 1,1nr -k 2,2nr | awk '!seen[$1]++')
if [ -n "$fitting" ]; then
    printf '%s\n' "$fitting"
    exit 0
fi
if [ -n "$found" ]; then
    there=$(printf '%s\n' "$found" | awk '!seen[$0]++ { version = $1; sub(/^[^ ]+ /, ""); printf "%s%s (%s)", n++ ? ", " : "", version, $0 }')
else
    there="no Python that runs"
    [ -z "${1:-}" ] || there="no Python that runs as $1"
fi
printf 'expected Python %s, found %s\n' "$(expected)" "$there" >&2
exit 1
