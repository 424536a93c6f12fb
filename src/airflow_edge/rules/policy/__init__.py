"""What tasks may ask of the centre."""
