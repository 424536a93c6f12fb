"""What the agent and the runtime share: the processes of jobs, and how they are ended."""
