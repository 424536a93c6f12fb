"""The centre's memory: tables, queries and migrations behind the ports of `airflow_edge.rules`."""
