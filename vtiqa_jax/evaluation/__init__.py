"""From a model to scores, and from scores to figures: scoring, correlations, reports."""
