# Sourced by ./try, ./test and .ci/run: makes the virtual environment if it is not there, and installs what is missing.
#
#   environment EXTRAS      EXTRAS like "" or "[dev]"; afterwards $python is the environment's interpreter
#
# VENV names the environment (default .venv). The second call costs nothing: a stamp keeps what was installed.

say() { printf '%s\n' "$*" >&2; }

find_python() {
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.14 python; do
        if "$candidate" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    say "lowerbound needs Python 3.11 or newer, and found none: install it, or name it: PYTHON=/path/to/python3 $0"
    return 1
}

make_environment() {
    say "making a virtual environment in $VENV (once) ..."
    if ! "$1" -m venv "$VENV" >/dev/null 2>&1; then
        rm -rf "$VENV"
        # Debian keeps ensurepip in a package of its own; a pip that is there can serve the new environment too
        if ! { "$1" -m venv --without-pip "$VENV" && "$1" -m pip --python "$VENV/bin/python" install -q pip; } 2>/dev/null; then
            rm -rf "$VENV"
            say "this Python cannot make virtual environments; on Debian or Ubuntu: sudo apt install python3-venv"
            return 1
        fi
    fi
}

environment() {
    VENV=${VENV:-.venv}
    local extras=$1 stamp wanted base
    python=$VENV/bin/python
    if ! "$python" -c '' 2>/dev/null; then
        base=$(find_python) && make_environment "$base" || return 1
    fi
    stamp=$VENV/installed$extras
    wanted=$(cat pyproject.toml constraints.txt | cksum)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        say "installing lowerbound$extras with the versions of constraints.txt (once; torch is large) ..."
        PIP_DISABLE_PIP_VERSION_CHECK=1 "$python" -m pip install -q -c constraints.txt -e ".$extras" || return 1
        printf '%s' "$wanted" >"$stamp"
    fi
}
