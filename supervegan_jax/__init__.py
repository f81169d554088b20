"""SUPERVEGAN in JAX: super resolution and artifact removal for low-bitrate video."""

__version__ = "0.1.0"
