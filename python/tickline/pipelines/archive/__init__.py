"""Chrony logs into an archive that is written once: tailing, chunks, spool, the state machine of a run."""
