"""What all Python tests share: hypothesis' profiles, and skips that are counted.

With ``TICKLINE_REQUIRE_ALL=1`` a skipped test, or a module that skips itself, fails the run: a check that
silently stopped running looks the same as one that passes.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# No deadline: the machine is shared with compilers, and a slow example is no wrong one.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", parent=settings.get_profile("default"), max_examples=20_000)
settings.load_profile("default")

# A shell's background ignores Ctrl-C, and so do all children: the ones here are sent it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REQUIRE_ALL = os.environ.get("TICKLINE_REQUIRE_ALL") == "1"
_skipped: list[str] = []


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skipped.append(f"{report.nodeid}: {reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note(report)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    # A module that skips itself is seen by the workers of xdist only; every worker collects the same modules.
    for line in getattr(node, "workeroutput", {}).get("tickline_skipped_modules", []):
        if line not in _skipped:
            _skipped.append(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    worker_output = getattr(session.config, "workeroutput", None)
    if worker_output is not None:
        worker_output["tickline_skipped_modules"] = [line for line in _skipped if "::" not in line]
    elif REQUIRE_ALL and _skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if REQUIRE_ALL and _skipped:
        terminalreporter.section("skipped, and TICKLINE_REQUIRE_ALL=1 counts that as a failure")
        for line in _skipped:
            terminalreporter.line(line)
