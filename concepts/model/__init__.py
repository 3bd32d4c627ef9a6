"""The model: loaded, hooked, and run; what its layers and logits give. No statistics here."""
