"""Agreement of scores with people: correlations, reports and plots."""
