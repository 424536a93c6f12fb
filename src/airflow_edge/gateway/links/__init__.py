"""The workers that are linked to this process."""
