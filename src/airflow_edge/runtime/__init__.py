"""The warm process at the site that forks one supervisor per job."""
