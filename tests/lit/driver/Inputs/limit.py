"""Runs a command that may write no file of more than so many bytes, and says its exit code."""
import resource
import subprocess
import sys

limit = int(sys.argv[1])
done = subprocess.run(sys.argv[2:], stderr=subprocess.PIPE, text=True,
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
print(f"exit code {done.returncode}\n{done.stderr}", end="")
