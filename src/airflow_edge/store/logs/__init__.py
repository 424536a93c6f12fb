"""Task logs: rows, objects, and their upkeep."""
