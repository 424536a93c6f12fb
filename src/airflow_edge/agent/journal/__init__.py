"""What outlives the agent's process: the journal, the jobs' folders, and the loop that writes before it acts."""
