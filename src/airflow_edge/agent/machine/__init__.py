"""What is known of this machine, and what it lacks to take jobs."""
