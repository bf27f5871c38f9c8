"""Sources of lines, one after the other, into a reader of the core."""

import os
from collections.abc import Callable

from tickline import _core
from tickline.errors import SourceError, explain_os_error
from tickline.inputs import Input, opened
from tickline.sources import Source

__all__ = ["take_lines"]


def _nothing() -> None:
    pass


def take_lines(reader: _core.LineInput, source: Input, between: Callable[[], object] = _nothing) -> str:
    """Let `reader` take a source, as far as it wants, and return what accounting calls the source.

    Parameters
    ----------
    reader : _core.LineInput
        What takes the lines. Its ``finish()`` is the caller's.
    source : path, buffer or open binary file
        Plain, .gz or .zst; ``"-"`` is standard input.
    between : callable, optional
        Called after each piece, so that results can be taken.

    Raises
    ------
    SourceError
        It cannot be read to its end.
    """
    with opened(source) as (name, content):
        if isinstance(content, Source):
            _take_file(reader, content, between)
        else:
            for chunk in content:
                reader.feed(chunk)
                between()
                if reader.refused:
                    break
    return name


def _take_file(reader: _core.LineInput, source: Source, between: Callable[[], object]) -> None:
    position = 0
    while position < source.size and not reader.refused:
        try:
            position = reader.read(source.fd, position, source.size)
        except OSError as error:
            raise explain_os_error(error, source.path) from error
        between()
    if os.fstat(source.fd).st_size < source.size:
        raise SourceError("became shorter while it was read", where=source.path, hint="Read it again.")
