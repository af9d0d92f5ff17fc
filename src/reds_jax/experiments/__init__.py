"""Runnable experiments: ``python -m reds_jax.experiments.vww``, one small file a data set, one runner."""
