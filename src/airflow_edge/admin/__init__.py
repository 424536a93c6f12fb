"""What a person or a script may call: the REST API under the UI and the command line."""
