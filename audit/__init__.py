"""The run: command line, configuration, stage list, policy verdicts, provenance, sign-off, demo."""

__version__ = "0.1.0"
