"""The reference backend: plain NumPy for every op."""
