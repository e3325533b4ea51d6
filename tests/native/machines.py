#!/usr/bin/env python3
"""One object for CPUs on machines that have fewer instructions, by qemu's user mode: always the right level, never an
illegal instruction, and the same bits as here, on AArch64 too, whose objects are linked with a cross compiler: but for
products by lookup, which SSE2 multiplies.
"""
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra

RUNTIME = lutra.SOURCE / "runtime" / "native"
K, N, ROWS = 200, 70, (9, 1)
PROGRAM = f"""model machines;
dim T in 1..64;
weights {{ norm: f32[{K}] = "n"; a: w[{N}, {K}] = "a"; b: w[{N}, {K}] = "b"; c: f16[{N}, {K}] = "c"; t: w[{N}, {K}] = "t";
          d: w[{N}, {K}] = "d"; e: w[{N}, {K}] = "e";
          p: w[{N}, {K}] = "p"; q: w[{N}, {K}] = "q"; r: w[{N}, {K}] = "r"; s: w[{N}, {K}] = "s";
          u: w[{N}, {K}] = "u"; v: w[{N}, {K}] = "v"; w: w[{N}, {K}] = "w"; }}
entry fn main(x: f16[T, {K}]) -> f32[T, {N}] {{
    h = rms_norm(x, norm, eps = 1e-5);
    g = silu(linear(h, a, type = f32));
    return g * linear(h, b, type = f32) + tanh(linear(h, c, type = f32)) + linear(x, t, type = f32) + linear(h + h, d, type = f32)
         + linear(x * x, e, type = f32) + linear(h * x, p, type = f32) + linear(h * x, q, type = f32)
         + linear(x * 2, r, type = f32) + linear(x + 1, s, type = f32);
}}
entry fn looked_up(x: f16[T, {K}]) -> f32[T, {N}] {{
    h = rms_norm(x, norm, eps = 1e-5);
    return linear(x, u, type = f32) + linear(h, v, type = f32) + linear(h * x, w, type = f32);
}}
"""
QUANT = ["--weights", "random:3", "--quant", "w4g32,b=w3,t=w2g16z,d=w8g32,e=nf4g64,p=bcq2g32,q=cb4,r=e4m3,s=i8,u=w1,v=w1g64z,w=w1g32"]
ENTRIES = ("main", "looked_up")
# emulator, its options, level; None: this machine, whatever it has
X86 = [(None, [], None), ("qemu-x86_64", ["-cpu", "qemu64"], "sse2"), ("qemu-x86_64", ["-cpu", "Nehalem"], "sse2"),
       ("qemu-x86_64", ["-cpu", "SandyBridge"], "sse2"), ("qemu-x86_64", ["-cpu", "Haswell"], "avx2"),
       ("qemu-x86_64", ["-cpu", "Haswell,-fma"], "sse2"), ("qemu-x86_64", ["-cpu", "Haswell,-avx2"], "sse2"),
       ("qemu-x86_64", ["-cpu", "max"], "avx2")]
ARM = [("qemu-aarch64", ["-cpu", "cortex-a57"], "neon"), ("qemu-aarch64", ["-cpu", "neoverse-n1"], "dotprod"),
       ("qemu-aarch64", ["-cpu", "max"], "dotprod")]


def build(work, target, compiler):
    """The object, the runtime's sources and a caller, statically linked."""
    stem = f"machines-{target}"
    lutra.run("lutc", work / "machines.lut", *QUANT, f"--target={target}", "--emit=obj", "-o", work / f"{stem}.o")
    sources = [*map(str, RUNTIME.glob("*.c")), str(lutra.SOURCE / "tests" / "native" / "call.c")]
    program = work / stem
    subprocess.run([compiler, "-O1", "-D_GNU_SOURCE", "-DPROGRAM=machines_program", f"-I{RUNTIME}", f"-I{lutra.SOURCE}",
                    *sources, str(work / f"{stem}.o"), "-static", "-pthread", "-o", str(program)], check=True)
    return program, work / f"{stem}.lutw"


def call(work, program, weights, entry, rows, emulator, options, threads):
    command = [str(program), str(weights), entry, str(threads), str(0xffffffff), str(rows), "--", str(work / f"x{rows}.bin"), "--",
               str(work / "y.bin")]
    command = ([emulator, *options] if emulator else []) + command
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}: exit {result.returncode}\n{result.stderr}"
    data = (work / "y.bin").read_bytes()
    return result.stdout.strip(), list(struct.unpack(f"<{len(data) // 4}f", data))


class Results:
    """What programs should give, and the bits that they gave first."""

    def __init__(self, work):
        self.work, self.want, self.bits = work, {}, {}
        r = random.Random(4)
        for rows in ROWS:
            x = lutra.Array("f16", (rows, K), [r.gauss(0, 1) for _ in range(rows * K)])
            lutra.write_npy(work / "x.npy", x)
            (work / f"x{rows}.bin").write_bytes(struct.pack(f"<{rows * K}e", *x.values))
            for entry in ENTRIES:
                lutra.run("lutc", "eval", work / "machines.lut", *QUANT, "--entry", entry, "--input", f"x=@{work}/x.npy",
                          "--output", f"result=@{work}/want.npy")
                self.want[entry, rows] = lutra.read_npy(work / "want.npy")

    def check(self, entry, rows, level, got, machine):
        want = self.want[entry, rows]
        error = lutra.nmse(lutra.Array("f32", want.shape, got), want)
        assert error < 1e-4, f"{machine} {level}: {entry} of {rows} rows: NMSE {error}"
        kind = level if entry == "looked_up" and level == "sse2" else "any"
        first = self.bits.setdefault((entry, rows, kind), got)
        assert got == first, f"{machine} {level}: {entry} of {rows} rows: other bits"


def check(results, built, machines):
    for emulator, options, expected in machines:
        if emulator and not shutil.which(emulator):
            print(f"{emulator} is not installed: skipped")
            continue
        machine = " ".join([emulator or "this machine", *options])
        for entry, rows in results.want:
            for threads in (1, 2):
                level, got = call(results.work, *built, entry, rows, emulator, options, threads)
                assert expected in (None, level), f"{machine}: level {level}, not {expected}"
                results.check(entry, rows, level, got, machine)
        print(f"{machine}: {level}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        (work / "machines.lut").write_text(PROGRAM)
        results = Results(work)
        check(results, build(work, "x86-64-v4", "cc"), X86)
        if shutil.which("aarch64-linux-gnu-gcc"):
            check(results, build(work, "aarch64", "aarch64-linux-gnu-gcc"), ARM)
        else:
            print("aarch64-linux-gnu-gcc is not installed: AArch64 skipped")


if __name__ == "__main__":
    main()
