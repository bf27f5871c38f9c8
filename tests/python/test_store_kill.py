"""SIGKILL at random moments: after the next run the store is that of an undisturbed one."""

from __future__ import annotations

import gzip
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from python.access_support import environment
from python.ingest_support import KEY, daily, daily_of_rows, files_below, named_files, tables
from tickline.fake.access import generate_access
from tickline.store.folder import StoreFolder
from tickline.store.pseudonyms import ENVIRONMENT

pytest.importorskip("pyarrow")

DRIVER = Path(__file__).with_name("store_kill_driver.py")


@dataclass(frozen=True)
class Case:
    """Steps to kill; `before` are done first, undisturbed, to have a store that they find."""

    steps: tuple[str, ...]
    before: tuple[str, ...] = ()


CASES = {
    "new": Case(("ingest={first}",)),
    "second day": Case(("ingest={second}",), before=("ingest={first}",)),
}
"""New commands are added here, and to `STEPS` in the driver."""

TOTAL_BYTES = 20_000_000


def _generate(root: Path, size: int) -> dict[str, Path]:
    """Make a first day, and a second one on which files are grown, changed, renamed, back, gone."""
    first, second = root / "first/raw", root / "second/raw"
    generate_access(first, total_bytes=size, days=8, dirty=0.01)
    (first / "truth.json").unlink()
    logs = sorted(first.rglob("*.log"))
    for log in logs[4:6]:
        log.with_suffix(".log.gz").write_bytes(gzip.compress(log.read_bytes(), 1))
        log.unlink()
    shutil.copytree(first, second)
    for number, log in enumerate(logs):
        mine = second / log.relative_to(first)
        if not mine.exists():
            continue
        data = mine.read_bytes()
        lines = data.splitlines(keepends=True)
        match number:
            case 0:  # grows
                (first / log.relative_to(first)).write_bytes(b"".join(lines[: len(lines) // 2]))
            case 1:  # is replaced, and its old content comes back under another name
                mine.write_bytes(b"".join(lines[::2]))
                mine.with_name("old.log").write_bytes(data)
            case 2:  # is replaced
                mine.write_bytes(b"".join(lines[1::3]))
            case 3:  # is renamed
                mine.rename(mine.with_name("renamed.log"))
            case 6:
                mine.unlink()
    return {"first": first, "second": second}


class _Place:
    """The folder that the steps read: one place, whose content changes from day to day."""

    def __init__(self, tmp_path: Path, size: int) -> None:
        self.days = _generate(tmp_path / "days", size)
        self.raw = tmp_path / "raw"

    def show(self, day: str) -> None:
        """Put the logs of a day there."""
        shutil.rmtree(self.raw, ignore_errors=True)
        shutil.copytree(self.days[day], self.raw, copy_function=_link)


def _link(source: str, target: str) -> str:
    Path(target).hardlink_to(source)
    return target


def _command(place: _Place, store: Path, steps: tuple[str, ...]) -> list[str]:
    for step in steps:
        for day in place.days:
            if f"{{{day}}}" in step:
                place.show(day)
    texts = [step.format(**dict.fromkeys(place.days, place.raw)) for step in steps]
    return [sys.executable, str(DRIVER), str(store), *texts]


def _whole(command: list[str]) -> None:
    env = environment(**{ENVIRONMENT: KEY})
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert not done.returncode, done.stderr


def _state(store: Path) -> dict[str, Any]:
    """Return all that has to be equal, with sources by their content."""
    with StoreFolder.open(store) as folder:
        found = folder.ledger.rows("SELECT * FROM sources")
        requesters = {row[0] for row in folder.ledger.rows("SELECT id FROM requesters")}
    hashes = {row["id"]: row["content_hash"].hex() for row in found}
    counts = {
        row["content_hash"].hex(): (
            row["lines"],
            row["bytes"],
            row["accepted"],
            row["filtered"],
            row["rejected"],
        )
        for row in found
        if row["state"] == "live"
    }
    assert {row["state"] for row in found} <= {"live", "replaced"}
    rows = [
        (*(value for name, value in row.items() if name != "source"), hashes[row["source"]])
        for row in tables(store, "accesses")
    ]
    assert daily(store) == daily_of_rows(store)
    return {
        "rows": sorted(rows, key=repr),
        "daily": daily(store),
        "counts": counts,
        "requesters": len(requesters) > 0,
    }


def _moments(name: str, count: int, tmp_path: Path, chance: random.Random) -> None:
    """Kill the steps of a case `count` times, each followed by a whole run, and compare."""
    case, place = CASES[name], _Place(tmp_path, TOTAL_BYTES)
    template, store = tmp_path / "template", tmp_path / "store"
    for step in case.before:
        _whole(_command(place, template, (step,)))

    def renew() -> None:
        shutil.rmtree(store, ignore_errors=True)
        if case.before:
            shutil.copytree(template, store)

    renew()
    command = _command(place, store, case.steps)
    began = time.monotonic()
    _whole(command)
    lasts = time.monotonic() - began
    undisturbed = _state(store)
    assert len(undisturbed["rows"]) > 10_000
    assert files_below(store) == named_files(store)
    killed = half_done = tries = 0
    # A busy machine may be quicker now than it was before, and end a run before its kill: then once more.
    while killed < count:
        tries += 1
        assert tries <= 5 * count, "most runs end before they are killed"
        renew()
        before = files_below(store)
        process = subprocess.Popen(
            command,
            env=environment(**{ENVIRONMENT: KEY}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        lock = store / "lock"
        touched = lock.stat().st_mtime_ns if lock.exists() else 0
        # From the moment on when it takes the lock: a kill while Python starts shows nothing.
        while process.poll() is None and not (lock.exists() and lock.stat().st_mtime_ns != touched):
            time.sleep(0.0005)
        time.sleep(chance.random() * lasts * 0.8)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        half_done += files_below(store) != before
        _whole(command)
        assert files_below(store) == named_files(store), "leftovers"
        assert _state(store) == undisturbed
    # A few kills may all come before the first file, on a busy machine; the other test counts on no clock.
    assert half_done or count < 20


@pytest.mark.parametrize(
    ("name", "count"),
    [pytest.param(name, 6 // len(CASES), id=name) for name in CASES]
    + [pytest.param(name, 200 // len(CASES), id=f"{name}-long", marks=pytest.mark.soak) for name in CASES],
)
def test_a_killed_run_goes_on_to_the_same_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, count: int
) -> None:
    monkeypatch.setenv(ENVIRONMENT, KEY)
    _moments(name, count, tmp_path, random.Random(17))


@pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", CASES)
def test_a_kill_around_each_lasting_change_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, every: int
) -> None:
    monkeypatch.setenv(ENVIRONMENT, KEY)
    case, place = CASES[name], _Place(tmp_path, 500_000)
    template, store = tmp_path / "template", tmp_path / "store"
    for step in case.before:
        _whole(_command(place, template, (step,)))
    undisturbed: dict[str, Any] | None = None
    at, killed = 0, True
    # Backwards would need their number: the last round is the one that comes to its end.
    while killed:
        at += every if at else 1
        shutil.rmtree(store, ignore_errors=True)
        if case.before:
            shutil.copytree(template, store)
        command = _command(place, store, (f"die={at}", *case.steps))
        done = subprocess.run(
            command, env=environment(**{ENVIRONMENT: KEY}), capture_output=True, timeout=300
        )
        killed = done.returncode == -signal.SIGKILL
        assert killed or not done.returncode, done.stderr.decode()
        _whole(_command(place, store, case.steps))
        assert files_below(store) == named_files(store), f"leftovers of a kill at {at}"
        found = _state(store)
        undisturbed = undisturbed or found
        assert found == undisturbed, f"a kill at {at}"
    assert at > 3 * every
