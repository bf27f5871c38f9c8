"""Lines without repeats, slow and obvious: written from the description of `tickline.dedup.unique_lines`."""

from __future__ import annotations

from collections.abc import Sequence


def split(data: bytes) -> list[bytes]:
    """Return what stands between newlines; behind the last one only if there is something."""
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def key_of(line: bytes, fields: Sequence[int]) -> tuple[bytes, ...]:
    """Return what has to agree: the line, or its fields between blanks, b"" for one it does not have."""
    if not fields:
        return (line,)
    tokens = [token for token in line.split(b" ") if token]
    return tuple(tokens[field - 1] if field <= len(tokens) else b"" for field in fields)


def unique(
    sources: Sequence[bytes], keep: str = "first", fields: Sequence[int] = ()
) -> list[tuple[bytes, int, int]]:
    """Return (line, how many agree with it, its source), in the order of the lines that are kept."""
    all_lines = [(line, number) for number, data in enumerate(sources) for line in split(data)]
    groups: dict[tuple[bytes, ...], list[int]] = {}
    for place, (line, _) in enumerate(all_lines):
        groups.setdefault(key_of(line, fields), []).append(place)
    kept = sorted((places[0 if keep == "first" else -1], len(places)) for places in groups.values())
    return [(all_lines[place][0], count, all_lines[place][1]) for place, count in kept]


def without_repeats(sources: Sequence[bytes]) -> bytes:
    """Return what ``tickline dedup`` writes: a newline behind every line but an unfinished one at the end."""
    pieces: list[bytes] = []
    seen: set[bytes] = set()
    for data in sources:
        lines = split(data)
        for number, line in enumerate(lines, 1):
            if line not in seen:
                seen.add(line)
                if pieces and not pieces[-1].endswith(b"\n"):
                    pieces.append(b"\n")
                pieces.append(line)
                if number < len(lines) or data.endswith(b"\n"):
                    pieces.append(b"\n")
                elif not line:
                    raise AssertionError("an unfinished line is not empty")
    return b"".join(pieces)
