"""What logs look like on the way."""
