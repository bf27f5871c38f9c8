"""The report of connections: who connects to whom, in a window of time."""
