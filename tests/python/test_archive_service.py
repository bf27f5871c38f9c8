"""`tickline archive run` that stays: its grid, its stops, and what it gets over."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from python.access_support import command, environment
from python.archive_support import Chronyd, archived_lines, chunks, config_of, run
from tickline.pipelines.archive.machine import Step
from tickline.pipelines.archive.service import delay_of, serve
from tickline.stops import Stops, Terminated


class _EndedError(Exception):
    pass


class _World:
    """A monotonic clock, and runs that take as long as they are told."""

    def __init__(self, *lasting_s: float) -> None:
        self.now_s = 1000.0
        self.lasting_s = list(lasting_s)
        self.began_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        if not self.lasting_s:
            raise _EndedError
        self.now_s += seconds

    def run(self) -> None:
        self.began_s.append(self.now_s)
        self.now_s += self.lasting_s.pop(0)


def _began(*lasting_s: float) -> list[float]:
    world = _World(*lasting_s)
    with pytest.raises(_EndedError):
        serve(world.run, node="n1", every_s=100, sleep=world.sleep, monotonic=world.monotonic)
    return [round(began - 1000 - delay_of("n1", 100), 6) for began in world.began_s]


def test_runs_begin_on_a_steady_grid_however_long_they_take() -> None:
    assert _began(1, 60, 99.5, 0, 2) == [0, 100, 200, 300, 400]


def test_a_run_that_takes_longer_than_the_interval_leaves_moments_out() -> None:
    assert _began(250, 1, 100, 101, 1) == [0, 300, 400, 500, 700]


def test_nodes_are_spread_over_a_tenth_of_the_interval_and_keep_their_places() -> None:
    delays = sorted(delay_of(f"node-{number:03}", 1800) for number in range(1000))
    assert 0 <= delays[0] < 2
    assert 178 < delays[-1] < 180
    # About as many in each second as there would be by chance.
    assert max(sum(low <= delay < low + 1 for delay in delays) for low in range(180)) < 20
    assert delay_of("n1", 1800) == delay_of("n1", 1800) == 2 * delay_of("n1", 900)


def _terminate_and_wait() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)


@pytest.mark.parametrize("last", [step for step in Step if step not in (Step.RECOVERED, Step.LOGGED)])
def test_a_run_that_is_stopped_between_two_steps_is_gone_on_with(tmp_path: Path, last: Step) -> None:
    log = Chronyd(tmp_path / "log")
    log.write()
    config = config_of(tmp_path)

    def at(step: Step) -> None:
        if step is last:
            os.kill(os.getpid(), signal.SIGTERM)
        stops.check(step)

    with Stops() as stops, pytest.raises(Terminated):
        run(config, at=at)
    log.write()
    assert not run(config).problems
    assert archived_lines(chunks(tmp_path / "archive")) == log.written


def test_a_stop_waits_for_the_next_step_and_a_second_one_does_not() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stops() as stops:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Terminated):
            stops.check()
        with pytest.raises(Terminated):
            _terminate_and_wait()
        with pytest.raises(Terminated):
            stops.sleep(5)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stop_ends_waiting_at_once() -> None:
    with Stops() as stops:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        began = time.monotonic()
        with pytest.raises(Terminated):
            stops.sleep(30)
        assert time.monotonic() - began < 20
        timer.join()


# ---- as a process -----------------------------------------------------------------------------------------


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell that starts the tests in the background has them ignore Ctrl-C, and so all their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _configure(tmp_path: Path, every: str = "10s") -> Path:
    path = tmp_path / "archive.toml"
    path.write_text(
        f'node = "n1"\nlogs = ["{tmp_path}/log"]\nstate = "{tmp_path}/state"\n'
        f'store = "file://{tmp_path}/archive"\nevery = "{every}"\n'
    )
    return path


class _Service:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line)

    def line(self) -> str:
        return self._lines.get(timeout=60)

    def stop(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        self._reader.join(timeout=60)
        assert self.process.stderr
        return code, self.process.stderr.read()


@contextmanager
def _serving(config: Path, *options: str) -> Iterator[_Service]:
    arguments = command("archive", "run", "--config", config, *options)
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    try:
        yield _Service(process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_service_runs_again_and_again_until_it_is_told_to_stop(
    tmp_path: Path, number: int, code: int
) -> None:
    log = Chronyd(tmp_path / "log")
    log.write(2)
    with _serving(_configure(tmp_path), "--every", "10s", "--json") as service:
        assert json.loads(service.line())["lines"] == 5
        log.write(4)
        assert json.loads(service.line())["lines"] == 4
        ended, errors = service.stop(number)
    assert (ended, errors) == (code, "tickline: stopped. Nothing is lost: the next run goes on from here.\n")
    assert archived_lines(chunks(tmp_path / "archive")) == log.written


def test_a_problem_does_not_end_the_service_and_is_gone_when_it_is_mended(tmp_path: Path) -> None:
    # The interval is that of archive.toml: --every stands alone.
    with _serving(_configure(tmp_path), "--every") as service:
        assert service.line() == "n1: a run every 10 s, the first in 0 s\n"
        # A heartbeat; and the folder is not there.
        assert service.line().startswith("n1: 1 object, 0 lines,")
        Chronyd(tmp_path / "log").write(2)
        assert service.line().startswith("n1: 1 object, 5 lines,")
        ended, errors = service.stop(signal.SIGTERM)
    assert ended == 143
    assert errors.count("does not exist") == 1, errors


def test_what_no_later_run_can_get_over_ends_the_service(tmp_path: Path) -> None:
    config = _configure(tmp_path)
    Chronyd(tmp_path / "log").write()
    subprocess.run(command("archive", "run", "--config", config), check=True, env=environment())
    config.write_text(config.read_text().replace('"n1"', '"n2"'))
    with _serving(config, "--every", "10s", "--quiet") as service:
        _, errors = service.process.communicate(timeout=60)
    assert service.process.returncode == 2
    assert "is the state of node 'n1'" in errors
