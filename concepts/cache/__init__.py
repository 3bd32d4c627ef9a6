"""The cache: activations and gradients kept by content, in mapped files."""
