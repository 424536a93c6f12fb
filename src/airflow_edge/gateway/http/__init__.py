"""Bodies, answers and problems, the same for all endpoints."""
