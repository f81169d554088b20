"""Training and validation data; the only room, with data_prep, that imports TensorFlow."""

import os

# Read by TensorFlow on import. Without them it greets on stderr; nothing here uses oneDNN.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
