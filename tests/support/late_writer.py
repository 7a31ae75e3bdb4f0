#!/usr/bin/env python3
"""A program of a mount that writes while it has the home alone, and hears later what became of it.

Usage: late_writer.py FOLDER LINES
Appends LINES lines to FOLDER/log, and writes over FOLDER/plain and FOLDER/own; stores into a mapping
of FOLDER/mapped. Says "written", waits for a line of its stdin, and then says for each file what
fsync(2) or msync(2) said: `log ok`, `plain EIO`.
"""
import errno
import mmap
import os
import sys

FILE_BYTES = 2 << 20


def main():
    folder, lines = sys.argv[1], int(sys.argv[2])
    log = os.open(folder + "/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    plain = os.open(folder + "/plain", os.O_WRONLY)
    own = os.open(folder + "/own", os.O_WRONLY)
    mapped = os.open(folder + "/mapped", os.O_RDWR)
    memory = mmap.mmap(mapped, FILE_BYTES)
    memory[:] = b"o" * FILE_BYTES
    for i in range(lines):
        line = f"old {i} ".ljust(1500 + i % 900, ".") + "\n"
        assert os.write(log, line.encode()) == len(line)
    for file in (plain, own):
        for offset in range(0, FILE_BYTES, 64 << 10):
            os.pwrite(file, b"o" * (64 << 10), offset)
    print("written", flush=True)
    sys.stdin.readline()
    for name, sync in (
        ("log", lambda: os.fsync(log)),
        ("plain", lambda: os.fsync(plain)),
        ("own", lambda: os.fsync(own)),
        ("mapped", memory.flush),
    ):
        try:
            sync()
            print(name, "ok", flush=True)
        except OSError as error:
            print(name, errno.errorcode[error.errno], flush=True)


main()
