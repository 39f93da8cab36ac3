"""chainrule: a deep-learning engine written to be read."""
