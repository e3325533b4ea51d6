"""Sends a signal to a command as soon as there is a temporary file in this folder."""
import glob
import signal
import subprocess
import sys
import time

number = getattr(signal, "SIG" + sys.argv[1])
process = subprocess.Popen(sys.argv[2:], stderr=subprocess.DEVNULL,
                           preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
while not glob.glob("*.tmp.*"):
    assert process.poll() is None, "it ended before it wrote anything"
    time.sleep(0.001)
process.send_signal(number)
sys.exit(process.wait() != -number)
