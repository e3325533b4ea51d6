"""The published models of examples/models/shapes, and compiling them without their weights."""
import json
import os
import shutil
import subprocess

import lutra

MODELS = lutra.SOURCE / "examples" / "models"
SHAPES = MODELS / "shapes"


def names():
    return sorted(path.name.removesuffix(".json") for path in SHAPES.glob("*.json"))


def program(name):
    """The .lut file of the model's architecture and its metadata."""
    shape = SHAPES / f"{name}.json"
    architecture = json.loads(shape.read_text())["general.architecture"]
    return [MODELS / f"{architecture.split('-')[0]}.lut", "--metadata", shape]


def compile(name, *options):
    """lutc's stdout, the processor seconds it took and the bytes that were resident at most."""
    command = [shutil.which("lutc") or lutra.SOURCE / "build" / "bin" / "lutc", *program(name), *options]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise lutra.ToolError(command, subprocess.CompletedProcess(command, process.returncode, out, err))
    return out, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
