"""The commands `airflow edge` and `airflow-edge`: thin, they parse and call."""
