"""One step of `gf3.py` in a process of its own, so that its peak memory is that step's alone.

    python gf3_steps.py simulate SCENE.json FOLDER     writes the pair, prints where it is
    python gf3_steps.py run ARGUMENTS...               `glaciertoolkit run ARGUMENTS...`

The last line of standard output is JSON. `launch` starts such a process and measures it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Launched:
    """What a process said last, how long it took (s) and the most memory it held (MB)."""

    result: Any
    seconds: float
    peak_mb: float


def launch(*arguments: Any) -> Launched:
    """Run this file with arguments; measure the process and nothing else.

    Call it from a small process: on Linux the peak of a child is at least what its parent held
    when it was started.
    """
    command = [sys.executable, __file__, *map(str, arguments)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command[1:4])} ended with status {process.returncode}.")
    kilobytes = used.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Launched(json.loads(text.splitlines()[-1]), round(seconds, 1), round(kilobytes / 1024))


def simulate(parameters: str, folder: str) -> dict[str, str]:
    """Write the pair; where its files are."""
    import glaciertoolkit as gt

    given = json.loads(Path(parameters).read_text(encoding="utf-8"))
    files = gt.write_gf3_pair(gt.simulate_gf3(**given), folder)
    return {name: str(path) for name, path in files.items()}


def run(*arguments: str) -> dict[str, float]:
    """`glaciertoolkit run`; seconds of each of its stages."""
    from glaciertoolkit import cli

    seconds: dict[str, float] = {}
    shown = cli.console_stages

    @contextmanager
    def timed() -> Iterator[Callable[[str], AbstractContextManager[None]]]:
        with shown() as stage:

            @contextmanager
            def clocked(name: str) -> Iterator[None]:
                start = time.perf_counter()
                with stage(name):
                    yield
                seconds[name] = round(time.perf_counter() - start, 2)

            yield clocked

    cli.console_stages = timed
    sys.argv = ["glaciertoolkit", "run", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        if ended.code:
            raise
    return seconds


if __name__ == "__main__":
    print(json.dumps({"simulate": simulate, "run": run}[sys.argv[1]](*sys.argv[2:])))
