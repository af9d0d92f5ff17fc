"""Runnable experiments: ``reds vww``, one small file a data set, one runner."""
