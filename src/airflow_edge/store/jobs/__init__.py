"""Jobs: queued, claimed, settled, forgotten."""
