"""The documents: the evidence (the hinge), and every form rendered from it.

Computes no statistic: every figure printed is read from the evidence.
"""
