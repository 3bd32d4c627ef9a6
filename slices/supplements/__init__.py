"""Supplements: what a counted log says beyond slice against complement, one question a module."""
