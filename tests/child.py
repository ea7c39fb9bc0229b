"""Python processes that tests start: they find the same nncore as the tests do."""

import os
import subprocess
import sys
from pathlib import Path

import nncore


def environment(**changes):
    """The environment for a child process."""
    return {**os.environ, "PYTHONPATH": str(Path(nncore.__file__).parents[1]), **changes}


def run(*arguments, **options):
    """Run ``python *arguments`` to its end."""
    options = {"capture_output": True, "text": True, "check": False, "env": environment(), "timeout": 120, **options}
    return subprocess.run([sys.executable, *map(str, arguments)], **options)
