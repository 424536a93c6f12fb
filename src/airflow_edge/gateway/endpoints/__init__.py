"""What a worker may call, an endpoint each."""
