#!/usr/bin/env python3
"""Programs for CPUs in other people's projects: consumer.py BUILD_FOLDER.

The build is installed; projects that use CMake or pkg-config compile two programs, link them, statically or not, into C
and C++, and get the oracle's numbers.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import lutra

PROJECT = pathlib.Path(__file__).resolve().parent / "consumer"
ROWS, OPTIONS = 3, ["--weights", "random:1", "--quant", "w4g32"]


def run(*command, **environment):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def oracle(work):
    array = lutra.Array("f32", (ROWS, 64), [(i % 17 - 8) / 8 for i in range(ROWS * 64)])
    lutra.write_npy(work / "x.npy", array)
    for name in ("first", "second"):
        lutra.run("lutc", "eval", PROJECT / f"{name}.lut", *OPTIONS, "--input", f"x=@{work}/x.npy", "--output",
                  f"result=@{work}/y.npy")
        (work / "y.npy").rename(work / "x.npy")
    return lutra.read_npy(work / "x.npy")


def check(what, executable, folder, want):
    for threads in (1, 2):
        lines = run(executable, folder / "first.lutw", folder / "second.lutw", threads).split()
        error = lutra.nmse(lutra.Array("f32", want.shape, [float(line) for line in lines]), want)
        print(f"{what}, {threads} threads: NMSE {error:.3g}")
        assert error < 1e-11, what


def check_cmake(prefix, work, want):
    build = work / "cmake"
    run("cmake", "-S", PROJECT, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", build)
    for language in ("c", "cc"):
        check(f"CMake, {language}", build / f"consumer_{language}", build, want)


def check_pkg_config(prefix, work, want):
    flags = run("pkg-config", "--cflags", "--libs", "lutra", PKG_CONFIG_PATH=str(prefix / "lib" / "pkgconfig")).split()
    for kind in ("a", "so"):
        folder = work / kind
        folder.mkdir()
        files = [folder / f"{name}.{kind}" for name in ("first", "second")]
        for file in files:
            run(prefix / "bin" / "lutc", PROJECT / f"{file.stem}.lut", *OPTIONS, "--tables", "f16", "--target=native", "-o", file)
        for language, compiler in (("c", "cc"), ("cc", "c++")):
            executable = folder / language
            run(compiler, "-O2", "-Wall", "-Wextra", "-Werror", PROJECT / f"consumer.{language}", f"-I{folder}", *files,
                *flags, f"-Wl,-rpath,{folder}", "-o", executable)
            check(f"pkg-config, {kind}, {language}", executable, folder, want)


def main():
    missing = [tool for tool in ("cmake", "pkg-config", "cc", "c++") if not shutil.which(tool)]
    if missing:
        print("not installed:", ", ".join(missing))
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        prefix = work / "prefix"
        run("cmake", "--install", sys.argv[1], "--prefix", prefix)
        want = oracle(work)
        check_cmake(prefix, work, want)
        check_pkg_config(prefix, work, want)


if __name__ == "__main__":
    main()
