"""A fleet as a whole: how its workers stand, what its queues lack, and what needs a person."""
