"""A device program as C99: `export` writes the folder, `source` and `constants` its text, `arena` plans its memory.

``runtime/`` are the kernels, copied into every export; ``templates/`` are the files around them.
"""
