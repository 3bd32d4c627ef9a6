"""Scores: metrics of a ranking or a probability, their limits, and curves."""
