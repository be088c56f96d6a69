"""How right scores are: correlations, reports and plots."""
