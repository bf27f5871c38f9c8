"""SIGKILL at random moments of a reduce: the next run goes on, and the tree is that of an undisturbed run."""

from __future__ import annotations

import gzip
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from python.access_support import command, environment, log, tree


def _generate(raw: Path) -> None:
    for number in range(30):
        data = log(number * 700, number * 700 + 700)
        path = raw / f"2024/{number // 10 + 1:02d}/{number:02d}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if number % 5 == 0:
            path.with_suffix(".log.gz").write_bytes(
                gzip.compress(data if number % 10 else data + b"more\n", 1)
            )
    (raw / "large.log").write_bytes(log(0, 50_000))


def _moments(count: int, arguments: list[str], out: Path, chance: random.Random) -> None:
    """Kill a run `count` times, each followed by a whole one, and compare."""
    began = time.monotonic()
    subprocess.run(arguments, env=environment(), check=True, capture_output=True, timeout=300)
    lasts = time.monotonic() - began
    undisturbed = tree(out)
    assert len(undisturbed) > 30
    killed = 0
    for _ in range(count):
        shutil.rmtree(out)
        process = subprocess.Popen(
            arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # From the first file in OUT on: a kill while Python starts shows nothing.
        while process.poll() is None and not out.exists():
            time.sleep(0.0005)
        time.sleep(chance.random() * lasts * 0.7)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        for name, data in tree(out, state=False).items():
            if not Path(name).name.startswith("."):
                assert undisturbed[name] == data, f"{name} is half a file"
        subprocess.run(arguments, env=environment(), check=True, capture_output=True, timeout=300)
        assert tree(out) == undisturbed
    assert killed > 0


MOMENTS = [
    pytest.param("tsv", 5, id="tsv"),
    pytest.param("parquet", 2, id="parquet"),
    pytest.param("tsv", 30, id="tsv-long", marks=pytest.mark.soak),
    pytest.param("parquet", 10, id="parquet-long", marks=pytest.mark.soak),
]


@pytest.mark.parametrize(("form", "count"), MOMENTS)
def test_a_killed_run_goes_on_to_the_same_tree(tmp_path: Path, form: str, count: int) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    _generate(tmp_path / "raw")
    arguments = [
        *command("access", "reduce", tmp_path / "raw", tmp_path / "out", "--threads", 2, "--format", form)
    ]
    _moments(count, arguments, tmp_path / "out", random.Random(3))
