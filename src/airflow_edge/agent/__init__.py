"""The edge process, which never imports Airflow."""
