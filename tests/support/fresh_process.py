"""Scripts in a process of their own, with little of this one's environment."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import flowlimits

PACKAGE = Path(flowlimits.__file__).parent


def run(code, folder, **environment):
    """Run a script in a fresh process; return what it prints."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(code))
    return run_again(script, **environment)


def run_again(script, *arguments, **environment):
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    kept |= {"PYTHONPATH": str(PACKAGE.parent), "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
