"""Run by the workers of the tests when they start: small runs, pieces that last a moment, logs not seen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from tickline.pipelines.access.ingest import group, inputs, plain, read, rows

RUN_BYTES = int(os.environ.get("TICKLINE_TEST_RUN_BYTES", "300000"))
PAUSE_S = float(os.environ.get("TICKLINE_TEST_PAUSE_S", "0"))
BLIND = os.environ.get("TICKLINE_TEST_BLIND", "")
ELSEWHERE = os.environ.get("TICKLINE_TEST_ELSEWHERE", "")

for module in (group, plain, read):
    module.RUN_BYTES = RUN_BYTES  # type: ignore[attr-defined]
group._RUN_ROWS = 1_000


def _slowly(make: Callable[..., Any]) -> Callable[..., Any]:
    """Wait around the writing of files: kills come before it, and between it and the answer."""

    def slow(*arguments: Any) -> Any:
        time.sleep(PAUSE_S)
        made = make(*arguments)
        time.sleep(PAUSE_S)
        return made

    return slow


if PAUSE_S:
    rows.RowMaker.make = _slowly(rows.RowMaker.make)  # type: ignore[method-assign]


def _blindly(open_source: Callable[[str], Any]) -> Callable[[str], Any]:
    """See nothing of what stands below a folder."""

    def blind(name: str) -> Any:
        if name.startswith(BLIND):
            raise FileNotFoundError(2, os.strerror(2), name)
        return open_source(name)

    return blind


def _another(open_source: Callable[[str], Any]) -> Callable[[str], Any]:
    """See other files under the same names."""

    def another(name: str) -> Any:
        # Dask runs this twice.
        return open_source(name if name.startswith(ELSEWHERE) else ELSEWHERE + name)

    return another


if ELSEWHERE:
    inputs.open_source = _another(inputs.open_source)
if BLIND:
    inputs.open_source = _blindly(inputs.open_source)
