"""The other forms: one module a form, each with ``render(evidence) -> {file name: bytes}``.

Each reads the evidence alone, computes no statistic, and gives the same bytes for the same evidence.
"""
