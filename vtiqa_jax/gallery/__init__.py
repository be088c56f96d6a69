"""A folder of scored photos as a page to look at."""
