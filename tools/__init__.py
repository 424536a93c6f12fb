"""What the project runs on itself: generated pages and measurements. Not shipped."""
