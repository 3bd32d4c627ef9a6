"""The statistics: a prediction log in, estimates with intervals per slice out.

Knows nothing of models, concepts, policies' wording or documents. Loads neither
torch nor weasyprint.
"""
