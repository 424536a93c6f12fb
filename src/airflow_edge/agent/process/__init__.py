"""The agent as a process: one of its kind, in the background, asked over a socket."""
