"""The published models of examples/models/shapes, and what it takes to compile them."""
import json
import os
import shutil
import subprocess
from dataclasses import dataclass

import lutra

MODELS = lutra.SOURCE / "examples" / "models"
SHAPES = MODELS / "shapes"


@dataclass
class Run:
    out: str
    err: str
    seconds: float  # of processor time
    peak: int  # bytes resident at most


def names():
    return sorted(path.name.removesuffix(".json") for path in SHAPES.glob("*.json"))


def program(name):
    """The .lut file of the model's architecture and its metadata."""
    shape = SHAPES / f"{name}.json"
    architecture = json.loads(shape.read_text())["general.architecture"]
    return [MODELS / f"{architecture.split('-')[0]}.lut", "--metadata", shape]


def run(tool, *options):
    """A tool of this project, and what it took."""
    command = [shutil.which(tool) or lutra.SOURCE / "build" / "bin" / tool, *options]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise lutra.ToolError(command, subprocess.CompletedProcess(command, process.returncode, out, err))
    return Run(out, err, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def compile(name, *options):
    return run("lutc", *program(name), *options)
