"""Layers: modules with parameters, built from the ops."""
