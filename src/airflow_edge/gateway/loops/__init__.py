"""What a gateway process does by itself, a loop each."""
