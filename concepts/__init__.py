"""The model's insides: model loading, concept sources, activations, CAVs, TCAV.

The only room that imports torch.
"""
