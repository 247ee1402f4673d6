"""Training of the models, phase by phase."""
