"""What tasks may ask of the centre, as it was set, and what they have asked for."""
