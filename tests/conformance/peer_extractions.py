"""The fixtures of s3-log-extraction and its DANDI plug-in that hold an extraction tree."""

from __future__ import annotations

__all__ = ["EXTRACTIONS"]

# Where the logs are, where what was expected is, and whether keys are taken as DANDI does.
EXTRACTIONS = {
    "generic": ("example_logs", "expected_output", False),
    "dandi": ("dandi_variant_head/example_logs", "dandi_variant_head/expected_output", True),
    "generic, older": (
        "history_0d9a7fc_parent/test_generic_logs",
        "history_0d9a7fc_parent/expected_generic_output",
        False,
    ),
    "dandi, older": (
        "history_0d9a7fc_parent/test_dandi_logs",
        "history_0d9a7fc_parent/expected_dandi_output",
        True,
    ),
}
