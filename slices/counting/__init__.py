"""Counting: rows become the additive tables that every statistic starts from. No statistic here."""
