"""Who calls: tokens, keys, and what has been seen already."""
