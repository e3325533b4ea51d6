"""session.py [LUTRUN ARGUMENT]...: runs lutrun under gdb-multiarch, whose commands are stdin; prints
what gdb says, then what lutrun says, then its exit code."""
import os, re, subprocess, sys, tempfile

program = next(a for a in sys.argv[1:] if os.path.exists(a))
with tempfile.TemporaryDirectory() as folder:
    commands = os.path.join(folder, "commands")
    with open(commands, "w") as f:
        f.write(sys.stdin.read())
    lutrun = subprocess.Popen(["lutrun", "--gdb=0"] + sys.argv[1:], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        line = lutrun.stderr.readline()
        address = re.fullmatch(r"waiting for gdb: target remote (localhost:\d+)\n", line)
        assert address, line + lutrun.stderr.read()
        gdb = subprocess.run(
            ["gdb-multiarch", "-nx", "-batch", "-ex", "set pagination off", "-ex", "set width 0",
             "-ex", "file " + program, "-ex", "target remote " + address[1], "-x", commands],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        print(gdb.stdout)
        out, err = lutrun.communicate(timeout=120)
        print(f"lutrun:\n{out}{err}exit code {lutrun.returncode}")
    finally:
        lutrun.kill()
