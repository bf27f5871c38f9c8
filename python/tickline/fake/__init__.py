"""Seeded generators of realistic and of nasty input, with the true answers beside it."""

from __future__ import annotations

from .access import SHAPES, access_lines, generate_access
from .chrony import CHRONY_FAULTS, CHRONY_START, generate_chrony
from .connections import append_connections, generate_connections

__all__ = [
    "CHRONY_FAULTS",
    "CHRONY_START",
    "SHAPES",
    "access_lines",
    "append_connections",
    "generate_access",
    "generate_chrony",
    "generate_connections",
]
