"""What a worker may call: the link, enrolment, the task's Execution API, logs."""
