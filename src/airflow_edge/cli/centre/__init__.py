"""`airflow edge …`: thin, they parse and call."""
