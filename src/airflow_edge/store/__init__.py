"""SQLAlchemy behind the dispatcher's ports: tables, queries and migrations."""
