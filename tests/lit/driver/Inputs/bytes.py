"""File names that are not UTF-8."""
import json
import os
import shutil
import subprocess


def run(*command, code=0):
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == code, (command, done)
    return done


shutil.copy("two.lut", b"\xff.lut")
run("lutc", b"\xff.lut", "--weights", "random")
assert os.path.exists(b"\xff.elf")
counts = run("lutrun", b"\xff.elf", "-i", "x=ones", "-d", "T=1", "--stats=json").stderr
assert json.loads(counts)["program"] == "?.elf"
packed = run("lutc", "two.lut", "--weights", "random", "--packed", b"\xff.lutw", "-o", "p.elf", code=1)
assert b"must be UTF-8" in packed.stderr and not os.path.exists("p.elf")
assert b"unknown option '--\xff'" in run("lutc", b"--\xff", code=2).stderr
assert b"\xfe.lut: error: cannot open it" in run("lutc", b"\xfe.lut", code=1).stderr
