"""TCAV by algebra on Gram matrices: sets, vectors, scores, the calibrated test, gates and verdicts."""
