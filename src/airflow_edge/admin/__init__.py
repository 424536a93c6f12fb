"""What a person or a script may call: the services under the command line and the REST API."""
