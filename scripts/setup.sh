#!/usr/bin/env bash
# Gets a machine ready, and does nothing where it is ready already:
#   scripts/setup.sh run     what `make demo` needs: compiler and libraries, .venv, the package installed into it
#   scripts/setup.sh test    what `make test` needs: the same, more compilers and tools, the packages for tests
#   scripts/setup.sh bench   what `make bench` needs
#   scripts/setup.sh hash    prints the hash of everything the package is made of
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:?run, test, bench or hash}

say() { printf '== %s\n' "$*"; }
stop() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Paths come from find and not from git: an unpacked sdist has no history.
source_hash() {
    { find include bindings python cmake -type f ! -name '*.pyc' -print0; printf '%s\0' CMakeLists.txt pyproject.toml README.md LICENSE; } |
        sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

if [ "$purpose" = hash ]; then
    source_hash
    exit
fi

# ---- system packages ---------------------------------------------------------------------------------------------------------

packages=(g++ cmake ninja-build pkg-config libre2-dev libxxhash-dev python3-dev python3-venv)
case $purpose in
    run) ;;
    test) packages+=(doctest-dev clang clang-format-14 clang-tidy libclang-rt-14-dev ccache chromium iproute2) ;;
    bench) packages+=(libabsl-dev libbenchmark-dev) ;;
    *) stop "unknown purpose $purpose" ;;
esac

if command -v dpkg-query >/dev/null; then
    missing=()
    for package in "${packages[@]}"; do
        state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
        [ "${state:0:2}" = ii ] || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        root=()
        if [ "$(id -u)" != 0 ]; then
            # A password is asked for only where somebody can type it.
            if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
                root=(sudo)
            else
                stop "these packages are missing, and this is neither root nor sudo: sudo apt-get install ${missing[*]}"
            fi
        fi
        say "installing system packages: ${missing[*]}"
        log=$(mktemp)
        export DEBIAN_FRONTEND=noninteractive
        "${root[@]}" apt-get update -qq >"$log" 2>&1 &&
            "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >>"$log" 2>&1 ||
            { cat "$log" >&2; stop "apt-get failed; its words stand above"; }
        rm -f "$log"
    fi
else
    # Elsewhere nothing is installed: what cannot be found is named, and CMake says the same of libraries.
    missing=()
    for tool in c++ cmake ninja pkg-config; do command -v "$tool" >/dev/null || missing+=("$tool"); done
    [ ${#missing[@]} -eq 0 ] || stop "not found: ${missing[*]}. Install
  Fedora     sudo dnf install gcc-c++ cmake ninja-build pkgconf re2-devel xxhash-devel doctest-devel google-benchmark-devel clang clang-tools-extra compiler-rt python3-devel
  Homebrew   brew install cmake ninja pkgconf re2 xxhash doctest google-benchmark llvm python
  conda      conda install -c conda-forge cxx-compiler cmake ninja pkg-config re2 xxhash doctest benchmark clang-tools python"
fi
group=
case $purpose in
    test) group=test ;;
    bench) group=bench purpose=run ;;
esac

# ---- .venv -------------------------------------------------------------------------------------------------------------------

# A Python that can make virtual environments and has its C headers. The newest one that is tested first.
usable() {
    "$1" - 2>/dev/null <<'PY'
import ensurepip, pathlib, sys, sysconfig, venv
sys.exit(sys.version_info < (3, 11) or not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").is_file())
PY
}

if ! { [ -x .venv/bin/python ] && .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }; then
    python=
    for candidate in python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null && usable "$candidate"; then
            python=$candidate
            break
        fi
    done
    [ -n "$python" ] || stop "no Python 3.11 or later that has venv and its C headers (Debian: apt install python3-dev python3-venv)"
    say "making .venv with $("$python" --version) ($(command -v "$python"))"
    rm -rf .venv
    "$python" -m venv .venv
fi

pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }

# The pip that a distribution ships may be too old for dependency groups.
.venv/bin/python -m pip install --help 2>/dev/null | grep -q -- --group || pip install --upgrade pip

# An S3 server that checks signatures; tests of S3 that need it are skipped without it. A failed build must not keep
# anybody from the other tests.
build_versitygw() {
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/tickline/bin candidate version go=
    if [ -x "$folder/versitygw" ] || command -v versitygw >/dev/null; then return; fi
    for candidate in go /usr/local/go/bin/go; do
        version=$({ GOTOOLCHAIN=local "$candidate" env GOVERSION 2>/dev/null || true; } | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
        if [ "${version:-0}" -ge 25 ]; then go=$candidate; break; fi
    done
    if [ -z "$go" ]; then
        say "no Go 1.25 or later: versitygw is not built, and the tests that need it are skipped"
        return
    fi
    say "building versitygw into $folder (about four minutes, once)"
    mkdir -p "$folder"
    GOBIN=$folder "$go" install github.com/versity/versitygw/cmd/versitygw@v1.8.0 ||
        say "versitygw could not be built: the tests that need it are skipped"
}

# An S3 server that ignores conditional writes: what is archived must not be trusted to one unasked.
install_s3rver() {
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/tickline/s3rver
    if [ -x "$folder/node_modules/.bin/s3rver" ]; then return; fi
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        say "no node and npm: s3rver is not installed, and the tests that need it are skipped"
        return
    fi
    say "installing s3rver into $folder"
    mkdir -p "$folder"
    npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --silent s3rver@3.7.1 ||
        say "s3rver could not be installed: the tests that need it are skipped"
}

# An NTP server that tests ask. Debian's package is only unpacked: installing it would replace the machine's own
# time service.
unpack_chronyd() {
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/tickline/bin scratch
    if [ -x "$folder/chronyd" ] || PATH=$PATH:/usr/sbin command -v chronyd >/dev/null; then return; fi
    scratch=$(mktemp -d)
    say "unpacking chronyd into $folder"
    mkdir -p "$folder"
    (
        cd "$scratch"
        # Lists of packages may be missing or old; only root can fetch new ones.
        apt-get download -qq chrony >log 2>&1 ||
            { apt-get update -qq >>log 2>&1 && apt-get download -qq chrony >>log 2>&1; } || { cat log; exit 1; }
        dpkg -x chrony_*.deb unpacked
        unpacked/usr/sbin/chronyd --version >>log 2>&1 || { cat log; exit 1; }
        mv unpacked/usr/sbin/chronyd "$folder/chronyd"
    ) || say "there is no chronyd: the tests that need it are skipped"
    rm -rf "$scratch"
}

stamp_is() { [ -f ".venv/.tickline-$1" ] && [ "$(cat ".venv/.tickline-$1")" = "$2" ]; }

if [ -n "$group" ]; then
    wanted=$(sha256sum pyproject.toml | cut -d' ' -f1)
    if ! stamp_is "$group-packages" "$wanted"; then
        say "installing the packages of the group $group into .venv"
        pip install --group "$group"
        echo "$wanted" >".venv/.tickline-$group-packages"
    fi
fi
if [ "$purpose" = test ]; then
    build_versitygw
    install_s3rver
    unpack_chronyd
else
    # ccache and parallel jobs are found by CMake and Ninja through these.
    if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
    wanted=$(source_hash)
    if ! stamp_is package "$wanted"; then
        say "building Tickline and installing it into .venv (about a minute)"
        pip uninstall --yes tickline 2>/dev/null || true
        pip install '.[access,report]'
        echo "$wanted" >.venv/.tickline-package
    fi
fi
