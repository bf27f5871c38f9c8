"""The package as it is installed: versions, what an import loads, and which files ship."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tickline
from tickline import _core

PACKAGE = Path(tickline.__file__).parent


def in_new_interpreter(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_header_module_and_metadata_name_the_same_version() -> None:
    header = (Path(tickline.include_dir()) / "tickline" / "version.hpp").read_text(encoding="utf-8")
    defined = dict(re.findall(r"#define (TICKLINE_VERSION\w*) \"?([0-9.]+)\"?", header))
    assert defined["TICKLINE_VERSION"] == ".".join(
        defined[f"TICKLINE_VERSION_{part}"] for part in ("MAJOR", "MINOR", "PATCH")
    )
    assert _core.__version__ == defined["TICKLINE_VERSION"]
    assert tickline.__version__ == defined["TICKLINE_VERSION"]
    assert importlib.metadata.version("tickline") == defined["TICKLINE_VERSION"]


def test_import_loads_the_standard_library_and_core_only() -> None:
    # Compared with an interpreter that imports nothing: hooks in site-packages may load modules too.
    show = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    before = set(json.loads(in_new_interpreter(show)))
    after = set(json.loads(in_new_interpreter(f"import tickline; {show}")))
    loaded = {name.partition(".")[0] for name in after - before}
    assert loaded - set(sys.stdlib_module_names) == {"tickline"}
    assert "tickline._core" in after
    assert "tickline._pattern" not in after


def test_every_subject_can_be_imported_from_the_package_alone() -> None:
    assert in_new_interpreter("import tickline; print(callable(tickline.access.read))") == "True\n"


def test_headers_ship_with_the_package() -> None:
    include = Path(tickline.include_dir())
    assert (include / "tickline" / "tickline.hpp").is_file()
    assert (include / "tickline" / "logs" / "s3_access.hpp").is_file()
    shown = subprocess.run(
        [sys.executable, "-m", "tickline", "--include"], capture_output=True, text=True, check=True
    )
    assert Path(shown.stdout.strip()) == include


@pytest.mark.parametrize("name", ["py.typed", "_core.pyi", "_pattern.pyi"])
def test_types_ship_with_the_package(name: str) -> None:
    assert (PACKAGE / name).is_file()


def test_every_shipped_header_is_the_one_in_the_checkout() -> None:
    checkout = Path(__file__).resolve().parents[2] / "include"
    shipped = Path(tickline.include_dir())
    ours = {path.relative_to(checkout): path.read_bytes() for path in checkout.rglob("*.hpp")}
    theirs = {path.relative_to(shipped): path.read_bytes() for path in shipped.rglob("*.hpp")}
    assert ours
    assert theirs == ours


def test_it_runs_as_a_module_and_as_a_command() -> None:
    as_module = subprocess.run(
        [sys.executable, "-m", "tickline", "--help"], capture_output=True, text=True, check=True
    )
    assert "access" in as_module.stdout
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="tickline")
    assert entry.value == "tickline.__main__:main"


def test_an_extra_exists_for_every_optional_dependency() -> None:
    metadata = importlib.metadata.metadata("tickline")
    assert set(metadata.get_all("Provides-Extra") or []) >= {"access", "all", "s3"}
