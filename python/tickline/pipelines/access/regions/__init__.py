"""Where requests come from, and where that is on the map."""
