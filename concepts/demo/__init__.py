"""The demo: images, a network that is really trained on them, and the configuration of its audit."""
