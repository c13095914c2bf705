#!/usr/bin/env bash
# Makes .venv from the lock files, with Java checked and Delta's jars in place. Called by make; safe to call again.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
    local name
    for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.10; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "Error: no Python 3.10 or newer was found. Install one, or name it: make PYTHON=/path/to/python3.11" >&2
    exit 1
}

make_venv() {
    "$1" -m venv --clear .venv >/dev/null 2>&1 && return
    # Debian and Ubuntu keep this part of Python in a package of its own.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing python3-venv …"
        scripts/apt_install.sh python3-venv
        "$1" -m venv --clear .venv
    else
        echo "Error: $1 cannot make a virtual environment. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2
        exit 1
    fi
}

python=$(find_python)
echo "Setting up .venv with $("$python" --version) (a few minutes the first time, most of it downloads) …"
make_venv "$python"

# Runs while Python's packages come in.
scripts/ensure_java.sh >.venv/java.log 2>&1 &
java=$!
java_is_there() {
    wait "$java" || { cat .venv/java.log >&2; exit 1; }
}

# Nothing is compiled ahead: Python does that for what is imported, when it is.
pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-compile)
"${pip[@]}" --require-hashes --requirement requirements-build.lock
kill -0 "$java" 2>/dev/null || java_is_there # where Java can't be installed, that is known before the long part
# uv takes a third of pip's time, but does not know pip's configuration (a company's mirror, say): then pip does it.
uv=(.venv/bin/uv --no-config pip install --quiet --python .venv/bin/python)
locked=(--no-build-isolation --require-hashes --requirement requirements.lock)
export DIST_EXTRA_CONFIG="$PWD/scripts/wheel.cfg"
"${uv[@]}" "${locked[@]}" 2>.venv/uv.log || "${pip[@]}" "${locked[@]}"
"${pip[@]}" --no-build-isolation --no-deps --editable .

java_is_there
.venv/bin/python -m feature_mart.delta.jars
touch .venv/.stamp
