"""Task logs on their way to the centre, and the copies that stay."""
