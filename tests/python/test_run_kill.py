"""SIGKILL at random moments of ingest, compact, summarize and export: the next run makes the same export."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from python.access_support import environment
from python.ingest_support import KEY
from tickline.fake import generate_access
from tickline.store.folder import StoreFolder
from tickline.store.pseudonyms import ENVIRONMENT

pytest.importorskip("pyarrow")

DRIVER = Path(__file__).with_name("store_kill_driver.py")
OLD_NS = 1_700_000_000 * 10**9


class Place:
    """A store and an export of half of the logs, and all logs: what is killed is the way to the rest."""

    def __init__(self, folder: Path) -> None:
        self.raw, self.store, self.out = (folder / name for name in ("raw", "store", "out"))
        self._template = folder / "template"
        generate_access(self.raw, total_bytes=12_000_000, seed=3, days=6, dirty=0.01, catalog=True)
        late = sorted(self.raw.rglob("*.log"))[1::2]
        for path in self.raw.rglob("*.log"):
            os.utime(path, ns=(OLD_NS, OLD_NS))
        for path in late:
            path.rename(path.with_suffix(".later"))
        self.finish()
        self._template.mkdir()
        for place in (self.store, self.out):
            shutil.copytree(place, self._template / place.name)
        for path in late:
            path.with_suffix(".later").rename(path)

    def renew(self) -> None:
        """Go back to the store of half of the logs."""
        for place in (self.store, self.out):
            shutil.rmtree(place)
            shutil.copytree(self._template / place.name, place)

    def start(self) -> subprocess.Popen[bytes]:
        """Begin all steps in a process."""
        steps = (f"ingest={self.raw}", "compact", f"export={self.out}")
        command = [sys.executable, str(DRIVER), str(self.store), *steps]
        env = environment(**{ENVIRONMENT: KEY})
        return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def finish(self) -> None:
        """Do all steps, undisturbed."""
        _, said = self.start().communicate(timeout=300)
        assert not said, said.decode()

    def exported(self) -> dict[str, str]:
        """Hash all files of the export but the record of what was written."""
        paths = (path for path in self.out.rglob("*") if path.is_file() and ".tickline" not in path.parts)
        return {
            str(path.relative_to(self.out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
        }

    def findings(self) -> list[object]:
        """Let `verify` look at the store and at two of its sources."""
        from tickline.pipelines.access.verify.verify import verify

        with StoreFolder.open(self.store) as folder:
            return list(verify(folder, sample=2).found)


def wait_for_lock(process: subprocess.Popen[bytes], lock: Path, before: int) -> None:
    """Wait until the process takes the lock of the store: a kill while Python starts shows nothing."""
    while process.poll() is None and lock.stat().st_mtime_ns == before:
        time.sleep(0.0005)


def kill_and_go_on(place: Place, count: int, chance: random.Random) -> None:
    """Kill the steps `count` times, each followed by an undisturbed run, and compare the exports."""
    place.renew()
    began = time.monotonic()
    process = place.start()
    wait_for_lock(process, place.store / "lock", (place.store / "lock").stat().st_mtime_ns)
    locked = time.monotonic()
    assert process.wait(timeout=300) == 0
    assert process.stderr is not None
    process.stderr.close()
    lasts = time.monotonic() - (locked if locked > began else began)
    undisturbed = place.exported()
    assert len(undisturbed) > 200
    killed = unfinished = tries = 0
    # A machine that is suddenly quicker ends some runs before their kill: then once more.
    while killed < count:
        tries += 1
        assert tries <= 5 * count, "most runs end before they are killed"
        place.renew()
        lock = place.store / "lock"
        before = lock.stat().st_mtime_ns
        process = place.start()
        wait_for_lock(process, lock, before)
        time.sleep(chance.random() * lasts * 0.9)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        assert process.stderr is not None
        process.stderr.close()
        unfinished += place.exported() != undisturbed
        place.finish()
        assert place.exported() == undisturbed
        assert place.findings() == []
    assert unfinished >= count * 0.3


@pytest.mark.parametrize(
    ("count", "seed"),
    [(5, seed) for seed in range(4)]
    + [pytest.param(50, seed, marks=pytest.mark.soak) for seed in range(10, 14)],
)
def test_after_a_kill_the_next_run_makes_the_same_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, seed: int
) -> None:
    monkeypatch.setenv(ENVIRONMENT, KEY)
    kill_and_go_on(Place(tmp_path), count, random.Random(seed))
