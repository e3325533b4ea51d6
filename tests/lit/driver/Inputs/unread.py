"""Runs a command whose output is not read, and ends only when it has."""
import subprocess
import sys

process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
process.stdout.close()
sys.exit(process.wait() not in (-13, 141))
