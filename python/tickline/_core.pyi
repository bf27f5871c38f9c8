"""The compiled core: batches in, batches out. The public faces are `tickline.access` and its neighbours."""

from collections.abc import Sequence
from typing import Any, TypedDict, final, type_check_only

from typing_extensions import Buffer as AnyBuffer

__version__: str
COLUMNS: tuple[str, ...]

def cpu_level() -> str: ...
def access_schema(columns: Sequence[str]) -> Schema: ...
def empty_batch(schema: Schema) -> Batch: ...
def batch_from_columns(columns: Sequence[tuple[str, str, object]]) -> Batch: ...
def stream_capsule(columns: Schema | Sequence[str], batches: Sequence[Batch]) -> Any: ...
def schema_capsule(columns: Schema | Sequence[str]) -> Any: ...

# (format, length, null count, validity, values or offsets, text, dictionary)
@type_check_only
class ColumnBuffers(tuple[str, int, int, Any, Any, Any, Any]): ...

@type_check_only
class Counts(TypedDict):
    lines: int
    bytes: int
    accepted: int
    filtered: dict[str, int]
    rejected: dict[str, int]
    noted: dict[str, int]

@type_check_only
class Rejects(TypedDict):
    line: bytes
    offset: bytes
    length: bytes
    reason: list[str]
    text: list[bytes] | None

@final
class AccessFilter:
    def __init__(
        self,
        *,
        operations: Sequence[str] | None = None,
        statuses: Sequence[int] | None = None,
        key_rules: Sequence[tuple[str, int]] | None = None,
        exclude_networks: Sequence[str] = (),
        exclude_pattern: object | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        exclude_years: Sequence[int] = (),
        strict: bool = False,
    ) -> None: ...

@final
class AccessScan:
    def __init__(
        self,
        columns: Sequence[str],
        filter: AccessFilter,
        *,
        output: str = "columns",
        level: str | None = None,
        max_line_bytes: int = 16777216,
        keep_rejects: bool = False,
        reject_text: bool = False,
    ) -> None: ...
    def read(self, fd: int, begin: int, end: int, max_rows: int = 2147483647) -> int: ...
    def feed(self, data: AnyBuffer) -> None: ...
    def finish(self) -> None: ...
    def restart(self) -> None: ...
    @property
    def pending_rows(self) -> int: ...
    @property
    def batch_full(self) -> bool: ...
    def take_batch(self) -> Batch: ...
    def take_tsv(self) -> bytes: ...
    def counts(self) -> Counts: ...
    def take_rejects(self) -> Rejects: ...

class Buffer:
    def __buffer__(self, flags: int, /) -> memoryview: ...

class Schema:
    @property
    def names(self) -> tuple[str, ...]: ...
    def __arrow_c_schema__(self) -> Any: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

class Batch:
    @property
    def num_rows(self) -> int: ...
    @property
    def num_columns(self) -> int: ...
    @property
    def schema(self) -> Schema: ...
    def column_buffers(self, index: int) -> ColumnBuffers: ...
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[Any, Any]: ...
    def __arrow_c_schema__(self) -> Any: ...
