"""Connections and variables that stay at the site: where they are, and which Dags may have them."""
