"""Runs the checks of the project, two at a time, and ends with a table of them.

``scripts/check.py`` runs all, ``scripts/check.py dev pytest`` only those and what they need. Each leg is a
function; the first line of its docstring says what it catches that no other leg does. What a leg printed
stands in ``build/check/<leg>.log``, and on the screen if it failed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "check"
PYTHON = sys.executable
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 2)
LEGS_AT_ONCE = 2
JOBS = max(1, CORES // LEGS_AT_ONCE)
REQUIRE_ALL = os.environ.get("TICKLINE_REQUIRE_ALL") == "1"
CLANG_FORMAT_VERSION = "14"

# What ctest says of tests that passed, which only hides the others.
PASSED_LINE = re.compile(r"^\s*Start\s+\d+: |\.\.\.\s+Passed\s")

FUZZ_SECONDS = {False: 20, True: 600}


class LegFailedError(Exception):
    """The leg found something."""


class LegSkippedError(Exception):
    """The leg could not run here; with TICKLINE_REQUIRE_ALL=1 that is a failure."""


@dataclass
class Options:
    soak: bool = False
    fix: bool = False


@dataclass
class Leg:
    """One leg at work: its log, and the words that stand behind it in the table."""

    name: str
    options: Options
    note: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def log(self) -> Path:
        return OUT / f"{self.name}.log"

    def run(
        self, *command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None, check: bool = True
    ) -> str:
        """Runs one command, appends its output to the leg's log and gives it back."""
        words = [str(word) for word in command]
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **ENVIRONMENT, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        with self.lock, self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(words)}\n{done.stdout}\n")
        if check and done.returncode != 0:
            raise LegFailedError(f"ended with {done.returncode}: {' '.join(words)[:160]}")
        return done.stdout

    def need(self, tool: str) -> str:
        found = shutil.which(tool)
        if found is None:
            raise LegSkippedError(f"{tool} is not installed")
        return found


ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", "CLICOLOR": "0"}
if shutil.which("ccache"):
    ENVIRONMENT["CMAKE_CXX_COMPILER_LAUNCHER"] = "ccache"


def files(*patterns: str) -> list[Path]:
    """All files that match; none at all is a failure, because then nothing would be checked."""
    found = sorted({path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()})
    if not found:
        raise LegFailedError(f"nothing matches {' '.join(patterns)}: there was nothing to check")
    return found


def cmake(leg: Leg, preset: str, *configure: str) -> None:
    leg.run("cmake", "--preset", preset, *configure)
    leg.run("cmake", "--build", "--preset", preset, "--parallel", str(JOBS))


def ctest(leg: Leg, preset: str) -> None:
    output = leg.run("ctest", "--preset", preset, "--parallel", str(JOBS))
    count = re.search(r"tests passed, 0 tests failed out of (\d+)", output)
    if count is None or int(count[1]) == 0:
        raise LegFailedError("ctest ran no tests")
    skipped = len(re.findall(r"\*\*\*Skipped", output))
    leg.note = f"{count[1]} tests" + (f", {skipped} skipped" if skipped else "")
    if skipped and REQUIRE_ALL:
        raise LegFailedError(f"{skipped} tests skipped, which TICKLINE_REQUIRE_ALL=1 counts as a failure")


# ---- the legs ----------------------------------------------------------------------------------


def leg_format(leg: Leg) -> None:
    """C++ that clang-format would write otherwise: reviews are not for blanks."""
    tool = shutil.which(f"clang-format-{CLANG_FORMAT_VERSION}") or leg.need("clang-format")
    version = re.search(r"version (\d+)", leg.run(tool, "--version"))
    if version is None or version[1] != CLANG_FORMAT_VERSION:
        found = version[1] if version else "an unknown version"
        raise LegSkippedError(
            f"clang-format {CLANG_FORMAT_VERSION} is wanted (versions differ), found {found}"
        )
    folders = ("include", "bindings", "tests", "benchmarks", "examples")
    sources = files(*(f"{folder}/**/*.{end}" for folder in folders for end in ("hpp", "cpp")))
    leg.run(tool, *(["-i"] if leg.options.fix else ["--dry-run", "-Werror"]), *sources)
    leg.note = f"{len(sources)} files"


def leg_ruff(leg: Leg) -> None:
    """Python that is wrong in ways that need no types, and its layout."""
    leg.run(PYTHON, "-m", "ruff", "check", *(["--fix"] if leg.options.fix else []), ".")
    leg.run(PYTHON, "-m", "ruff", "format", *([] if leg.options.fix else ["--check"]), ".")


def leg_mypy(leg: Leg) -> None:
    """Python whose types do not fit, in places no test runs."""
    leg.note = leg.run(PYTHON, "-m", "mypy").strip().splitlines()[-1]


def leg_wheel(leg: Leg) -> None:
    """An sdist or a wheel that lacks a file: the sdist makes the wheel, and what follows tests the wheel."""
    dist = OUT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    sources = leg.run(ROOT / "scripts" / "setup.sh", "hash").strip()
    # The modules are built nowhere else, so their warnings count here.
    build = {
        "CMAKE_BUILD_PARALLEL_LEVEL": str(JOBS),
        "SKBUILD_CMAKE_DEFINE": "TICKLINE_WARNINGS_AS_ERRORS=ON",
    }
    leg.run(PYTHON, "-m", "build", "--outdir", dist, ROOT, env=build)
    (wheel,) = dist.glob("*.whl")
    (ROOT / ".venv" / ".tickline-package").unlink(missing_ok=True)
    leg.run(PYTHON, "-m", "pip", "uninstall", "--yes", "--quiet", "tickline")
    leg.run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[access]")
    leg.run(PYTHON, "-m", "pip", "check")
    # The wheel in .venv is what `make demo` would install: it need not build again.
    if Path(sys.prefix).resolve() == (ROOT / ".venv").resolve():
        (ROOT / ".venv" / ".tickline-package").write_text(sources + "\n", encoding="utf-8")
    leg.note = f"{wheel.stat().st_size / 1e6:.1f} MB"


def leg_dev(leg: Leg) -> None:
    """GCC's warnings; headers that need others, exceptions or RTTI; must-not-compile; users' projects."""
    cmake(leg, "dev", f"-DCMAKE_CXX_COMPILER={leg.need('g++')}")
    ctest(leg, "dev")


def leg_clang(leg: Leg) -> None:
    """Clang's warnings, and code that only GCC accepts."""
    leg.need("clang++")
    cmake(leg, "clang")
    ctest(leg, "clang")


def leg_no_exceptions(leg: Leg) -> None:
    """Behaviour that silently depends on exceptions or RTTI: the tests themselves run without them."""
    cmake(leg, "no-exceptions")
    ctest(leg, "no-exceptions")


def leg_asan(leg: Leg) -> None:
    """Reads out of bounds, leaks, undefined behaviour, in the tests and in all that fuzzing once found."""
    cmake(leg, "asan", f"-DCMAKE_CXX_COMPILER={leg.need('g++')}")
    ctest(leg, "asan")


def leg_fuzz(leg: Leg) -> None:
    """Inputs nobody thought of, on which fast parsers crash or differ from slow ones."""
    leg.need("clang++")
    cmake(leg, "fuzz")
    targets = [path.stem for path in files("tests/fuzz/fuzz_*.cpp")]
    seconds = FUZZ_SECONDS[leg.options.soak]
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(2, JOBS)) as pool:
        counts = list(pool.map(lambda target: fuzz(leg, target, seconds), targets))
    leg.note = f"{len(targets)} targets, {sum(counts):,} executions"


def fuzz(leg: Leg, target: str, seconds: int) -> int:
    """Fuzzes one target; what it finds new goes to build/, the committed corpus is only read."""
    name = target.removeprefix("fuzz_")
    found, artifacts = OUT / "corpus" / name, OUT / "artifacts"
    found.mkdir(parents=True, exist_ok=True)
    artifacts.mkdir(parents=True, exist_ok=True)
    seeds = ROOT / "tests" / "fuzz" / "corpus" / name
    dictionary = [f"-dict={path}" for path in (ROOT / "tests" / "fuzz").glob(f"**/{name}.dict")]
    output = leg.run(
        ROOT / "build" / "fuzz" / "tests" / target,
        f"-max_total_time={seconds}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        "-verbosity=0",
        f"-artifact_prefix={artifacts}/{name}-",
        *dictionary,
        found,
        *([seeds] if seeds.is_dir() else []),
        env={"ASAN_OPTIONS": "halt_on_error=1", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"},
    )
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
    if executed is None or int(executed[1]) == 0:
        raise LegFailedError(f"{target} executed nothing")
    return int(executed[1])


def leg_tidy(leg: Leg) -> None:
    """What clang-tidy knows of bugs and of needless work, in every header."""
    leg.need("clang-tidy")
    cmake(leg, "tidy")


def leg_pytest(leg: Leg) -> None:
    """The package as installed: values, files, command line, kills."""
    shutil.rmtree(OUT / "pytest", ignore_errors=True)
    output = leg.run(PYTHON, "-m", "pytest", "-q", "-n", "2", "--basetemp", OUT / "pytest")
    leg.note = output.strip().splitlines()[-1].strip("= ")


def leg_stubtest(leg: Leg) -> None:
    """Stubs of the compiled modules that say something else than the modules."""
    stubs = [f"tickline.{path.stem}" for path in files("python/tickline/_*.pyi")]
    allowed = ROOT / "tests" / "stubtest_allowlist.txt"
    # Elsewhere, so that the installed stubs are compared and not those of the checkout.
    with tempfile.TemporaryDirectory() as folder:
        leg.run(PYTHON, "-m", "mypy.stubtest", *stubs, "--allowlist", allowed, cwd=Path(folder))
    leg.note = " ".join(stubs)


def leg_examples(leg: Leg) -> None:
    """Examples and notebooks that do not run any more. (Those in C++ are tests of the leg dev.)"""
    scripts, notebooks = files("examples/python/*.py"), files("examples/notebooks/*.ipynb")
    for script in scripts:
        with tempfile.TemporaryDirectory() as folder:
            leg.run(PYTHON, "-W", "error", script, cwd=Path(folder))
    leg.run(
        PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbmake", "--nbmake-timeout=120", *notebooks
    )
    leg.note = f"{len(scripts)} scripts, {len(notebooks)} notebooks"


def leg_soak(leg: Leg) -> None:
    """What needs long: many kills, many hypothesis examples."""
    long = ["-m", "soak or hypothesis", "--hypothesis-profile=soak", "--basetemp", str(OUT / "pytest-soak")]
    output = leg.run(PYTHON, "-m", "pytest", "-q", "-n", "2", *long)
    leg.note = output.strip().splitlines()[-1].strip("= ")


def leg_simulator(leg: Leg) -> None:
    """Timings and lies that come together once in 100,000 queries of a simulated network."""
    runs = "200000"
    cmake(leg, "dev", f"-DCMAKE_CXX_COMPILER={leg.need('g++')}")
    tests = ROOT / "build" / "dev" / "tests" / "tickline_tests"
    output = leg.run(tests, "--source-file=*test_ntp_simulator*", env={"TICKLINE_SIMULATED_RUNS": runs})
    count = re.search(r"test cases:\s*(\d+)", output)
    if count is None or int(count[1]) == 0:
        raise LegFailedError("no test of the simulator ran")
    leg.note = f"{runs} runs"


LegFunction = Callable[[Leg], None]

# In the order in which they start: what others wait for first, then the long ones.
LEGS: dict[str, LegFunction] = {
    "format": leg_format,
    "ruff": leg_ruff,
    "wheel": leg_wheel,
    "dev": leg_dev,
    "pytest": leg_pytest,
    "asan": leg_asan,
    "fuzz": leg_fuzz,
    "clang": leg_clang,
    "no-exceptions": leg_no_exceptions,
    "tidy": leg_tidy,
    "mypy": leg_mypy,
    "stubtest": leg_stubtest,
    "examples": leg_examples,
}
SOAK_LEGS: dict[str, LegFunction] = {
    "wheel": leg_wheel,
    "soak": leg_soak,
    "fuzz": leg_fuzz,
    "simulator": leg_simulator,
}
NEEDS = dict.fromkeys(("pytest", "mypy", "stubtest", "examples", "soak"), "wheel")


@dataclass
class Outcome:
    leg: str
    seconds: float
    result: str
    note: str


def run_leg(name: str, function: LegFunction, options: Options) -> Outcome:
    """Runs one leg and prints its line."""
    leg = Leg(name, options)
    leg.log.unlink(missing_ok=True)
    start = time.monotonic()
    result, note = "passed", ""
    try:
        function(leg)
        note = leg.note
    except LegSkippedError as why:
        result, note = ("failed" if REQUIRE_ALL else "skipped"), str(why)
    except LegFailedError as why:
        result, note = "failed", str(why)
    outcome = Outcome(name, time.monotonic() - start, result, note)
    if result == "failed":
        lines = leg.log.read_text(encoding="utf-8").splitlines() if leg.log.exists() else []
        tail = [line for line in lines if not PASSED_LINE.search(line)][-80:]
        shown = "\n".join(tail)
        print(f"\n---- {name} failed: {note}\n{shown}\n---- all of it: {leg.log.relative_to(ROOT)}\n")
    print(f"   {name:<14}{outcome.seconds:6.0f} s  {result:<8} {note[:120]}", flush=True)
    return outcome


def run_all(names: Sequence[str], legs: dict[str, LegFunction], options: Options) -> list[Outcome]:
    """Runs the legs, two at a time; a leg whose need failed is not run and counts as failed."""
    waiting, outcomes = list(names), dict[str, Outcome]()
    with concurrent.futures.ThreadPoolExecutor(max_workers=LEGS_AT_ONCE) as pool:
        running: dict[concurrent.futures.Future[Outcome], str] = {}
        while waiting or running:
            for name in list(waiting):
                need = NEEDS.get(name)
                if need is not None and need in names:
                    if need not in outcomes:
                        continue
                    if outcomes[need].result != "passed":
                        why = f"not run, because {need} {outcomes[need].result}"
                        outcomes[name] = Outcome(name, 0.0, "failed", why)
                        waiting.remove(name)
                        continue
                if len(running) == LEGS_AT_ONCE:
                    break
                waiting.remove(name)
                running[pool.submit(run_leg, name, legs[name], options)] = name
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                outcomes[running.pop(future)] = future.result()
    return [outcomes[name] for name in names]


def with_needs(names: Iterable[str]) -> list[str]:
    wanted = set(names)
    wanted |= {NEEDS[name] for name in wanted if name in NEEDS}
    return [name for name in [*LEGS, *SOAK_LEGS] if name in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("legs", nargs="*", metavar="LEG", help=f"of {' '.join(LEGS)}; all if none is named")
    parser.add_argument("--soak", action="store_true", help="the long versions")
    parser.add_argument("--fix", action="store_true", help="let format and ruff change the files")
    parser.add_argument("--list", action="store_true", help="say what each leg is for")
    arguments = parser.parse_args()
    legs = SOAK_LEGS if arguments.soak else LEGS
    if arguments.list:
        for name, function in legs.items():
            print(f"{name:<14} {(function.__doc__ or '').splitlines()[0]}")
        return 0
    unknown = [name for name in arguments.legs if name not in legs]
    if unknown:
        parser.error(f"no such leg: {' '.join(unknown)}; there are {' '.join(legs)}")

    OUT.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(n for n in with_needs(arguments.legs or legs) if n in legs))
    print(
        f"== {len(names)} legs, two at a time, {JOBS} compile job(s) each; logs in build/check/", flush=True
    )
    start = time.monotonic()
    outcomes = run_all(names, legs, Options(soak=arguments.soak, fix=arguments.fix))

    print(f"\n{'leg':<14}{'seconds':>8}  result   note")
    for outcome in outcomes:
        print(f"{outcome.leg:<14}{outcome.seconds:8.0f}  {outcome.result:<8} {outcome.note[:120]}")
    passed, failed, skipped = (
        sum(outcome.result == result for outcome in outcomes) for result in ("passed", "failed", "skipped")
    )
    print(f"\n{time.monotonic() - start:.0f} s in all")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
