"""Estimates: metrics, differences and ratios of counted slices, with their limits, pointwise and joint."""
