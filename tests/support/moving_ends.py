#!/usr/bin/env python3
"""A file in two mounts that is appended to while another part of it changes all the time.

  moving_ends.py appends FILE_IN_A FILE_IN_B SECONDS
      Records are appended in both mounts, by lseek(2) and write(2) under a lock that leaves out the first
      byte, which is written under a lock of its own: no record may be lost.
  moving_ends.py reads FILE_IN_A FILE_IN_B SECONDS
      Whatever was appended in B before a read in A began is read.

Prints what was done; the status is 1 when something is wrong.
"""
import fcntl
import multiprocessing
import os
import sys
import time

RECORD_BYTES = 32
PAUSE = 0.003


def record(name, number):
    return f"{name} {number:08d}".encode().ljust(RECORD_BYTES - 1, b".") + b"\n"


def change_header(path, end, locks):
    fd = os.open(path, os.O_RDWR)
    number = 0
    while time.monotonic() < end:
        if locks:
            fcntl.lockf(fd, fcntl.LOCK_EX, 1, 0)
        os.pwrite(fd, b"%c" % (97 + number % 26), 0)
        if locks:
            fcntl.lockf(fd, fcntl.LOCK_UN, 1, 0)
        number += 1
        time.sleep(PAUSE)


def append(path, name, end, count):
    fd = os.open(path, os.O_RDWR)
    while time.monotonic() < end:
        fcntl.lockf(fd, fcntl.LOCK_EX, 0, 1)
        os.lseek(fd, 0, os.SEEK_END)
        os.write(fd, record(name, count.value))
        fcntl.lockf(fd, fcntl.LOCK_UN, 0, 1)
        count.value += 1


def appends(in_a, in_b, end):
    counts = {"A": multiprocessing.Value("l", 0), "B": multiprocessing.Value("l", 0)}
    run([(change_header, in_b, end, True), (append, in_a, "A", end, counts["A"]),
         (append, in_b, "B", end, counts["B"])])
    with open(in_a, "rb") as file:
        there = set(file.read()[RECORD_BYTES:].splitlines(keepends=True))
    done = [record(name, number) for name, count in counts.items() for number in range(count.value)]
    lost = [line for line in done if line not in there]
    print(f"{len(done)} records, {len(lost)} lost: {lost[:3]}")
    return len(done) > 20 and not lost


def read_all(path, end, size, result):
    fd = os.open(path, os.O_RDONLY)
    while time.monotonic() < end:
        least = size.value
        result[0] += 1
        result[1] += len(os.pread(fd, 1 << 20, 0)) < least


def lengthen(path, end, size):
    fd = os.open(path, os.O_RDWR)
    while time.monotonic() < end:
        size.value += os.pwrite(fd, record("B", 0), size.value)
        time.sleep(PAUSE)


def reads(in_a, in_b, end):
    size = multiprocessing.Value("l", os.stat(in_a).st_size)
    result = multiprocessing.Array("l", 2)
    run([(change_header, in_b, end, False), (lengthen, in_b, end, size), (read_all, in_a, end, size, result)])
    print(f"{result[0]} reads, {result[1]} too short")
    return result[0] > 20 and result[1] == 0


def run(programs):
    processes = [multiprocessing.get_context("fork").Process(target=work, args=arguments)
                 for work, *arguments in programs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode != 0 for process in processes):
        raise SystemExit("a program has failed")


def main():
    what, in_a, in_b, seconds = sys.argv[1:]
    with open(in_b, "wb") as file:
        file.write(record("H", 0))
    check = {"appends": appends, "reads": reads}[what]
    return 0 if check(in_a, in_b, time.monotonic() + float(seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
