"""What is said of logs, and how much of one."""
