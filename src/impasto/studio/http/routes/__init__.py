"""Answer requests: the routes of jobs, pictures and the catalog, and what they share."""
