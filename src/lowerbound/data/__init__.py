"""Floor 1: named sets and people's own files, as arrays in memory with what their numbers mean."""
