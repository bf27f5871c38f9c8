"""`tickline archive verify` on archives that were tampered with: each deed by its name, and nothing else."""

from __future__ import annotations

import json
import os
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from python.archive_support import Chronyd, Clock, chunks, config_of, run
from tickline.cli import app
from tickline.errors import SourceError
from tickline.pipelines.archive.chunk import Chunk, key_of, pack, unpack
from tickline.pipelines.archive.locks import promised_until
from tickline.pipelines.archive.stores import FolderStore
from tickline.pipelines.archive.verify import Verified, verify

NOW = "2026-11-24T02:00:00"
DAY = 86400


class Archive:
    """A copy of an archive of nodes n1 (nine chunks, two logs, rotations, a heartbeat) and n2 (three)."""

    def __init__(self, root: Path, now_s: float) -> None:
        self.root = root
        self.now_s = now_s
        self.keys = list(FolderStore(f"file://{root}").keys("v1/n1/"))

    def path(self, number: int) -> Path:
        return self.root / self.keys[number - 1]

    def chunk(self, number: int) -> Chunk:
        return unpack(self.path(number).read_bytes(), "x")

    def write(self, key: str, body: bytes) -> None:
        path = self.root / key
        path.unlink(missing_ok=True)
        path.write_bytes(body)

    def verify(self, *, later_s: float = 0, **options: Any) -> Verified:
        return verify(FolderStore(f"file://{self.root}"), now_s=self.now_s + later_s, **options)

    def found(self, **options: Any) -> list[tuple[str, str]]:
        return [(flaw.object, flaw.check) for flaw in self.verify(**options).flaws]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    root, clock = tmp_path_factory.mktemp("archive"), Clock()
    logs = [Chronyd(root / "log"), Chronyd(root / "log", "measurements")]
    config = config_of(root)
    for number in range(12):
        for log in logs if number % 4 != 3 else ():
            log.write(4)
        if number == 5:
            logs[0].rename()
            logs[0].write()
        if number == 8:
            logs[1].copytruncate()
            logs[1].write()
        clock.now_s += 1800 if number != 9 else DAY
        assert not run(config, clock=clock).problems
    more = config_of(root / "more")
    for _ in range(3):
        Chronyd(root / "more/log").write()
        clock.now_s += 1
        run(more, clock=clock)
    shutil.copytree(root / "more/archive/v1/n1", root / "archive/v1/n2")
    for path in (root / "archive/v1/n2").rglob("*.zst"):
        path.unlink()
    previous = None
    for chunk in chunks(root / "more/archive"):
        header = {**chunk.header, "node": "n2", "previous": previous}
        body = pack(header, chunk.pieces())
        (root / "archive" / key_of("n2", header["day"], header["seq"])).write_bytes(body)
        previous = unpack(body, "x").sha256
    return Archive(root / "archive", clock.now_s)


@pytest.fixture
def archive(made: Archive, tmp_path: Path) -> Archive:
    shutil.copytree(made.root, tmp_path / "archive")
    return Archive(tmp_path / "archive", made.now_s)


def test_an_archive_that_nobody_touched_has_no_finding(made: Archive) -> None:
    found = made.verify()
    ours, lines = chunks(made.root), chunks(made.root, "n2")
    assert found.ok
    assert (found.objects, found.lines) == (
        len(ours) + len(lines),
        sum(chunk.header["lines"] for chunk in [*ours, *lines]),
    )
    assert [(node.node, node.objects, node.flaws) for node in found.nodes] == [("n1", 9, 0), ("n2", 3, 0)]
    assert found.nodes[0].conditional == "honoured"
    assert (found.nodes[0].first, found.nodes[0].last) == (
        ours[0].header["created"],
        ours[-1].header["created"],
    )


@pytest.mark.parametrize("number", [1, 5, 9])
def test_one_byte_of_one_object(archive: Archive, number: int) -> None:
    body = archive.path(number).read_bytes()
    chance = random.Random(number)
    for at in [*range(0, len(body), 61), len(body) - 1]:
        changed = bytearray(body)
        changed[at] ^= chance.randrange(1, 256)
        archive.write(archive.keys[number - 1], bytes(changed))
        assert archive.found() == [(archive.keys[number - 1], "damaged")], (at, changed[at])


def test_an_interior_object_that_was_removed(archive: Archive) -> None:
    for number in range(1, 9):
        size = archive.chunk(number).header["bytes"]
        archive.path(number).rename(archive.root.parent / "aside")
        (flaw,) = archive.verify().flaws
        assert flaw.check == "missing"
        assert flaw.object.endswith(f"/{number:010}.zst")
        assert f"with it {size:,} bytes" in flaw.text
        (archive.root.parent / "aside").rename(archive.path(number))
    assert archive.verify().ok


def test_two_objects_that_were_swapped(archive: Archive) -> None:
    for one, other in ((1, 2), (3, 7), (8, 9), (1, 9)):
        first, second = archive.path(one).read_bytes(), archive.path(other).read_bytes()
        archive.write(archive.keys[one - 1], second)
        archive.write(archive.keys[other - 1], first)
        pair = [(archive.keys[number - 1], "swapped") for number in (one, other)]
        assert archive.found() == pair
        archive.write(archive.keys[one - 1], first)
        archive.write(archive.keys[other - 1], second)


def test_a_tail_that_was_cut_shows_when_a_heartbeat_is_overdue(archive: Archive) -> None:
    archive.path(9).unlink()
    archive.path(8).unlink()
    # Until then nothing but the node itself knows that there was more.
    assert archive.found(nodes=["n1"]) == []
    (flaw,) = archive.verify(nodes=["n1"], later_s=DAY).flaws
    assert (flaw.object, flaw.check) == (archive.keys[6], "cut")
    assert flaw.begin_s is not None
    overdue_s = flaw.begin_s + 30 * 3600 - archive.now_s
    assert archive.found(nodes=["n1"], later_s=overdue_s) == []
    assert archive.found(nodes=["n1"], later_s=overdue_s + 1) == [(archive.keys[6], "cut")]


def test_an_object_that_was_made_anew_with_other_lines(archive: Archive) -> None:
    chunk = archive.chunk(5)
    pieces = [(stretch, data.replace(b"-0.580", b"-0.001")) for stretch, data in chunk.pieces()]
    archive.write(archive.keys[4], pack(chunk.header, pieces))
    assert archive.found() == [(archive.keys[4], "chain")]


def test_an_object_of_another_node(archive: Archive) -> None:
    (theirs, *_) = FolderStore(f"file://{archive.root}").keys("v1/n2/")
    archive.write(archive.keys[0], (archive.root / theirs).read_bytes())
    assert archive.found() == [(archive.keys[0], "swapped")]


def test_an_object_that_stands_there_twice(archive: Archive) -> None:
    chunk = archive.chunk(4)
    body = pack({**chunk.header, "writer": "another"}, chunk.pieces())
    archive.write(key_of("n1", chunk.header["day"], 4, unpack(body, "x").sha256), body)
    assert archive.found() == [(archive.keys[3], "double")]


def test_a_chunk_with_the_same_bytes_under_both_of_its_keys_is_one(archive: Archive) -> None:
    before, chunk = archive.verify(), archive.chunk(4)
    body = archive.path(4).read_bytes()
    archive.write(key_of("n1", chunk.header["day"], 4, chunk.sha256), body)
    found = archive.verify()
    assert (found.flaws, found.objects, found.lines) == ([], before.objects, before.lines)
    other = key_of("n1", chunk.header["day"], 4, "0" * 64)
    archive.write(other, body)
    assert (other, "swapped") in archive.found()


def test_what_is_no_chunk_is_foreign(archive: Archive) -> None:
    archive.write("v1/n1/2026/note.txt", b"hello")
    archive.write("v1/n1/2026/11/22/0000000001.zst.bak", b"hello")
    names = ["v1/n1/2026/11/22/0000000001.zst.bak", "v1/n1/2026/note.txt"]
    assert archive.found() == [(name, "foreign") for name in names]


def test_what_is_beside_the_nodes_is_foreign(archive: Archive) -> None:
    names = ["lost", "other/", "v1/evil.zst"]
    (archive.root / "other/deep").mkdir(parents=True)
    (archive.root / "lost+found").mkdir()
    for name in ("lost", "other/deep/a", "other/deep/b", "v1/evil.zst"):
        archive.write(name, b"hello")
    assert archive.found() == [(name, "foreign") for name in names]
    # Who asks for one node hears of that one.
    assert archive.found(nodes=["n1"]) == []


def test_a_folder_that_is_no_archive_is_not_full_of_foreign_objects(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(SourceError, match="no node"):
        verify(FolderStore(f"file://{tmp_path}"), now_s=0)


def test_what_is_no_file_is_not_waited_for(archive: Archive) -> None:
    archive.path(3).unlink()
    os.mkfifo(archive.path(3))
    assert archive.found() == [(archive.keys[2], "damaged")]


def test_a_node_without_any_chunk_is_missing(archive: Archive) -> None:
    shutil.rmtree(archive.root / "v1/n2")
    (archive.root / "v1/n2").mkdir()
    assert archive.found() == [("v1/n2/", "missing")]
    assert archive.found(nodes=["n1", "n3"]) == [("v1/n3/", "missing")]


def _as_if_conditions_were_ignored(archive: Archive, *, unique: bool) -> None:
    previous = None
    for number in range(1, 10):
        chunk, key = archive.chunk(number), archive.keys[number - 1]
        told = {"url": "s3://b", "conditional": "unknown" if number == 1 else "ignored"}
        body = pack({**chunk.header, "store": told, "previous": previous}, chunk.pieces())
        previous = unpack(body, "x").sha256
        archive.path(number).unlink()
        # The first is written before that is known.
        with_hash = unique and number > 1
        archive.write(key.replace(".zst", f"-{previous[:16]}.zst") if with_hash else key, body)


def test_a_store_that_overwrites_is_said_once_a_node(archive: Archive) -> None:
    _as_if_conditions_were_ignored(archive, unique=False)
    assert archive.found() == [(archive.keys[1], "conditional")]
    assert not archive.verify().nodes[0].unique_keys


def test_where_keys_have_hashes_a_store_may_ignore_conditional_writes(archive: Archive) -> None:
    _as_if_conditions_were_ignored(archive, unique=True)
    assert archive.found() == []
    found = archive.verify().nodes[0]
    assert (found.conditional, found.unique_keys) == ("ignored", True)
    shown = CliRunner().invoke(app, ["archive", "verify", "--store", f"file://{archive.root}", "--now", NOW])
    assert "ignored, unique keys" in " ".join(shown.output.split())
    assert shown.exit_code == 0


def test_several_deeds_are_all_found(archive: Archive) -> None:
    archive.write(archive.keys[1], b"rubbish")
    archive.path(4).unlink()
    archive.path(6).unlink()
    archive.write("v1/n1/x", b"")
    assert archive.found(later_s=2 * DAY) == [
        (archive.keys[1], "damaged"),
        (archive.keys[3], "missing"),
        (archive.keys[5], "missing"),
        (archive.keys[8], "cut"),
        ("v1/n1/x", "foreign"),
        (next(reversed(list(FolderStore(f"file://{archive.root}").keys("v1/n2/")))), "cut"),
    ]


def test_only_some_nodes_or_days_may_be_asked_for(archive: Archive) -> None:
    archive.path(2).unlink()
    assert archive.found(nodes=["n2"]) == []
    later = archive.verify(since="2026/11/23")
    assert later.ok
    assert 0 < later.nodes[0].objects < 9
    # Whether it was cut is asked all the same.
    assert (archive.keys[8], "cut") in archive.found(since="2026/12/01", later_s=2 * DAY)


class _Unreadable(FolderStore):
    """A store with objects that cannot be read."""

    def __init__(self, root: Path, broken: set[str]) -> None:
        super().__init__(f"file://{root}")
        self._broken = broken

    def get(self, key: str) -> bytes:
        if key in self._broken:
            raise SourceError("the device reports a read or write error", where=key)
        return super().get(key)


def test_an_object_that_cannot_be_read_is_a_finding_and_a_store_that_is_away_is_not(made: Archive) -> None:
    broken = [*made.keys[:4], *made.keys[5:]]
    found = verify(_Unreadable(made.root, set(broken)), now_s=made.now_s, nodes=["n1"])
    assert [(flaw.object, flaw.check) for flaw in found.flaws] == [(key, "damaged") for key in broken]
    assert "read or write error" in found.flaws[0].text
    with pytest.raises(SourceError, match="read or write error"):
        verify(_Unreadable(made.root, set(made.keys)), now_s=made.now_s)


def test_how_far_it_is_goes_up_to_all_there_is(made: Archive) -> None:
    seen: list[tuple[int, int]] = []

    class Told:
        def reach(self, done: int, total: int) -> None:
            seen.append((done, total))

    made.verify(progress=Told())  # type: ignore[arg-type]
    assert [done for done, _ in seen] == list(range(1, 13))
    assert seen[0] == (1, 18)
    assert seen[-1] == (12, 12)


@pytest.mark.parametrize(
    ("created", "until"),
    [("2024-02-29T10:00:00Z", "2030-03-01 10:00"), ("2026-11-22T12:00:00.25Z", "2032-11-22 12:00")],
)
def test_years_are_those_of_the_calendar(created: str, until: str) -> None:
    promised = promised_until({"created": created, "retention": {"mode": "COMPLIANCE", "years": 6}})
    assert promised is not None
    assert (promised[0], f"{datetime.fromtimestamp(promised[1], UTC):%Y-%m-%d %H:%M}") == (
        "COMPLIANCE",
        until,
    )


@pytest.mark.parametrize("told", [None, "6", {}, {"years": "6"}, {"years": 9000}])
def test_a_promise_that_is_none_is_not_judged(told: object) -> None:
    assert promised_until({"created": "2024-02-29T10:00:00Z", "retention": told}) is None


# ---- the command ------------------------------------------------------------------------------------------


def tickline(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["archive", "verify", *map(str, arguments)])


@pytest.fixture
def url(archive: Archive) -> str:
    return f"file://{archive.root}"


def test_the_command_says_that_all_is_well(url: str) -> None:
    done = tickline("--store", url, "--now", NOW)
    assert done.exit_code == 0, done.output
    assert f"in {url}: all is as it was written." in done.output
    assert tickline("--store", url, "--now", NOW, "--quiet").output == ""


def test_the_command_names_what_it_found_and_ends_with_1(url: str, archive: Archive) -> None:
    archive.path(5).unlink()
    done = tickline("--store", url, "--now", NOW, "--quiet")
    assert done.exit_code == 1
    assert done.output.startswith(f"{archive.keys[4]}: missing: chunk 5 is missing, and with it ")
    assert tickline("--store", url, "--now", NOW, "--node", "n2").exit_code == 0


def test_the_command_prints_json(url: str, archive: Archive) -> None:
    clean = json.loads(tickline("--store", url, "--now", NOW, "--json").output)
    assert clean == {"ok": True, "objects": 12, "lines": clean["lines"], "findings": []}
    archive.write(archive.keys[2], b"")
    done = tickline("--store", url, "--now", NOW, "--json")
    found = json.loads(done.output)
    assert (done.exit_code, found["ok"], found["objects"]) == (1, False, 12)
    assert [(item["object"], item["check"]) for item in found["findings"]] == [(archive.keys[2], "damaged")]
    assert set(found["findings"][0]) == {"object", "check", "text"}


def test_the_command_reads_the_configuration_too(url: str, tmp_path: Path) -> None:
    toml = tmp_path / "archive.toml"
    toml.write_text(f'node = "n1"\nlogs = ["/log"]\nstate = "/state"\nstore = "{url}"\n')
    assert tickline("--config", toml, "--now", NOW).exit_code == 0
    assert tickline("--config", toml, "--store", url).exit_code == 2
    assert tickline().exit_code == 2


def test_an_archive_that_is_not_there_is_no_archive_that_is_well(tmp_path: Path) -> None:
    done = tickline("--store", f"file://{tmp_path}/nothing")
    assert (done.exit_code, "there is no node in it" in done.output) == (1, True)


@pytest.mark.parametrize("option", ["--now", "--from"])
def test_a_day_that_is_none_is_wrong_usage(url: str, option: str) -> None:
    done = tickline("--store", url, option, "yesterday")
    assert (done.exit_code, option in done.output) == (2, True)


def test_names_that_others_gave_are_no_markup_and_no_control_characters(url: str, archive: Archive) -> None:
    archive.write("v1/n1/[red]\x1b[31mx", b"")
    (archive.root / "v1/[bold]n9").mkdir()
    done = tickline("--store", url, "--now", NOW)
    assert "v1/n1/[red]\\x1b[31mx: foreign: " in done.output
    assert "[bold]n9" in done.output
    assert "\x1b" not in done.output
