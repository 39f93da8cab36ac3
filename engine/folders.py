"""Where files that can be made or fetched again are kept: the user's cache folder, by each system's convention."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """chainrule's folder for such files: %LOCALAPPDATA%, ~/Library/Caches, or $XDG_CACHE_HOME (~/.cache), / chainrule.

    It need not exist. Raises RuntimeError where there is no home directory.

    >>> cache_folder().name
    'chainrule'
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "chainrule"
