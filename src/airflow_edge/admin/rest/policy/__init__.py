"""What tasks may ask of the centre, over the REST API."""
