"""The gateway's calls to the store: in threads, gathered, woken by NOTIFY."""
