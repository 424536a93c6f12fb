"""The warm process at a site: it imports Airflow's task runner once and forks a supervisor for each job."""
