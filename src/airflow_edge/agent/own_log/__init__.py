"""The worker's own log: written here, shipped to the centre on request."""
