"""Recordings: activations and gradients logged where the model runs, written and read."""
