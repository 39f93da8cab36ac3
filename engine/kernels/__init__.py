"""Functions over raw arrays, one namespace per backend; an op finds its kernel by name."""
