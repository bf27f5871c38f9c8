"""Seeded generators of realistic and of nasty input, with the true answers beside it."""

from __future__ import annotations

from .access import SHAPES, access_lines, generate_access

__all__ = ["SHAPES", "access_lines", "generate_access"]
