"""The invented catalog: which datasets hold which contents of the generated logs, and under which paths.

Every blob and every Zarr store belongs to no dataset (3 %), to one, or to two to four of them (5 %). A
few keys outside of them are found by the key itself, by a prefix and by globs.
"""

from __future__ import annotations

import fnmatch
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import numpy as np

from .archive import Keys
from .draws import Zipf, draw, stream_key
from .files import WholeFile

__all__ = ["DATASETS", "FILES", "UNDETERMINED", "Catalog", "Owner"]

FILES = ("catalog.tsv", "catalog.json.gz")
UNDETERMINED = "undetermined"
# In the order of their popularity. Names are data: these leave a folder, collide where case or `%` is lost,
# are called as a folder of the export is, or are longer than a file's name may be.
_AWKWARD = (
    "with space",
    "lab/session",
    "lab%2Fsession",
    "..",
    "Twin",
    "twin",
    "archive",
    "long-" + "n" * 295,
    "日本語-データ",
)
DATASETS = (*(f"{12 + 37 * n:06d}" for n in range(30)), *_AWKWARD)

_CHUNK = 65_536
# One content of 33 has no owner, one of 20 has several, one of 40 takes the place of an earlier one under its
# path, one of 50 has an awkward path. Fixed places instead of draws: small logs have them all, too.
_NO_OWNER = (33, 5)
_SHARED = (20, 7)
_SAME_PATH = (40, 11)
_ODD_PATH = (50, 17)
_FILES_BY_KIND = (
    *("ecephys.nwb",) * 8,
    "behavior+ophys.nwb",
    "image.NWB",
    "sample-1_stain-NN_SPIM.ome.tiff",
    "dwi.nii.gz",
    "dwi.bval",
    "video.mp4",
    "video.AVI",
    "events.json",
    "coordsystem.json",
    "scans.tsv",
)
_ODD_PATHS = (
    "../outside-{0}.nwb",
    "/absolute/{0}.nwb",
    "sub-{0}//double.nwb",
    "sub {0}/with blank & 'quotes\".json",
    "=1+{0}.csv",
    "sub-ü/Größe-{0}.ome.tiff",
    "sub-{0}/" + "n" * 300 + ".mp4",
    "sub-{0}%2Fescaped%20.nwb",
    "{0}",
    "-{0}/.hidden",
)
_ZARR_PATHS = ("stain.ome.zarr", "lfp.zarr", "a.b.zarr", "pieces.zarr/")


class Owner(NamedTuple):
    """One line of the catalog but for its key."""

    dataset: str
    version: str
    path: str


# Keys that dirty lines bring, as they are once decoded: one by its name, the others by prefix and globs. What
# no pattern meets here, belongs to nobody.
_OTHER_KEYS = {
    "blobs/000/000/shared-readme": [Owner(DATASETS[0], "draft", "README.md"), Owner("twin", "", "README.md")],
    "derivatives/a%20b+c/": [Owner(DATASETS[1], "draft", "derivatives/")],
    "derivatives/x=*": [Owner("with space", "", "tables/success.csv")],
    "derivatives/sub-[*]_ses-?.nwb": [Owner("..", "draft", "derivatives/sessions.nwb")],
}


class _Paths:
    """Hands out asset paths; none twice in a dataset unless it is meant."""

    def __init__(self) -> None:
        self._count = dict.fromkeys(DATASETS, 0)
        self._last: dict[str, str] = {}

    def next(self, dataset: str, bits: int, number: int, zarr: bool) -> str:
        """Return the path of the content `number` in a dataset."""
        turn = self._count[dataset]
        self._count[dataset] += 1
        if not zarr and number % _ODD_PATH[0] == _ODD_PATH[1]:
            return _ODD_PATHS[number // _ODD_PATH[0] % len(_ODD_PATHS)].format(turn)
        if not zarr and number % _SAME_PATH[0] == _SAME_PATH[1] and dataset in self._last:
            return self._last[dataset]
        subject = f"sub-{turn // 6 + 1:02d}"
        kind = _ZARR_PATHS[number % len(_ZARR_PATHS)] if zarr else _FILES_BY_KIND[bits % len(_FILES_BY_KIND)]
        path = f"{subject}/{subject}_ses-{turn % 6 + 1:02d}_{kind}"
        if not zarr:
            self._last[dataset] = path
        return path


class Catalog:
    """Owners by key pattern, in the order of the files.

    Parameters
    ----------
    seed : int
        The seed of the logs.
    keys : int
        The number of keys in them.
    """

    def __init__(self, seed: int, keys: int) -> None:
        self.entries: dict[str, list[Owner]] = {}
        self._popular = Zipf(len(DATASETS))
        self._stream = stream_key(seed, "catalog")
        self._paths = _Paths()
        self._turn = 0
        texts = Keys(seed)
        ids = np.arange(keys, dtype=np.uint64)
        blobs = ids[~texts.in_zarr(ids)]
        stores = np.unique(texts.content(ids[texts.in_zarr(ids)]))
        for zarr, contents in ((False, blobs), (True, stores)):
            for begin in range(0, len(contents), _CHUNK):
                self._add(texts, contents[begin : begin + _CHUNK], begin, zarr)
        self.entries.update(_OTHER_KEYS)
        self._prefixes = sorted((name for name in self.entries if name.endswith("/")), key=len, reverse=True)
        self._globs = [name for name in self.entries if any(sign in name for sign in "*?[")]

    def _add(self, texts: Keys, contents: np.ndarray, first: int, zarr: bool) -> None:
        draws = draw(self._stream, contents)
        ranks = self._popular.pick(draws).tolist()
        names = [row.tobytes().decode() for row in texts.uuid(contents)]
        rows = zip(names, ranks, draws.tolist(), strict=True)
        for number, (name, rank, bits) in enumerate(rows, start=first):
            if number % _NO_OWNER[0] == _NO_OWNER[1]:
                continue
            # The most popular contents go around once, so that every dataset is asked for.
            dataset = self._turn if self._turn < len(DATASETS) else rank
            self._turn += 1
            count = 2 + bits % 3 if number % _SHARED[0] == _SHARED[1] else 1
            version = ("draft", "0.240115.1200", "0.240201.0930", "")[bits >> 8 & 3]
            several = [DATASETS[(dataset + 7 * more) % len(DATASETS)] for more in range(count)]
            self.entries[name] = [
                Owner(owner, version, self._paths.next(owner, bits >> 16, number, zarr)) for owner in several
            ]

    def __iter__(self) -> Iterator[tuple[str, Owner]]:
        """Yield the lines of the catalog."""
        return ((key, owner) for key, owners in self.entries.items() for owner in owners)

    def owners(self, key: bytes) -> list[tuple[str, str]]:
        """Return dataset and asset path of a key as it was logged, for every dataset that holds it."""
        try:
            text = unquote_to_bytes(key).decode()
        except UnicodeDecodeError:
            text = key.decode("utf-8", "replace")
        entry, rest = self._find(text)
        if entry is None:
            return [(UNDETERMINED, text)]
        return [
            (owner.dataset, owner.path + rest if owner.path.endswith("/") else owner.path)
            for owner in self.entries[entry]
        ]

    def _find(self, key: str) -> tuple[str | None, str]:
        if key in self.entries:
            return key, ""
        parts = key.split("/")
        for at in range(len(parts) - 1, -1, -1):
            if parts[at] in self.entries:
                return parts[at], "/".join(parts[at + 1 :])
        for prefix in self._prefixes:
            if key.startswith(prefix):
                return prefix, key.removeprefix(prefix)
        for glob in self._globs:
            if fnmatch.fnmatchcase(key, glob):
                return glob, ""
        return None, ""

    def write(self, out: Path) -> None:
        """Write both forms of the catalog, `FILES`, below `out`."""
        with WholeFile(out / FILES[0]) as file:
            file.write(b"key\tdataset\tversion\tpath\n")
            for key, owner in self:
                file.write(f"{key}\t{owner.dataset}\t{owner.version}\t{owner.path}\n".encode())
        # No name and no time in the header, so that the same catalog gives the same bytes.
        with (
            WholeFile(out / FILES[1]) as file,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed,
        ):
            comma = b"{\n"
            for key, owners in self.entries.items():
                paths = {owner.dataset: owner.path for owner in owners}
                packed.write(b"%s%s: %s" % (comma, json.dumps(key).encode(), json.dumps(paths).encode()))
                comma = b",\n"
            packed.write(b"\n}\n")
