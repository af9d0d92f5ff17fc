import os

os.environ["KERAS_BACKEND"] = "jax"  # Keras reads it when it is imported
