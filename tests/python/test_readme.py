"""Every block of the README and of docs/ is run as it stands there, and prints what stands there.

What a block is, is told by the word behind its fence:

- ``console``: lines with ``$`` are commands (``\\`` at the end: they go on in the next line), the lines below
  are what they print (``...``: any lines).
- ``python``: run in one namespace per page; a ``text`` block right behind it is what it prints.
- ``cpp``, ``cmake``, ``toml``: files; the first line names them. With a ``cmake`` block the project is built.
- ``sh``: commands that set a machine up or need a network. They are not run here, but each must be known to
  `SET_UP`.

All blocks of a page share one folder, in the order of the page.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]

# What does not run here: the Makefile's targets and setting a machine up, because other checks do, and what
# asks servers on the network.
MAKE = re.compile(r"make ([a-z]+)")
SET_UP = re.compile(
    r"pip install '\.\[access(,report)?\]'|cmake .*-DTICKLINE_BUILD_TESTS=OFF|cmake --install .*"
    r"|tickline ntp query( \d\.pool\.ntp\.org)+"
)

# Speeds differ from run to run, and file sizes in a listing with the compiler.
SPEED = re.compile(r"\d+(\.\d)? [kMGT]?B/s")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    kind: str
    text: str
    line: int
    printed: str | None = None

    def commands(self) -> list[tuple[str, str]]:
        """Return the commands of a console block, each with what it prints."""
        pieces = re.split(r"^\$ ", self.text, flags=re.MULTILINE)
        assert pieces[0] == "", f"line {self.line}: a console block begins with a command"
        found = [re.split(r"(?<!\\)\n", piece, maxsplit=1) for piece in pieces[1:]]
        return [(command, printed) for command, printed in found]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in FENCE.finditer(text):
        block = Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
        assert block.kind in {"console", "python", "text", "cpp", "cmake", "toml", "sh"}, block
        if block.kind == "text":
            assert found, block
            assert found[-1].kind == "python", f"line {block.line}: a text block stands behind Python"
            found[-1] = Block("python", found[-1].text, found[-1].line, block.text)
        else:
            found.append(block)
    assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(FENCE.findall(text)), page
    return found


def plain(text: str) -> str:
    """Take away what may differ: speeds, and blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in SPEED.sub("0.0 MB/s", text).strip("\n").split("\n"))


def assert_prints(expected: str, printed: str, where: str) -> None:
    pieces = [re.escape(piece) for piece in re.split(r"^\.\.\.$", plain(expected), flags=re.MULTILINE)]
    assert re.fullmatch(r"(?:.*)".join(pieces), plain(printed), re.DOTALL), (
        f"{where} prints\n{textwrap.indent(plain(printed), '    ')}\n"
        f"and not\n{textwrap.indent(plain(expected), '    ')}"
    )


def environment() -> dict[str, str]:
    scripts = Path(sys.executable).parent
    path = f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "COLUMNS": "96", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}


def run_command(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout


def run_python(block: Block, page: Path, names: dict[str, Any]) -> str:
    # Line numbers in a traceback are those of the page.
    code = compile("\n" * block.line + block.text, str(page), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, names)
    return printed.getvalue()


def write_file(block: Block, folder: Path) -> Path:
    first = block.text.partition("\n")[0]
    path = folder / first.lstrip("/# ")
    path.write_text(block.text, encoding="utf-8")
    return path


def build_project(folder: Path) -> None:
    (folder / "tickline").symlink_to(ROOT, target_is_directory=True)
    command = "cmake -S . -B build && cmake --build build && build/bytes raw/2024/02/28.log && echo built"
    printed = run_command(command, folder)
    assert printed.endswith("\nbuilt\n"), printed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_the_page_does_what_the_page_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    found = blocks(page)
    assert found
    tools = {"c++", "cmake"} if any(block.kind == "cpp" for block in found) else set()
    if missing := sorted(tool for tool in tools if shutil.which(tool) is None):
        pytest.skip(f"{' and '.join(missing)} not installed: the C++ of {page.name} cannot be tried")
    for block in found:
        where = f"{page.name}, line {block.line}"
        match block.kind:
            case "console":
                for command, expected in block.commands():
                    assert_prints(expected, run_command(command, tmp_path), f"{where}: {command}")
            case "python":
                printed = run_python(block, page, names)
                if block.printed is not None:
                    assert_prints(block.printed, printed, where)
            case "cpp" | "toml":
                write_file(block, tmp_path)
            case "cmake":
                write_file(block, tmp_path)
                build_project(tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_not_run_here_are_known(page: Path) -> None:
    targets = set(
        re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert {"demo", "test"} <= targets
    for block in blocks(page):
        if block.kind == "sh":
            for line in block.text.splitlines():
                command = line.partition("#")[0].strip()
                made = MAKE.fullmatch(command)
                assert made[1] in targets if made else SET_UP.fullmatch(command), (page.name, command)


def test_the_two_commands_stand_on_the_first_screen() -> None:
    first = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:25])
    assert "make demo" in first
    assert "make test" in first


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_lead_to_files_of_the_project(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


# What all commands have, and the page says once.
COMMON = {"--help", "--debug", "--quiet", "--json", "--store"}
STORE_PAGE = ROOT / "docs" / "access-store.md"


def access_commands() -> dict[str, set[str]]:
    """Return the options of every command of ``tickline access``, by its name (``regions update``)."""
    from typer.main import get_command

    from tickline.cli.access import app

    found: dict[str, set[str]] = {}
    waiting: list[tuple[str, Any]] = [("", get_command(app))]
    while waiting:
        name, command = waiting.pop()
        if hasattr(command, "commands"):
            waiting += [(f"{name} {below}".strip(), one) for below, one in command.commands.items()]
        else:
            options = {text for one in command.params for text in one.opts if text.startswith("--")}
            found[name] = options
    assert len(found) > 10, found
    return found


def unnamed(options: set[str], text: str) -> list[str]:
    """Return the options that a text does not name as code."""
    return [one for one in sorted(options) if not re.search(rf"`{one}(?![\w-])", text)]


def section_of(text: str, command: str) -> str:
    """Return what stands below the heading that begins with a command, up to the next heading."""
    match = re.search(rf"^### `{re.escape(command)}\b[^\n]*\n(.*?)(?=^##)", text, re.DOTALL | re.MULTILINE)
    assert match is not None, f"no heading for {command}"
    return match[1]


def test_every_option_of_reduce_stands_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    options = access_commands()["reduce"] - {"--help", "--debug"}
    assert len(options) > 15
    assert not unnamed(options, text)


def test_every_command_around_a_store_and_its_options_stand_in_the_page_on_stores() -> None:
    text = STORE_PAGE.read_text(encoding="utf-8")
    commands = access_commands()
    del commands["reduce"], commands["rejects export"]
    assert {"ingest", "regions update", "run", "forget-addresses"} <= commands.keys()
    assert not unnamed(COMMON - {"--help"}, text)
    missing = {
        command: unnamed(options - COMMON, section_of(text, command)) for command, options in commands.items()
    }
    assert not {command: options for command, options in missing.items() if options}


def test_every_view_and_its_columns_stand_in_the_page_on_stores(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    from tickline.store.folder import StoreFolder
    from tickline.store.query import connect
    from tickline.store.settings import WantedSettings
    from tickline.store.store import Store
    from tickline.store.views import SUMMARY_VIEWS

    text = STORE_PAGE.read_text(encoding="utf-8")
    views = text[text.index("\n## SQL\n") : text.index("\n## Python\n")]
    with StoreFolder.open_or_create(tmp_path / "store", WantedSettings(dedupe_lines=True)) as folder:
        connection = connect(folder)
        sql = "SELECT table_name, column_name FROM information_schema.columns"
        columns = connection.execute(sql).fetchall()
        connection.close()
    with Store(tmp_path / "store") as store:
        columns += [(view, name) for view in SUMMARY_VIEWS for name in store.table(view).column_names]
    named = {view for view, _ in columns}
    assert {"accesses", "daily", "sources", "rejects", "regions", "totals"} <= named
    exported = text[text.index("\n## The export\n") : text.index("\n## Privacy\n")]
    missing = [view for view in named if f"`{view}`" not in views]
    # `totals` has the columns of totals.json, which the page lists there.
    missing += [f"{view}.{name}" for view, name in columns if f"`{name}`" not in views + exported]
    assert not missing


def test_every_name_of_the_json_files_stands_in_the_page_on_stores(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from python.access_support import line
    from tickline.store.store import Store

    (tmp_path / "a.log").write_text(line(1) + "\n", encoding="utf-8")
    with Store(tmp_path / "store") as store:
        store.ingest(tmp_path / "a.log", settle_s=0)
        store.export(tmp_path / "out")
    names: set[str] = set()
    for file in ("totals.json", "provenance.json"):
        found = json.loads((tmp_path / "out" / file).read_text(encoding="utf-8"))
        names |= found.keys() | found.get("archive", {}).keys() | found.get("undetermined", {}).keys()
    assert len(names) > 15
    text = STORE_PAGE.read_text(encoding="utf-8")
    assert not [name for name in sorted(names) if f"`{name}`" not in text]


def test_every_word_of_a_store_stands_in_the_page_on_stores() -> None:
    from tickline.pipelines.access.ingest.agents import CLASSES
    from tickline.pipelines.access.regions.labels import BOGON, RESERVED
    from tickline.pipelines.access.report.words import FILTERED
    from tickline.pipelines.access.summaries.assets import TYPES
    from tickline.pipelines.access.summaries.options import POLICIES

    text = STORE_PAGE.read_text(encoding="utf-8")
    folder = ROOT / "python" / "tickline" / "pipelines" / "access"
    sources = [path.read_text(encoding="utf-8") for path in sorted((folder / "verify").glob("*.py"))]
    findings = {kind for source in sources for kind in re.findall(r"\badd\(\s*\"(\w+)\"", source)}
    assert {"missing", "orphan", "hash", "sums"} <= findings
    # A store has no option for a time, and strict is a matter of reduce.
    reasons = FILTERED.keys() - {"time", "strict"}
    assert {"unfinished", "repeated"} <= reasons
    words = {*findings, *reasons, *POLICIES, *CLASSES, *RESERVED, BOGON}
    missing = [word for word in sorted(words) if f"`{word}`" not in text]
    missing += [kind for kind in TYPES if kind not in text]
    assert not missing


def test_every_reason_and_every_column_stands_in_the_page_on_access_logs() -> None:
    from tickline import _core

    text = (ROOT / "docs" / "access-logs.md").read_text(encoding="utf-8")
    missing = [name for name in _core.COLUMNS if f"`{name}`" not in text]
    words = (
        *("cut", "spliced", "ambiguous", "bad_time", "bad_operation", "bad_request_uri", "number_overflow"),
        *("line_too_long", "operation", "key", "ip", "time", "status", "blank", "strict"),
        *("ambiguous_agent", "invalid_utf8"),
    )
    missing += [word for word in words if f"`{word}`" not in text]
    assert not missing
