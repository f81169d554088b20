"""Training and validation data; the only room, with data_prep, that imports TensorFlow."""

import os

# Read by TensorFlow on import. Without them it greets on stderr and warns there of what is raised
# anyway; nothing here uses oneDNN. 1 is what JAX, often imported before, leaves for itself.
if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
