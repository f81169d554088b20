"""Trained networks: what is shipped (one folder a model), and how any is written and read."""

from supervegan_jax.weights.load import list_models, load_model
from supervegan_jax.weights.model_file import LoadedModel, save_model

__all__ = ["LoadedModel", "list_models", "load_model", "save_model"]
