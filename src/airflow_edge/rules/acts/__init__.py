"""What people do to workers and queues, and what would come of it."""
