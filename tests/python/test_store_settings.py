"""What a store is made with holds for ever; damaged, foreign, newer and older ones are told apart."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from python.access_support import log
from python.ingest_support import everything, rows, take
from tickline.errors import TicklineError, UsageError
from tickline.filters import AccessRules
from tickline.store import folder as folder_module
from tickline.store import ledger as ledger_module
from tickline.store import ledger_schema, settings
from tickline.store.folder import StoreFolder
from tickline.store.settings import Settings, WantedSettings, read_settings, write_settings

pytest.importorskip("pyarrow")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return a folder with one log."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/a.log").write_bytes(log(0, 10))
    return tmp_path / "raw"


@pytest.fixture
def store(tmp_path: Path, raw: Path) -> Path:
    """Return a store with one source."""
    take(tmp_path / "store", raw)
    return tmp_path / "store"


def _refused(store: Path, raw: Path, **options: Any) -> str:
    """Return the sentence of a refusal, which changes nothing."""
    before = {
        path: path.read_bytes() for path in store.rglob("*") if path.is_file() and "sqlite-" not in path.name
    }
    with pytest.raises(TicklineError) as refused:
        take(store, raw, **options)
    for path, data in before.items():
        assert path.read_bytes() == data, path
    return str(refused.value)


DIFFERENT: dict[str, tuple[str, dict[str, Any]]] = {
    "operations": ("--operation", {"operations": ("REST.HEAD.OBJECT",)}),
    "all operations": ("--operation", {"operations": "all"}),
    "statuses": ("--status", {"statuses": (200,)}),
    "all statuses": ("--status", {"statuses": "all"}),
    "keys": ("--keys", {"keys": (("blobs", 0),)}),
    "networks": ("--exclude-ip", {"exclude_networks": ("198.51.100.0/24",)}),
    "expression": ("--exclude-ip-regex", {"exclude_ip_regex": "^203[.]0[.]113"}),
    "addresses": ("--no-addresses", {"addresses": False}),
    "repeats": ("--dedupe-lines", {"dedupe_lines": True}),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_an_option_that_changes_the_meaning_is_refused(store: Path, raw: Path, what: str) -> None:
    option, wanted = DIFFERENT[what]
    sentence = _refused(store, raw, wanted=WantedSettings(**wanted))
    assert option in sentence
    assert "cannot be changed later" in sentence
    assert "198.51.100" not in sentence
    assert "203" not in sentence


@pytest.mark.parametrize("what", DIFFERENT)
def test_the_same_option_again_is_welcome(tmp_path: Path, raw: Path, what: str) -> None:
    wanted = WantedSettings(**DIFFERENT[what][1])
    for _ in range(2):
        assert not take(tmp_path / "store", raw, wanted=wanted).problems
    assert not take(tmp_path / "store", raw).problems, "nothing said: what it was made with"
    back = WantedSettings(statuses=(404,))
    assert "--status" in _refused(tmp_path / "store", raw, wanted=back)


def test_order_and_repeats_of_a_list_do_not_matter(tmp_path: Path, raw: Path) -> None:
    first = WantedSettings(operations=("B.A.X", "A.A.X", "B.A.X"), exclude_networks=("10.0.0.0/8", "::/64"))
    second = WantedSettings(operations=("A.A.X", "B.A.X"), exclude_networks=("::/64", "10.0.0.0/8"))
    take(tmp_path / "store", raw, wanted=first)
    assert not take(tmp_path / "store", raw, wanted=second).problems


def test_the_defaults_are_those_of_reduce() -> None:
    made = Settings.create(WantedSettings(), "0" * 16)
    assert made.rules() == AccessRules.from_texts(operation="REST.GET.OBJECT", status="2xx")
    assert (
        Settings.create(WantedSettings(operations="all", statuses="all", keys="all"), "").rules()
        == AccessRules()
    )


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    nasty = 'a"b\\c\x7f\n\u2028ü'
    made = Settings.create(
        WantedSettings(
            operations=(nasty, "REST.GET.OBJECT"),
            statuses=(200, 299, *range(400, 500)),
            keys=(("blobs", 0), (nasty, 2)),
            exclude_networks=("192.0.2.0/24",),
            exclude_ip_regex=nasty,
            addresses=False,
            dedupe_lines=True,
        ),
        "0123456789abcdef",
    )
    write_settings(tmp_path, made)
    assert read_settings(tmp_path) == made
    assert "192.0.2" not in str(made.as_json())


# ---- versions ----------------------------------------------------------------------------------------------


def test_a_store_of_a_newer_format_is_refused(store: Path, raw: Path) -> None:
    text = (store / "store.toml").read_text()
    (store / "store.toml").write_text(text.replace(f"format = {settings.FORMAT}", "format = 7"))
    sentence = _refused(store, raw)
    assert "format 7" in sentence
    assert "Update tickline" in sentence


def test_a_ledger_of_a_newer_format_is_refused(store: Path, raw: Path) -> None:
    with sqlite3.connect(store / "ledger.sqlite") as db:
        db.execute("PRAGMA user_version=7")
    db.close()
    sentence = _refused(store, raw)
    assert "format 7" in sentence
    assert "ledger.sqlite" in sentence


class _KillError(BaseException):
    """Stands for a process that ends here."""


@pytest.mark.parametrize("killed", ["", "in the step", "between ledger and settings"])
def test_an_older_store_is_brought_up_to_this_format(
    store: Path, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    before = everything(store)
    stop = {killed}

    def step(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE sources ADD COLUMN more TEXT")
        if "in the step" in stop:
            raise _KillError
        db.execute("CREATE TABLE added(x INTEGER) STRICT")

    def write(path: Path, made: Settings) -> None:
        if "between ledger and settings" in stop:
            raise _KillError
        write_settings(path, made)

    newer = settings.FORMAT + 1
    monkeypatch.setitem(ledger_schema.MIGRATIONS, settings.FORMAT, step)
    for module in (settings, folder_module, ledger_module):
        monkeypatch.setattr(module, "FORMAT", newer)
    monkeypatch.setattr(folder_module, "write_settings", write)
    if killed:
        with pytest.raises(_KillError):
            StoreFolder.open(store)
    stop.clear()
    with StoreFolder.open(store) as folder:
        assert folder.ledger.format == folder.settings.format == newer
        assert folder.ledger.rows("SELECT count(*) FROM added")[0][0] == 0
    assert read_settings(store).format == newer
    assert rows(store) == before[0]


# ---- damage ------------------------------------------------------------------------------------------------


def test_a_ledger_of_another_store_is_refused(store: Path, raw: Path, tmp_path: Path) -> None:
    take(tmp_path / "other", raw)
    shutil.copy(tmp_path / "other/ledger.sqlite", store / "ledger.sqlite")
    assert "belongs to another store" in _refused(store, raw)


@pytest.mark.parametrize("how", ["gone", "empty", "junk", "cut", "flipped"])
def test_a_damaged_ledger_is_named(store: Path, raw: Path, how: str) -> None:
    ledger = store / "ledger.sqlite"
    data = bytearray(ledger.read_bytes())
    for left in store.glob("ledger.sqlite-*"):
        left.unlink()
    match how:
        case "gone":
            ledger.unlink()
        case "empty":
            ledger.write_bytes(b"")
        case "junk":
            ledger.write_bytes(b"junk " * 5000)
        case "cut":
            ledger.write_bytes(data[: len(data) // 2])
        case "flipped":
            data[100:140] = b"\xff" * 40
            ledger.write_bytes(data)
    sentence = _refused(store, raw) if how in ("gone", "junk") else _error(store, raw)
    assert "ledger" in sentence


def _error(store: Path, raw: Path) -> str:
    with pytest.raises(TicklineError) as refused:
        take(store, raw)
    return str(refused.value)


BROKEN = [
    "",
    "format = 'x'",
    "format = true",
    "format = 0",
    "format = 1",
    "\x00\xff",
    "[" * 5000,
    'format = 1\nstore_id = "0"\nfilter = 3',
]
EDITS = [
    ("addresses = true", "addresses = 1"),
    ('operations = ["REST.GET.OBJECT"]', 'operations = "REST"'),
    ('operations = ["REST.GET.OBJECT"]', "operations = [1]"),
    ('statuses = ["2xx"]', 'statuses = ["x"]'),
    ('statuses = ["2xx"]', "statuses = 200"),
    ('keys = "all"', "keys = [1]"),
    ("exclude_networks = []", 'exclude_networks = "192.0.2.0/24"'),
    ("exclude_networks = []", "exclude_networks = []\nexclude_ip_regex = 1"),
    ("exclude_networks = []", ""),
]


@pytest.mark.parametrize("text", BROKEN)
def test_settings_that_cannot_be_understood_are_named(store: Path, raw: Path, text: str) -> None:
    (store / "store.toml").write_text(text, encoding="latin-1")
    assert "store.toml" in _refused(store, raw)


@pytest.mark.parametrize(("old", "new"), EDITS)
def test_edited_settings_are_named(store: Path, raw: Path, old: str, new: str) -> None:
    text = (store / "store.toml").read_text()
    assert old in text
    (store / "store.toml").write_text(text.replace(old, new))
    assert "store.toml" in _refused(store, raw)


# ---- places ------------------------------------------------------------------------------------------------


def test_an_empty_folder_becomes_a_store(tmp_path: Path, raw: Path) -> None:
    (tmp_path / "store").mkdir()
    assert not take(tmp_path / "store", raw).problems


def test_a_folder_with_something_else_is_refused(tmp_path: Path, raw: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/notes.txt").write_text("mine")
    assert "something else" in _refused(tmp_path / "store", raw)
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["notes.txt"]


def test_a_file_is_no_store(tmp_path: Path, raw: Path) -> None:
    (tmp_path / "store").write_text("mine")
    assert _error(tmp_path / "store", raw)
    assert _error(tmp_path / "store/below", raw)
    assert (tmp_path / "store").read_text() == "mine"


def test_a_folder_that_is_no_store_cannot_be_opened(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError, match="is no access store"):
            StoreFolder.open(place)
    assert not (tmp_path / "absent").exists()


LEFT = [
    "lock",
    ".tickline-tmp-0123456789abcdef",
    "ledger.sqlite",
    "ledger.sqlite-journal",
    "ledger.sqlite-wal",
]


@pytest.mark.parametrize("left", LEFT)
def test_what_a_killed_creation_left_is_no_obstacle(tmp_path: Path, raw: Path, left: str) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / left).write_bytes(b"half" if "sqlite" in left else b"")
    assert not take(tmp_path / "store", raw).problems
    assert len(everything(tmp_path / "store")[0]) == 10
    assert not list((tmp_path / "store").glob(".tickline-tmp-*"))


def test_two_writers_at_once_are_refused(store: Path, raw: Path) -> None:
    with StoreFolder.open(store) as folder, folder.writing():
        sentence = _error(store, raw)
        assert f"process {os.getpid()}" in sentence
        assert len(rows(store)) == 10, "reading is possible"
    assert not take(store, raw).problems


def test_the_lock_of_a_dead_writer_is_none(store: Path, raw: Path) -> None:
    (store / "lock").write_text("99999\n")
    with (store / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert not take(store, raw).problems


def test_a_store_that_may_not_be_written_to_is_named(
    store: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refusing(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if Path(path) == store / "lock" and flags & os.O_RDWR:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", refusing)
    assert "read-only" in _error(store, raw)
    assert len(rows(store)) == 10, "reading is possible"


MOMENTS = ["load_key", "key_id", "Ledger", "write_settings"]


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", MOMENTS)
def test_a_creation_that_was_interrupted_is_done_again(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch, name: str, late: bool
) -> None:
    original = getattr(folder_module, name)

    def killed(*arguments: Any, **more: Any) -> Any:
        if late:
            made = original(*arguments, **more)
            if hasattr(made, "close"):
                made.close()
        raise _KillError

    with monkeypatch.context() as patch:
        patch.setattr(folder_module, name, killed)
        with pytest.raises(_KillError):
            take(tmp_path / "store", raw)
    assert not take(tmp_path / "store", raw).problems
    assert len(everything(tmp_path / "store")[0]) == 10
