"""The gateway's calls to the store: in threads, coalesced, woken by NOTIFY."""
