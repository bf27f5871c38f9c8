"""Everything that commands leave of logs with addresses that stand nowhere else."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
import zstandard
from typer.testing import CliRunner

from python.access_support import line
from python.address_search_support import Search
from python.http_support import Answer, Request, http_server, ok_json, status
from tickline.cli import app
from tickline.store.pseudonyms import canonical

SALT = "03cfd743661f07975fa2f1220c5194cbaff48451"
FOURS = [f"81.203.{number + 17}.{11 + number * 7}" for number in range(30)]
SIXES = [
    "2a0b:4c07:1::19", "2A0B:4C07:0002:0:0:0:0:2A", "2a0b:4c07:0003:0000:0000:0000:00ab:003b",
    "2a0b:4c07:4::", "::ffff:81.203.177.99", "::FFFF:51CB:B263", "0:0:0:0:0:ffff:81.203.179.43",
]  # fmt: skip
BOGON = "10.99.188.177"
REFUSED = ["81.204.31.77", "81.204.32.78", "81.204.33.79", "2a0b:4c08::77"]
"""Stand in lines, logs and tables that are refused, and nowhere else."""
ADDRESSES = [*FOURS, *SIXES, BOGON, *REFUSED]
_HEAD = "timestamp\tip_address\tobject_key\tbytes_sent\n2024-05-01T00:00:00\t"
KEYS = [f"blobs/{number:03x}/abc/{number:03x}abc00-0000-4000-8000-000000000000" for number in range(4)]


@dataclass
class World:
    """What the commands left: `open` must hold no address, `hidden` may."""

    base: Path
    words: list[str] = field(default_factory=list)

    @property
    def open(self) -> Path:
        return self.base / "open"

    @property
    def store(self) -> Path:
        return self.open / "store"

    @property
    def private(self) -> Path:
        return self.store / "private"

    def found(self, search: Search) -> dict[str, set[str]]:
        return search.below(self.open, without=[self.private])

    def run(self, *arguments: object, code: int = 0) -> str:
        """Run `tickline access ...`, and keep what it says."""
        done = CliRunner().invoke(app, ["access", *map(str, arguments)])
        text = f"{done.stdout}\n{done.stderr}\n{done.exception!r}\n"
        self.words.append(text)
        assert done.exit_code == code, (arguments, text)
        return done.stdout


def _lines(day: int, addresses: Sequence[str]) -> bytes:
    return b"".join(
        line(
            number, ip=address, key=KEYS[number % 4], time=f"{day:02}/May/2024:01:02:{number % 60:02}"
        ).encode() + b"\n"
        for number, address in enumerate(addresses)
    )  # fmt: skip


def _refused_lines() -> bytes:
    whole = line(1, ip=REFUSED[0])
    cut = whole[: whole.index("REQUEST") + 3]
    late = line(2, ip=REFUSED[3], time="31/Feb/2024:00:00:00")
    return f"{cut}\n{late}\n{whole[: whole.index(' 200 ')]}{line(3, ip=REFUSED[0])}\n".encode()


def _write_logs(raw: Path) -> None:
    for day in (1, 2, 3):
        (raw / "2024/05").mkdir(parents=True, exist_ok=True)
        there = [*FOURS, *SIXES, BOGON, "-", *FOURS[day:]]
        data = _lines(day, there) + (_refused_lines() if day == 2 else b"")
        packed = {1: data, 2: gzip.compress(data), 3: zstandard.ZstdCompressor().compress(data)}[day]
        (raw / f"2024/05/{day:02}.log{('', '.gz', '.zst')[day - 1]}").write_bytes(packed)


def _damaged(folder: Path) -> dict[str, Path]:
    """Write a log, tables and caches that are refused as a whole."""
    folder.mkdir()
    first, second, third, _ = REFUSED
    files = {
        "log": gzip.compress(_lines(4, [first, second] * 50))[:-20],
        "wide.tsv": f"{_HEAD}{third}\tb\n".encode(),
        "bytes.tsv": f"{_HEAD}{third}\xff\tb\t1\n".encode("latin-1"),
        "reduced.tsv": f"{_HEAD}{third}\tb\tx\n".encode(),
        "cut.yaml": f"{first}: DE\n{second}: F".encode(),
        "nested.yaml": f"{first}: DE\n{second}: [F, {third}]\n".encode(),
        "mixed.yaml": f"{first}: DE\n{hashlib.sha1(b'x').hexdigest()}: FR\n".encode(),
        "later.yaml": f"192.0.2.0/24 DE\n{second}: FR\n".encode(),
        "quoted.csv": f'"192.0.2.0/24",DE\n"{second}",FR\n'.encode(),
        "comma.csv": f"{second},FR\n".encode(),
        "blank.yaml": f"{first} : DE\n{second}: FR\n".encode(),
        "other.yaml": "".join(f"{salted(one, '00ff')}: DE\n" for one in FOURS).encode(),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "log").rename(folder / "damaged.log.gz")
    return {name: folder / name for name in files}


def salted(address: str, salt: str = SALT) -> str:
    return hashlib.sha1(address.encode() + bytes.fromhex(salt)).hexdigest()


def _ipinfo(country: str) -> Callable[[Request], Answer]:
    return lambda request: ok_json({one: {"ip": one, "country": country} for one in request.json})


def make_world(world: World, patch: pytest.MonkeyPatch) -> None:
    base, store, out = world.base, world.store, world.open / "out"
    raw, broken = base / "hidden/raw", base / "hidden/broken"
    _write_logs(raw)
    damaged = _damaged(broken)
    catalog = base / "catalog.tsv"
    rows = [f"{key}\t00010{at % 2}\tdraft\tsub/{at}.nwb" for at, key in enumerate(KEYS)]
    catalog.write_text("\n".join(["key\tdataset\tversion\tpath", *rows]) + "\n")
    (base / "list").write_text("81.203.16.0/21 Listed\n")
    cache = base / "hidden/ip_hash_to_region.yaml"
    cache.write_text(yaml.dump({salted(one): f"DE/{at % 2}" for at, one in enumerate(FOURS[12:20])}))
    plain = base / "hidden/ip_to_region.yaml"
    plain.write_text(yaml.dump(dict.fromkeys([FOURS[20], canonical(SIXES[1])], "SE")))
    sources = ["--source", base / "list", "--source", cache, "--source", plain, "--source", "ipinfo"]
    here = ("--store", store)

    world.run("ingest", raw / "2024/05/01.log", *here, "--settle", 0)
    # The ledger is in use while all of this goes on: what was written to its WAL stays there.
    with sqlite3.connect(store / "ledger.sqlite") as reader, http_server({"/batch": [_ipinfo("FR")]}) as web:
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        patch.setattr("ipinfo.handler.API_URL", web.url)
        quote = status(401, " ".join(FOURS + SIXES).encode())
        web.scripts["/batch"] = [_ipinfo("FR"), quote]
        update = ("regions", "update", *here, *sources, "--address-hash", "sha1-salted")
        world.run(*update, "--ipinfo-limit", 3, "--debug")
        world.run(*update, "--debug", code=1)
        for name in ("cut.yaml", "nested.yaml", "mixed.yaml", "later.yaml", "quoted.csv", "comma.csv"):
            world.run("regions", "update", *here, "--source", damaged[name], "--debug", code=1)
        world.run("regions", "update", *here, "--source", damaged["blank.yaml"])
        other = ("--source", damaged["other.yaml"], "--address-hash", "sha1-salted")
        world.run("regions", "update", *here, *other, "--debug", code=1)
        web.scripts["/batch"] = _ipinfo("IT")
        run = ("run", raw, *here, "--out", out / "native", "--catalog", catalog, "--settle", 0)
        world.run(*run, "--debug")
        world.run("ingest", broken, *here, "--json", "--debug", code=1)
        world.run("ingest", broken, *here, "--from", "reduced", "--debug", code=1)
        _export_all(world, catalog)
        web.scripts["/batch"] = _ipinfo("ES")
        cache.write_text(yaml.dump({salted(one): "AT" for one in FOURS[12:20]}))
        world.run(*update, "--relabel")
        assert json.loads(world.run("regions", "refresh", *here, "--cycle-days", 1, "--json"))["changed"] > 3
        world.run("run", raw, *here, "--out", out / "native", "--catalog", catalog, "--privacy", "fixed")
        _care(world, catalog)
        _rejects(world, raw)
        assert (store / "ledger.sqlite-wal").stat().st_size > 0
        shutil.copytree(store, base / "forgotten/store")
        shutil.copytree(store, world.open / "copy", ignore=shutil.ignore_patterns("private"))
    world.run("forget-addresses", "--store", base / "forgotten/store", "--yes", "--json")
    regions = (
        "--regions",
        base / "list",
        "--out",
        base / "forgotten/out",
        "--store",
        base / "forgotten/none",
    )
    world.run("run", raw, *regions, "--no-addresses", "--dedupe-lines", "--settle", 0, "--catalog", catalog)


def _export_all(world: World, catalog: Path) -> None:
    out = world.open / "out"
    options = ("export", "--store", world.store, "--catalog", catalog)
    for rule in ("exact", "fixed", "strict"):
        more = ("--privacy-threshold", 3) if rule == "fixed" else ()
        world.run(*options, "--out", out / f"native-{rule}", "--privacy", rule, *more)
    for profile in ("s3-log-extraction", "dandi-s3-log-parser"):
        for compat in ("strict", "fixed"):
            known = (*options, "--profile", profile, "--compat", compat)
            world.run(*known, "--out", out / f"{profile}-{compat}", "--json")
            world.run(*known, "--out", world.base / f"hidden/{profile}-{compat}", "--with-addresses")
    audit = ("privacy-audit", out / "native-exact", "--catalog", catalog, "--store", world.store)
    world.run(*audit, "--dominance", 0.01, code=1)
    world.run(*audit, "--dominance", 0.01, "--json", code=1)


def _care(world: World, catalog: Path) -> None:
    here = ("--store", world.store)
    world.run("status", *here)
    world.run("status", *here, "--json")
    views = ("by_day", "by_region", "by_asset", "daily", "accesses", "sources", "rejects", "regions")
    for form in ("tsv", "csv", "json", "parquet"):
        for view in views:
            out = world.open / f"queries/{view}.{form}"
            out.parent.mkdir(exist_ok=True)
            world.run("query", f"SELECT * FROM {view}", *here, "--out", out, "--catalog", catalog)
    for order in ("compact", "vacuum", "verify"):
        world.run(order, *here, "--json")
    world.run("vacuum", *here, "--hours", 0)
    world.run("regions", "coordinates", *here, "--out", world.open / "out/s3-log-extraction-fixed")


def _rejects(world: World, raw: Path) -> None:
    listed = world.open / "rejects.tsv"
    more = ("--accounting", world.open / "accounting.json", "--rejects", listed, "--with-text")
    world.run("reduce", raw, world.base / "hidden/reduced", *more)
    assert listed.read_text().count("\n") > 3
    world.run("rejects", "export", listed, "--out", world.open / "rejected.log", "--anonymize", "--raw", raw)
