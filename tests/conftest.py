"""Hypothesis draws the same examples every time, so that a run tells about the change and not about the draw.

`pytest --hypothesis-profile=explore` draws others.
"""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("repeatable")
