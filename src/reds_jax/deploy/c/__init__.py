"""A device program as C99: `export` writes the folder, `source` its constants and calls, `arena` plans its memory.

``runtime/`` are the kernels, copied into every export; ``templates/`` are the files around them.
"""
