"""`tickline archive run`, `export` and `import` as processes: what they print, and how they end."""

from __future__ import annotations

import configparser
import fcntl
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from python.access_support import run
from python.archive_import_support import TRACKING, row
from python.archive_support import BANNER, Chronyd
from tickline.pipelines.archive.config import Retention, read_config

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


class Node:
    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path
        self.config = tmp_path / "archive.toml"
        self.log = Chronyd(tmp_path / "log")
        self.write()

    def write(self, node: str = "n1", **more: str) -> None:
        settings = {
            "node": f'"{node}"',
            "logs": f'["{self.path}/log"]',
            "state": f'"{self.path}/state"',
            "store": f'"file://{self.path}/archive"',
            **more,
        }
        self.config.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))

    def run(self, *options: object, check: int = 0) -> tuple[str, str]:
        """Run it; return both outputs."""
        ended = run("archive", "run", "--config", self.config, *options, check=check)
        assert b"Traceback" not in ended.stderr
        return ended.stdout.decode(), ended.stderr.decode()

    def command(self, name: str, *options: object, check: int = 0) -> tuple[bytes, str]:
        ended = run("archive", name, "--config", self.config, *options, check=check)
        assert b"Traceback" not in ended.stderr
        return ended.stdout, ended.stderr.decode()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_run_is_one_line(node: Node) -> None:
    node.log.write(3)
    out, errors = node.run()
    assert re.fullmatch(r"n1: 1 object, 6 lines, \d+ B, \d calls, \d+\.\d s\n", out), out
    assert errors == ""
    node.log.write(1)
    out, _ = node.run("--once")
    assert re.fullmatch(r"n1: 1 object, 1 line, \d+ B, 1 call, \d+\.\d s\n", out), out
    assert node.run() == ("n1: nothing new, 0 calls\n", "")
    assert node.run("--quiet") == ("", "")


def test_a_run_is_one_line_of_json(node: Node) -> None:
    node.log.write(3)
    told = json.loads(node.run("--json")[0])
    assert node.run("--json")[0].count("\n") == 1
    assert {name: told[name] for name in ("node", "lines", "objects", "result", "waiting", "problems")} == {
        "node": "n1",
        "lines": 6,
        "objects": 1,
        "result": "ok",
        "waiting": 0,
        "problems": [],
    }
    assert set(told) == {"start", "end", "calls", "bytes", *("node", "lines", "objects", "result")} | {
        "waiting",
        "problems",
    }


def test_problems_are_named_and_the_exit_code_says_so(node: Node) -> None:
    shutil.rmtree(node.path / "log")
    out, errors = node.run(check=1)
    assert out.startswith("n1: 1 object, 0 lines")
    assert (
        errors
        == f"tickline: {node.path}/log: does not exist. Check the name; a file that vanished is "
        + ("reported by the next run.\n")
    )
    told = json.loads(node.run("--json", check=1)[0])
    assert [problem["where"] for problem in told["problems"]] == [f"{node.path}/log"]


def test_a_folder_without_logs_is_a_problem(node: Node) -> None:
    (node.path / "log/chrony.log").write_text("not one of them\n")
    out, errors = node.run("--quiet", check=1)
    assert out == ""
    assert errors == (
        f"tickline: {node.path}/log: holds no log of chrony. Give chrony.conf `logdir` and "
        "`log tracking measurements statistics`, or correct `logs`.\n"
    )


def test_while_the_store_is_away_it_is_told_what_waits(node: Node) -> None:
    node.run(check=1)
    node.log.write(3)
    store = node.path / "archive"
    store.rename(node.path / "away")
    store.write_text("a file where the store should be")
    out, errors = node.run(check=1)
    assert out == "n1: nothing sent, 1 call; 1 object waiting in the spool\n"
    assert str(store) in errors
    store.unlink()
    (node.path / "away").rename(store)
    assert "1 object, 6 lines" in node.run()[0]


def test_a_second_run_at_once_leaves_with_a_sentence_and_is_no_failure(node: Node) -> None:
    node.log.write(3)
    (node.path / "state").mkdir()
    with (node.path / "state/lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        sentence = f"tickline: {node.path}/state: another run of this node is at work."
        out, errors = node.run()
        assert (out, errors.startswith(sentence)) == ("", True)
        assert json.loads(node.run("--json")[0])["result"] == "busy"
    assert not (node.path / "archive").exists()


WRONG = {
    "no such file": (["--config", "/no/archive.toml"], 1, "/no/archive.toml: does not exist"),
    "both": (["--once", "--every", "30m"], 2, "--every: cannot go with --once"),
    "no duration": (["--every", "often"], 2, "--every: 'often' is no duration"),
    "too often": (["--every", "1s"], 2, "--every: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_usage_is_a_sentence(node: Node, name: str) -> None:
    options, code, sentence = WRONG[name]
    out, errors = node.run(*options, check=code)
    assert out == ""
    assert sentence in errors


def test_a_misspelt_configuration_is_a_sentence(node: Node) -> None:
    node.write(retentoin='"6y"')
    assert f"{node.config}, retentoin: is no key that is known" in node.run(check=2)[1]


def test_help_shows_examples(node: Node) -> None:
    for name in ("run", "export", "import"):
        text = run("archive", name, "--help", check=0).stdout.decode()
        assert "Examples:" in text
        assert f"tickline archive {name} " in text
        assert "Exit code:" in text


def test_export_writes_files_or_one_log(node: Node) -> None:
    node.log.write(3)
    node.run()
    out, errors = node.command("export", "--out", node.path / "out")
    assert (out.decode(), errors) == (f"6 lines of 1 object, 315 B, in 1 file: {node.path}/out\n", "")
    content = node.log.path.read_bytes()
    assert (node.path / "out" / str(node.log.path).lstrip("/")).read_bytes() == content
    assert node.command("export", "--log", "tracking") == (content, "")
    days = ("--from", "2026-11-22", "--to", "2026-11-22")
    told = json.loads(node.command("export", *days, "--layout", "per-day", "--out", node.path, "--json")[0])
    assert told["files"] == [{"path": f"{node.path}/n1-2026-11-22.log", "lines": 6, "bytes": len(content)}]
    ended = run("archive", "export", "--store", f"file://{node.path}/archive", "--log", "tracking", check=2)
    assert b"--node: is needed with --store" in ended.stderr
    assert "one log only" in node.command("export", check=2)[1]
    assert "no node 'n3'" in node.command("export", "--node", "n3", "--out", node.path / "o", check=2)[1]


def test_a_damaged_archive_is_exported_as_far_as_it_goes(node: Node) -> None:
    node.log.write(3)
    node.run()
    (chunk,) = (node.path / "archive").rglob("*.zst")
    chunk.chmod(0o644)
    chunk.write_bytes(b"rubbish")
    out, errors = node.command("export", "--out", node.path / "out", check=1)
    assert out.startswith(b"0 lines of 0 objects")
    assert chunk.name in errors


def test_import_tells_what_became_of_the_lines(node: Node) -> None:
    old = node.path / "old"
    old.mkdir()
    (old / "n1-2025-03-01-0000.log").write_bytes(TRACKING + row(1) + row(2))
    (old / "n1-2025-03-02-0000.log").write_bytes(row(2) + row(4))
    assert "Run `tickline archive run` first" in node.command("import", old, check=2)[1]
    node.log.write(3)
    node.run()
    out, errors = node.command("import", old)
    assert errors == ""
    words = [line.split() for line in out.decode().splitlines()]
    assert [" ".join(line[:3]) for line in words] == [
        "old objects 2",
        "lines 7 2025-03-01",
        "taken 3 in",
        "doubled 1 in",
        "banners 3",
        "silent days 1",
    ]
    told = json.loads(node.command("import", old, "--json")[0])
    assert (told["complete"], told["imported_before"], told["problems"]) == (True, 3, [])
    # What came in goes out as the old program had it, and each line once.
    node.command("export", "--to", "2025-12-31", "--layout", "per-day", "--out", node.path / "days")
    days = {path.name: path.read_bytes() for path in (node.path / "days").iterdir()}
    assert days == {
        "n1-2025-03-01.log": TRACKING + row(1),
        "n1-2025-03-02.log": row(2),
        "n1-2025-03-04.log": row(4),
    }
    assert "'weekly' is no layout" in node.command("import", old, "--layout", "weekly", check=2)[1]
    assert BANNER not in b"".join(days.values())


# ---- examples ---------------------------------------------------------------------------------------------


def test_the_example_of_a_configuration_is_one_with_and_without_what_it_leaves_out(tmp_path: Path) -> None:
    text = (EXAMPLES / "archive.toml").read_text()
    assert read_config(EXAMPLES / "archive.toml").every_s == 1800
    # With every line that is commented out, in S3.
    text = re.sub(r"^# (endpoint|region|sse|tags|\[retention\]|mode|years)", r"\1", text, flags=re.MULTILINE)
    whole = tmp_path / "archive.toml"
    whole.write_text(text.replace("file:///srv/ntp-archive", "s3://compliance-logs/ntp"))
    config = read_config(whole)
    assert config.retention == Retention("COMPLIANCE", 6)
    assert (config.upload.sse, dict(config.upload.tags), config.region) == (
        "aws:kms",
        {"team": "ntp"},
        "us-east-1",
    )


def _unit(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(EXAMPLES / "systemd" / name)
    return unit


def test_the_units_run_the_command_as_it_is(node: Node) -> None:
    start = _unit("tickline-archive.service")["Service"]["ExecStart"].split()
    assert start[:3] == ["/usr/local/bin/tickline", "archive", "run"]
    node.log.write(3)
    out = run(*start[1:3], *(node.config if word.endswith(".toml") else word for word in start[3:]), check=0)
    assert out.stdout.startswith(b"n1: 1 object")
    state = read_config(EXAMPLES / "archive.toml").state
    assert f"/var/lib/{_unit('tickline-archive.service')['Service']['StateDirectory']}" == str(state)
    assert _unit("tickline-archive.timer")["Timer"]["OnCalendar"] == "*:0/30"


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for name in ("tickline-archive.service", "tickline-archive.timer"):
        # It looks for the program, which need not be installed here.
        text = (EXAMPLES / "systemd" / name).read_text().replace("/usr/local/bin/tickline", "/bin/true")
        (tmp_path / name).write_text(text)
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.glob("tickline-*"))],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
