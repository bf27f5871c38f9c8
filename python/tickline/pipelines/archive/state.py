"""What a node knows of its archive: ``state.json``, whole or not at all, and the lock of the one run.

It is a copy of what the last acknowledged chunk says of itself, with its hash. Nothing in it decides alone: a
state that is lost is made again from the archive (`tickline.pipelines.archive.recovery`).
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.files import Folders, take_lock, write_whole
from tickline.pipelines.archive.chunk import Chunk, sha256_hex
from tickline.pipelines.archive.generations import Generation

__all__ = ["BusyError", "Position", "State", "StateFolder", "utc_text"]

_FORMAT = 1


class BusyError(TicklineError):
    """Another run of this node is at work: this one has nothing to do."""


@dataclass(slots=True)
class Position:
    """The end of the chain: behind the chunk with this number.

    Attributes
    ----------
    sha256 : str or None
        Of the chunk; None before the first.
    day : str
        Part of its key; the next one's is the same or later.
    created_s : float or None
        When it was made, by the node's clock.
    run : int
        The last run that a chunk carries.
    imports : list of (int, int)
        First and last number of each row of chunks that an import made.
    """

    seq: int = 0
    sha256: str | None = None
    day: str = ""
    created_s: float | None = None
    run: int = 0
    next_generation: int = 1
    generations: list[Generation] = field(default_factory=list)
    imports: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def behind(cls, chunk: Chunk) -> "Position":
        """Return where the chain stands behind a chunk.

        Raises
        ------
        TicklineError
            Its header does not say so.
        """
        header = chunk.header
        try:
            return cls(
                seq=_number(header["seq"]),
                sha256=chunk.sha256,
                day=str(header["day"]),
                created_s=datetime.fromisoformat(header["created"]).timestamp(),
                run=_number(header["run"]),
                next_generation=_number(header["next_generation"]),
                generations=[Generation.from_json(found) for found in header["generations"]],
                imports=[(_number(first), _number(last)) for first, last in header.get("imports", ())],
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            what = f"its header cannot be understood ({type(error).__name__}: {error})"
            raise TicklineError(what, where=f"chunk {header.get('seq')}", hint="Keep it as it is.") from error

    def imports_with(self, seq: int) -> list[tuple[int, int]]:
        """Return `imports` with the chunk of this number."""
        if self.imports and self.imports[-1][1] == seq - 1:
            return [*self.imports[:-1], (self.imports[-1][0], seq)]
        return [*self.imports, (seq, seq)]

    def as_json(self) -> dict[str, Any]:
        """Return it as it stands in the state."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        plain["generations"] = [generation.as_json() for generation in self.generations]
        return plain

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Position":
        """Read `as_json`."""
        generations = [Generation.from_json(item) for item in found["generations"]]
        imports = [(first, last) for first, last in found.get("imports", ())]
        return cls(**{**found, "generations": generations, "imports": imports})


@dataclass(slots=True)
class State:
    """What is kept between two runs.

    Attributes
    ----------
    store : str
        The store that `conditional` was found out about: its URL, and the endpoint if archive.toml names one.
    conditional : str
        Whether it honours conditional writes: ``"unknown"``, ``"honoured"``, ``"ignored"``.
    """

    node: str
    store: str
    conditional: str = "unknown"
    position: Position = field(default_factory=Position)


class StateFolder:
    """The folder named by ``state`` in archive.toml."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scratch = path / "scratch"
        self._file = path / "state.json"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one run of this node; the lock ends with the process, however that ends.

        Raises
        ------
        BusyError
            Another run holds it.
        """
        folders = Folders()
        try:
            folders.make(self.scratch)
            folders.sync()
            descriptor = take_lock(self.path / "lock", 0o600)
        except BlockingIOError as error:
            what = "another run of this node is at work"
            raise BusyError(what, where=str(self.path), hint="It does what this one would do.") from error
        except OSError as error:
            raise explain_os_error(error, self.path) from error
        try:
            yield
        finally:
            os.close(descriptor)

    def load(self, node: str) -> State | None:
        """Return the state, None if there is none.

        Raises
        ------
        DamagedStateError
            It cannot be understood.
        UsageError
            It is another node's.
        """
        try:
            text = self._file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explain_os_error(error, self._file) from error
        try:
            state = _parse(text)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise DamagedStateError(f"cannot be understood ({error})", where=str(self._file)) from error
        if state.node != node:
            what = f"is the state of node {state.node!r}, and this one is {node!r}"
            hint = "Give each node a folder of its own, or correct `node`."
            raise UsageError(what, where=str(self._file), hint=hint)
        return state

    def set_aside(self) -> Path:
        """Give a damaged state another name, and return it: it may help to find out what happened."""
        aside = self._file.with_name("state.json.damaged")
        try:
            self._file.replace(aside)
        except OSError as error:
            raise explain_os_error(error, self._file) from error
        return aside

    def save(self, state: State) -> None:
        """Write the state; it appears whole, and lasts."""
        content = {
            "format": _FORMAT,
            "node": state.node,
            "store": state.store,
            "conditional": state.conditional,
            "position": state.position.as_json(),
        }
        text = _canonical({**content, "sha256": sha256_hex(_canonical(content))})
        try:
            write_whole(self._file, text + b"\n")
        except OSError as error:
            raise explain_os_error(error, self._file) from error


class DamagedStateError(TicklineError):
    """The state is there, and nothing can be taken from it."""


def utc_text(seconds: float) -> str:
    """Write seconds since 1970 as UTC with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("a number is none")
    return value


def _parse(text: bytes) -> State:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError("it is no JSON object")
    said = found.pop("sha256")
    if said != sha256_hex(_canonical(found)):
        raise ValueError("its bytes are not those that were written")
    if found["format"] != _FORMAT:
        raise ValueError(f"its format is {found['format']}, this version of tickline knows {_FORMAT}")
    position = Position.from_json(found["position"])
    return State(found["node"], found["store"], found["conditional"], position)
