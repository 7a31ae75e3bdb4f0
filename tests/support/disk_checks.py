#!/usr/bin/env python3
"""What programs hear of a disk that is full or fails; each prints `CALL ERRNO` for every call that fails,
in order, or `fine`.

  disk_checks.py write FILE BYTES [sync]   makes or replaces the file with pieces of 64 KiB; the first error
                                           ends the writing, then perhaps an fsync; close
  disk_checks.py overwrite FILE BYTE       the file's bytes become BYTE, in place; fsync; close
  disk_checks.py append FILE BYTES         one write at the end, and what it did not take; fsync; close
  disk_checks.py both FILE SAME CONTROL    a file that is written under two names, in place, each then synced
                                           twice; the disk of CONTROL takes nothing during the first sync
  disk_checks.py read FILE
  disk_checks.py sync FILE                 also of a folder
  disk_checks.py allocate FILE BYTES
  disk_checks.py make FOLDER COUNT         empty files, until one fails
  disk_checks.py sqlite FILE               transactions until one fails, then the check of what is there
"""
import errno
import os
import sqlite3
import sys

PIECE = 64 * 1024


class Calls:
    def __init__(self):
        self.failed = []

    def do(self, name, call, *arguments):
        """None when it failed."""
        try:
            result = call(*arguments)
            return True if result is None else result
        except OSError as error:
            self.failed.append(f"{name} {errno.errorcode[error.errno]}")
            return None

    def write_all(self, fd, content, piece=PIECE):
        data = memoryview(content)
        while data:
            count = self.do("write", os.write, fd, data[:piece])
            if count is None:
                return
            data = data[count:]

    def end(self, fd, syncs):
        if syncs:
            self.do("fsync", os.fsync, fd)
        self.do("close", os.close, fd)


def with_file(flags, use, syncs=True):
    def run(calls, path, *arguments):
        fd = calls.do("open", os.open, path, flags, 0o644)
        if fd is not None:
            use(calls, fd, *arguments)
            calls.end(fd, syncs)

    return run


def write(calls, path, size, sync=""):
    fd = calls.do("open", os.open, path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    if fd is not None:
        calls.write_all(fd, bytes(int(size)))
        calls.end(fd, sync == "sync")


def overwrite(calls, fd, byte):
    calls.write_all(fd, byte.encode() * os.fstat(fd).st_size)


def both(calls, path, same, control):
    def tell(text):
        with open(control, "w", encoding="ascii") as out:
            out.write(text)

    first, second = (os.open(name, os.O_WRONLY) for name in (path, same))
    os.pwrite(first, b"B" * PIECE, 0)
    os.pwrite(second, b"B" * PIECE, 1 << 20)
    tell("fail-writes")
    calls.do("first", os.fdatasync, first)
    tell("heal")
    # Data alone, in blocks that the file has: nothing that the journal would fail with.
    calls.do("second", os.fdatasync, second)
    calls.do("first-again", os.fdatasync, first)
    calls.do("second-again", os.fdatasync, second)
    os.close(first)
    os.close(second)


def append(calls, fd, size):
    calls.write_all(fd, b"x" * int(size), piece=int(size))


def read(calls, fd):
    while calls.do("read", os.read, fd, PIECE) not in (None, b""):
        pass


def allocate(calls, fd, size):
    calls.do("fallocate", os.posix_fallocate, fd, 0, int(size))


def make(calls, folder, count):
    for number in range(int(count)):
        fd = calls.do("open", os.open, f"{folder}/{number}", os.O_CREAT | os.O_WRONLY, 0o644)
        if fd is None:
            return
        os.close(fd)


def sqlite(calls, path):
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("create table if not exists rows (number integer primary key, text)")
    done = database.execute("select count(*) from rows").fetchone()[0]
    try:
        while done < 100000:
            database.execute("insert into rows values (?, ?)", (done, "x" * 500000))
            done += 1
    except sqlite3.Error as error:
        calls.failed.append(str(error))
    database.close()
    database = sqlite3.connect(path)
    assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    assert database.execute("select count(*) from rows").fetchone() == (done,)
    database.close()


WHAT = {
    "write": write,
    "overwrite": with_file(os.O_WRONLY, overwrite),
    "append": with_file(os.O_WRONLY | os.O_APPEND, append),
    "both": both,
    "read": with_file(os.O_RDONLY, read, syncs=False),
    "sync": with_file(os.O_RDONLY, lambda calls, fd: None),
    "allocate": with_file(os.O_WRONLY | os.O_CREAT, allocate),
    "make": make,
    "sqlite": sqlite,
}


def main():
    calls = Calls()
    WHAT[sys.argv[1]](calls, *sys.argv[2:])
    print("\n".join(calls.failed) or "fine")


if __name__ == "__main__":
    main()
