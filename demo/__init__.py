"""The main job, shown: a whole Airflow, one worker at its own site, and a Dag that runs there."""
