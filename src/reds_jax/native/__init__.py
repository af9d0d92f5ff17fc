"""What lies between two products, in C++ for a CPU: compiled where it is first used, called from compiled JAX functions."""
