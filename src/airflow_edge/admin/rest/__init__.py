"""The REST API under the page and for scripts: everything that the command line can do."""
