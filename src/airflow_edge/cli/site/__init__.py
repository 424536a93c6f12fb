"""`airflow-edge …`: thin, they parse and call; Airflow is never imported."""
