"""Task logs as stored and as read back by Airflow."""
