"""Reads stretches of logs into a ring, so that a log that changes meanwhile is noticed and not counted."""

from tickline import _core
from tickline.errors import explain_os_error
from tickline.file_marks import MARK_HEAD
from tickline.pipelines.connections.followed import Content, Opened
from tickline.pipelines.connections.options import NS_PER_S, ConnectionOptions
from tickline.pipelines.connections.ring import Ring
from tickline.pipelines.connections.tally import Tally
from tickline.pipelines.connections.window import part_of

__all__ = ["Reading"]

# So many bytes between two looks at whether the file is still the same.
_STEP_BYTES = 16 * 2**20


class Reading:
    """Counts lines of contents, each step of it whole or not at all."""

    def __init__(self, options: ConnectionOptions, ring: Ring, tally: Tally) -> None:
        self._disorder_ns = options.disorder_ns
        self._ring = ring
        self._tally = tally

    def skip(self, content: Content, file: Opened) -> None:
        """Leave out what a plain file that is new has before the window, as a single run does."""
        if content.offset:
            return
        part = part_of(file.source, self._ring.since_ns, self._ring.until_ns, self._disorder_ns)
        if part.begin:
            content.advance(part.begin, file.mark(part.begin))
            content.head = file.head
            content.skipped, content.latest_ns = (0, part.begin), part.latest_before_ns
            content.lines = None
            self._tally.note(content.name, "bytes_not_read", part.begin)

    def lines(self, content: Content, file: Opened, size: int, *, unfinished: bool) -> bool:
        """Count the lines behind the offset of a plain file that end before `size`.

        Parameters
        ----------
        unfinished : bool
            What is behind the last line end is a line, too.

        Returns
        -------
        bool
            False if the file changed meanwhile, in another way than by growing.
        """
        if content.offset < size:
            end = size
            if not unfinished:
                end = file.last_line_end(max(content.offset, content.searched), size)
                end = end if end > content.searched else content.offset
            while content.offset < end:
                if not self._step(content, file, content.offset, end):
                    return False
            content.searched = size
        begin, end = content.skipped
        while content.disordered and begin < end:
            if not self._step(content, file, begin, end):
                return False
            begin, end = content.skipped
        return True

    def packed(self, content: Content, file: Opened) -> None:
        """Count the lines behind the offset of a compressed file.

        Raises
        ------
        SourceError
            It is damaged, or cut off; nothing of it is counted.
        """
        piece = self._ring.piece()
        inside = False

        def take(chunk: bytes, end: int) -> None:
            nonlocal inside
            begin = end - len(chunk)
            at = max(content.offset - begin, 0)
            if at > len(chunk):
                return
            if begin + at == content.offset and at > 0:
                # What was read before may end within a line, which was counted.
                inside = chunk[at - 1] != 0x0A
            if inside:
                newline = chunk.find(b"\n", at)
                if newline < 0:
                    return
                inside, at = False, newline + 1
            piece.feed(memoryview(chunk)[at:])

        size, marks = file.unpack((), take)
        piece.finish()
        self._commit(content, piece)
        content.head = file.head
        content.advance(size, marks[size])

    def _step(self, content: Content, file: Opened, begin: int, end: int) -> bool:
        """Count a part of a range: behind the offset, or of what was skipped."""
        step = begin + _STEP_BYTES
        step = file.line_end(step - 1, end) if step < end else end
        ahead = begin == content.offset
        # Both marks before and behind: what was read in between is what they stand for.
        known = file.mark(step)
        if content.offset and file.mark(content.offset) != content.mark:
            return False
        piece = self._ring.piece()
        try:
            piece.read(file.fd, begin, step)
        except OSError as error:
            raise explain_os_error(error, file.path) from error
        if file.size < max(step, content.offset) or file.mark(step) != known:
            return False
        self._commit(content, piece)
        if not ahead:
            content.skipped = (step, end)
            self._tally.note(content.name, "bytes_not_read", begin - step)
            return True
        if len(content.head) < MARK_HEAD:
            content.head = file.read(0, min(step, MARK_HEAD))
        content.advance(step, known)
        return True

    def _commit(self, content: Content, piece: _core.ConnectionsCount) -> None:
        self._ring.take(piece)
        self._tally.add(content.name, content.lines, piece)
        if content.lines is not None:
            content.lines += piece.counts()["lines"]
        span = piece.span()
        if span is None:
            return
        earliest_ns, latest_ns, back_ns = span
        if content.latest_ns is not None:
            back_ns = max(back_ns, content.latest_ns - earliest_ns)
            latest_ns = max(latest_ns, content.latest_ns)
        content.latest_ns = latest_ns
        if back_ns > self._disorder_ns and content.skipped[1] and not content.disordered:
            content.disordered = True
            self._tally.note(content.name, "disorder_s", -(-back_ns // NS_PER_S))
