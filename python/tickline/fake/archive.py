"""The invented archive that the generated logs speak of: its keys, clients, operations and answers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .draws import (
    I64,
    PAD,
    U8,
    U64,
    Flags,
    draw,
    hex_quads,
    quads,
    scale,
    spell,
    stream_key,
    text_table,
    weighted,
)

OWNER = b"5f1d0c7ae94b8326d7a05be3c1f29480b6e7d31f84ca2650937bd8e41fa06c9d"
BUCKET = b"open-recordings"
HOST = BUCKET + b".s3.us-west-2.amazonaws.com"

KEY_WIDTH = 52
ADDRESSES = 6000

HEX = hex_quads()
IDS = quads(b"ABCDEFGHJKMNPQRSTVWXYZ0123456789", "request ids")
BASE64 = quads(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "host ids")
VERSIONS = quads(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._", "versions")

_SIGNED = (
    b"arn:aws:iam::210987654321:user/uploader",
    b"arn:aws:iam::210987654321:user/backup-nightly",
    b"arn:aws:sts::210987654321:assumed-role/archive-writer/i-0a1b2c3d4e5f60718",
    b"arn:aws:sts::345678901234:assumed-role/lab-cluster/batch-job-0042",
    OWNER,
)
REQUESTERS = (b"-", *_SIGNED)

REFERRERS = (
    b"-",
    b"https://recordings.example.org/",
    b"https://recordings.example.org/dataset/000123/files?location=sub-01",
    b"https://viewer.example.net/neuron?url=s3%3A%2F%2Fopen-recordings%2Fzarr",
    b"https://notebooks.example.com/lab/tree/figures/plot%20traces.ipynb",
)

AGENTS = (
    b"git-annex/10.20230407-g5a2bd4f",
    b"git-annex/8.20211028-g1c76278",
    b"aws-cli/2.15.30 Python/3.11.8 Linux/5.15.0-1055-aws exe/x86_64.ubuntu.22 prompt/off command/s3.sync",
    b"Boto3/1.34.69 md/Botocore#1.34.69 ua/2.0 os/linux#6.5.0 md/arch#x86_64 lang/python#3.12.2",
    b"aiobotocore/2.12.1 Python/3.10.13 Linux/4.18.0-513.el8.x86_64 Botocore/1.34.51",
    b"python-requests/2.31.0",
    b"aiohttp/3.9.3 Python/3.11 fsspec/2024.2.0",
    b"Mozilla/5.0 (X11; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0",
    b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/122.0.0.0 Safari/537.36",
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/121.0.0.0 "
    b"Safari/537.36 Edg/121.0.0.0",
    b"Mozilla/5.0 (compatible; CorpusBot/2.1; +https://bot.example.com/about)",
    b"s5cmd/v2.2.2-48f7e59",
    b"rclone/v1.65.2",
    b"curl/8.5.0",
    b"Wget/1.21.4",
    b"MATLAB R2023b",
    b"-",
)

_PRESIGNED = (
    b"?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAEXAMPLE%i0000000%%2F20240228%%2Fus-west-2%%2Fs3%%2F"
    b"aws4_request&X-Amz-Date=20240228T0%i0000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature="
)
_SIGNATURE = b"%016x%016x%016x%016x"
PRESIGNED = tuple(
    _PRESIGNED % (n, n) + _SIGNATURE % tuple(int(v) for v in draw(n + 1, np.arange(4, dtype=np.uint64)))
    for n in range(4)
)
# A query that ends with `versionId=` is followed by the version of the key.
QUERIES = (
    b"",
    b"?versionId=",
    b"?response-content-disposition=attachment%3B%20filename%3D%22recording.nwb%22&versionId=",
    *PRESIGNED,
    b"?x-id=GetObject",
    b"?list-type=2&prefix=zarr%2F&delimiter=%2F&encoding-type=url",
    b"?list-type=2&prefix=blobs%2F5a2%2F&max-keys=1000&start-after=blobs%2F5a2%2F0ff",
    b"?versions&max-keys=100&prefix=blobs%2F",
    b"?versioning",
    b"?uploads",
    b"?partNumber=17&uploadId=Qm9yaW5nLXVwbG9hZC1pZA--",
)
WITH_VERSION = np.array([query.endswith(b"versionId=") for query in QUERIES])

STATUSES = (b"200 -", b"206 -", b"304 -", b"403 AccessDenied", b"404 NoSuchKey", b"204 -")
STATUS_CODES = np.array([int(text[:3]) for text in STATUSES])
OK, PARTIAL, UNCHANGED, DENIED, MISSING, NO_CONTENT = range(6)


class Kind(NamedTuple):
    """One sort of request: what its line says, and how often it gets which answer (parts of 256)."""

    operation: bytes
    method: bytes
    keyed: bool
    weight: int
    statuses: tuple[tuple[int, int], ...]
    queries: tuple[tuple[int, int], ...]


_READ = ((OK, 118), (PARTIAL, 104), (UNCHANGED, 12), (DENIED, 10), (MISSING, 12))
_PROBED = ((OK, 216), (DENIED, 10), (MISSING, 30))
_READ_QUERIES = ((0, 152), (1, 56), (2, 8), (3, 2), (4, 2), (5, 2), (6, 2), (7, 32))
# The first one is GET of an object; the weights share out the others (parts of 256).
KINDS = (
    Kind(b"REST.GET.OBJECT", b"GET /", True, 0, _READ, _READ_QUERIES),
    Kind(b"REST.HEAD.OBJECT", b"HEAD /", True, 110, _PROBED, ((0, 160), (1, 96))),
    Kind(b"REST.PUT.OBJECT", b"PUT /", True, 30, ((OK, 250), (DENIED, 6)), ((0, 200), (3, 56))),
    Kind(b"REST.PUT.PART", b"PUT /", True, 24, ((OK, 256),), ((13, 256),)),
    Kind(b"REST.GET.BUCKET", b"GET /", False, 50, ((OK, 240), (DENIED, 16)), ((8, 160), (9, 96))),
    Kind(b"REST.GET.BUCKETVERSIONS", b"GET /", False, 10, ((OK, 236), (DENIED, 20)), ((10, 256),)),
    Kind(b"REST.GET.VERSIONING", b"GET /", False, 6, ((OK, 256),), ((11, 256),)),
    Kind(b"REST.GET.UPLOADS", b"GET /", False, 4, ((OK, 256),), ((12, 256),)),
    Kind(b"REST.OPTIONS.PREFLIGHT", b"OPTIONS /", True, 14, ((OK, 256),), ((0, 256),)),
    Kind(b"REST.DELETE.OBJECT", b"DELETE /", True, 8, ((NO_CONTENT, 250), (DENIED, 6)), ((0, 128), (1, 128))),
)  # fmt: skip
OTHER_KINDS = np.array(weighted([(n, kind.weight) for n, kind in enumerate(KINDS) if n]))
KIND_STATUS = np.array([weighted(kind.statuses) for kind in KINDS])
KIND_QUERY = np.array([weighted(kind.queries) for kind in KINDS])
KEYED = np.array([kind.keyed for kind in KINDS])


def tails() -> tuple[bytes, ...]:
    """Return what follows the host id: unsigned (0-3), signed header (4-7) and signed query (8-11)."""
    modern = b"TLS_AES_128_GCM_SHA256"
    older = b"ECDHE-RSA-AES128-GCM-SHA256"
    path_style = b"s3.us-west-2.amazonaws.com"
    found = []
    for signed, how in ((b"-", b"-"), (b"SigV4", b"AuthHeader"), (b"SigV4", b"QueryString")):
        for cipher, tls, host, acl in (
            (modern, b"TLSv1.3", HOST, b"-"),
            (older, b"TLSv1.2", HOST, b"-"),
            (older, b"TLSv1.2", path_style, b"-"),
            (modern, b"TLSv1.3", HOST, b"Yes" if how == b"AuthHeader" else b"-"),
        ):
            found.append(b" ".join((signed, cipher, how, host, tls, b"-", acl)))
    return tuple(found)


def address(number: int) -> bytes:
    """Return the text of one of the addresses: documentation, benchmark and shared ranges only."""
    part = number // 10
    last = number % 10
    if last == 0:
        return b"2001:db8:%x:%x::%x" % (part % 7 + 1, part * 37 % 65536, part % 250 + 1)
    if last == 1 and part < 508:
        return (b"192.0.2.%i" if part % 2 else b"203.0.113.%i") % (part // 2 + 1)
    if last == 2 and part < 254:
        return b"198.51.100.%i" % (part + 1)
    if last < 6:
        return b"100.%i.%i.%i" % (64 + number * 11 % 64, number // 250, number % 250 + 1)
    return b"198.%i.%i.%i" % (18 + number % 2, number // 250, number % 250 + 1)


class Keys:
    """Keys, their versions and sizes as functions of a number, so that none needs to be stored."""

    # Parts of the order of keys: files by their first two digits, other keys, pieces by theirs.
    ORDERS = 513

    def __init__(self, seed: int) -> None:
        self._first = stream_key(seed, "key 1")
        self._second = stream_key(seed, "key 2")
        self._kind = stream_key(seed, "key kind")
        self._version_1 = stream_key(seed, "version 1")
        self._version_2 = stream_key(seed, "version 2")
        self._size = stream_key(seed, "size")

    def in_zarr(self, ids: U64) -> Flags:
        """Tell which keys are pieces of a Zarr store and not whole files: about three of ten."""
        return scale(draw(self._kind, ids), 10) < 3

    def content(self, ids: U64) -> U64:
        """Return the number of what a key belongs to: a file of its own, or the store of a piece."""
        # 256 neighbouring numbers share a Zarr store; the low bits are the place of the piece in it.
        return np.where(self.in_zarr(ids), (ids >> np.uint64(8)) | np.uint64(1 << 62), ids)

    def uuid(self, contents: U64) -> U8:
        """Write the 36 characters that name a content."""
        digits = spell(HEX, (draw(self._first, contents), draw(self._second, contents)))
        uuid = np.full((len(contents), 36), ord("-"), dtype=np.uint8)
        at = 0
        for start, length in ((0, 8), (9, 4), (14, 4), (19, 4), (24, 12)):
            uuid[:, start : start + length] = digits[:, at : at + length]
            at += length
        uuid[:, 14] = ord("4")
        return uuid

    def text(self, ids: U64) -> U8:
        """Write `blobs/abc/def/<uuid>` or `zarr/<uuid>/0/0/a/b/c`, padded to `KEY_WIDTH` bytes."""
        zarr = self.in_zarr(ids)
        uuid = self.uuid(self.content(ids))
        out = np.full((len(ids), KEY_WIDTH), PAD, dtype=np.uint8)
        out[:, 0:14] = np.frombuffer(b"blobs/___/___/", dtype=np.uint8)
        out[:, 6:9] = uuid[:, 0:3]
        out[:, 10:13] = uuid[:, 3:6]
        out[:, 14:50] = uuid
        rows = np.flatnonzero(zarr)
        if len(rows):
            local = (ids[rows] & np.uint64(255)).astype(np.int64)
            piece = np.full((len(rows), KEY_WIDTH), PAD, dtype=np.uint8)
            piece[:, 0:5] = np.frombuffer(b"zarr/", dtype=np.uint8)
            piece[:, 5:41] = uuid[rows]
            piece[:, 41:52] = _PLACES[local]
            out[rows] = piece
        return out

    def order(self, ids: U64) -> I64:
        """Return which part of the order each key lies in; the parts themselves are in order."""
        zarr = self.in_zarr(ids)
        first = ((draw(self._first, self.content(ids)) >> np.uint64(8)) & np.uint64(255)).astype(np.int64)
        return np.where(zarr, first + 257, first)

    @staticmethod
    def place(key: bytes) -> int:
        """Return the same for the text of a key."""
        if key.startswith(b"blobs/"):
            return int(key[6:8], 16)
        return 257 + int(key[5:7], 16) if key.startswith(b"zarr/") else 256

    def version(self, ids: U64) -> U8:
        """Write the 32 characters of a key's version."""
        return spell(VERSIONS, (draw(self._version_1, ids), draw(self._version_2, ids)))

    def size(self, ids: U64) -> I64:
        """Return the objects' sizes: heavy-tailed for files, up to 4 MiB for pieces of a Zarr store."""
        draws = draw(self._size, ids)
        octave = _OCTAVES[(draws >> np.uint64(56)).astype(np.int64)]
        octave = np.where(self.in_zarr(ids), np.minimum(octave, np.uint64(21)), octave)
        base = np.uint64(1) << octave
        return (base + (draws & (base - np.uint64(1)))).astype(np.int64)


_PLACES = text_table([b"/0/0/%i/%i/%i" % (n >> 7, (n >> 4) & 7, n & 15) for n in range(256)])
# Sizes by octave, in parts of 256: the median lies at about 1 MB, one file of eighty has over 4 GB.
# None has 2**36 bytes, so that sums over one batch stay exact in a float64.
_OCTAVES = np.array(
    weighted(
        [(o, 6) for o in range(8, 14)] + [(o, 14) for o in range(14, 18)] + [(o, 20) for o in range(18, 23)]
        + [(o, 9) for o in range(23, 28)] + [(o, 4) for o in range(28, 32)] + [(o, 1) for o in range(32, 35)]
    ),
    dtype=np.uint64,
)  # fmt: skip
