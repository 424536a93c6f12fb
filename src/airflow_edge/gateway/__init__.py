"""What a worker may call at the centre, in Airflow's API server: the link, enrolment, the task's Execution API."""
