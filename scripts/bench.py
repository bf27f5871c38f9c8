"""`make bench`: builds the benchmarks and runs every one; each checks its own answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    programs = sorted(path.stem for path in (ROOT / "benchmarks").glob("bench_*.cpp"))
    scripts = sorted((ROOT / "benchmarks").glob("bench_*.py"))
    if not programs or not scripts:
        print("benchmarks/ must hold bench_*.cpp and bench_*.py", file=sys.stderr)
        return 1
    build: list[list[str]] = [
        ["cmake", "--preset", "release"],
        ["cmake", "--build", "--preset", "release", "--parallel", str(os.cpu_count() or 2)],
    ]
    for command in build:
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    runs = [[str(ROOT / "build" / "release" / name)] for name in programs]
    runs += [[sys.executable, str(script)] for script in scripts]
    failed = []
    for run in runs:
        print(f"\n== {Path(run[-1]).name}", flush=True)
        if subprocess.run(run, cwd=ROOT, check=False).returncode != 0:
            failed.append(Path(run[-1]).name)
    print(f"\n{len(runs) - len(failed)} passed, {len(failed)} failed {' '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
