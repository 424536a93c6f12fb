"""Airflow's executor on one side, the store on the other."""
