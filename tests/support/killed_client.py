#!/usr/bin/env python3
"""Programs whose mount is killed under them, and what must be there afterwards.

  killed_client.py tree FOLDER FILES           makes a tree for an archive
  killed_client.py save FOLDER LOG             saves a file again and again, and keeps a journal
  killed_client.py check-save FOLDER LOG       what it has told of in LOG is there and whole
  killed_client.py load DATABASE LOG           commits transactions (synchronous=FULL)
  killed_client.py check-load DATABASE LOG     what was committed is there, and nothing else
  killed_client.py check-untar TREE COPY NAMES ERRORS
                                               what tar said of a copy of TREE that it was making
  killed_client.py check-part ORIGINAL COPY    COPY has bytes of ORIGINAL or holes; prints the right ones

A program ends with 0 when its mount is gone, and with another status for any other error. Its LOG is
on another disk, and says what calls have returned.
"""
import errno
import hashlib
import os
import random
import sqlite3
import stat
import sys

GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ESTALE)


def tree(folder, files):
    numbers = random.Random(7)
    for i in range(int(files)):
        below = f"{folder}/{i % 40}"
        os.makedirs(below, exist_ok=True)
        name = f"{below}/file{i}"
        with open(name, "wb") as out:
            # Most are small; some have many blocks.
            out.write(numbers.randbytes(numbers.randrange(400_000 if i % 97 == 0 else 9_000)))
        os.chmod(name, numbers.choice((0o644, 0o600, 0o755, 0o440)))
        os.utime(name, ns=(1_000_000_000_123_456_789 + i, 1_100_000_000_987_654_321 + i))
        if i % 50 == 3:
            os.symlink(f"file{i}", f"{below}/symlink{i}")
        if i % 50 == 7:
            os.link(name, f"{below}/link{i}")


def version(number):
    """The contents of a version of a file: it says itself which, and its size differs."""
    line = f"version {number:08d} {hashlib.md5(str(number).encode()).hexdigest()}\n".encode()
    return line * (1 + number * 911 % 5000)


def save(folder, log):
    with open(log, "a", buffering=1) as told:
        number = 0
        try:
            os.chdir(folder)  # of the mount that is killed, also when another one is in its place
            journal = os.open("journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            while True:
                number += 1
                with open("new", "wb") as out:
                    out.write(version(number))
                os.rename("new", "saved")
                told.write(f"saved {number}\n")
                os.write(journal, f"line {number:08d}\n".encode())
                os.fsync(journal)
                told.write(f"journal {number}\n")
        except OSError as error:
            if error.errno not in GONE:
                raise


def last_told(log, what):
    numbers = [int(line.split()[1]) for line in open(log) if line.startswith(what + " ")]
    return max(numbers, default=0)


def contents(name):
    try:
        with open(name, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def check_save(folder, log):
    told = last_told(log, "saved")
    saved = contents(f"{folder}/saved")
    if saved is None:
        assert told == 0, f"version {told} was saved, and there is none"
    else:
        number = int(saved.split()[1])
        assert told <= number <= told + 1, f"version {number} is there, {told} was saved"
        assert saved == version(number), f"version {number} is torn"
    told = last_told(log, "journal")
    lines = (contents(f"{folder}/journal") or b"").decode().splitlines()
    assert told <= len(lines) <= told + 1, f"{len(lines)} lines, fsync returned for {told}"
    assert lines == [f"line {i + 1:08d}" for i in range(len(lines))], "a line is torn"


def load(database, log):
    with open(log, "a", buffering=1) as told:
        try:
            connection = sqlite3.connect(database, isolation_level=None)
            connection.execute("pragma synchronous = full")
            connection.execute("create table if not exists rows (number integer primary key, text)")
            told.write("commit 0\n")
            number = 0
            while True:
                number += 1
                connection.execute("begin immediate")
                connection.execute("insert into rows values (?, ?)",
                                   (number, str(number) * (number * 131 % 3000)))
                connection.execute("update rows set text = text || '+' where number = ?",
                                   (number // 2,))
                connection.execute("commit")
                told.write(f"commit {number}\n")
        except sqlite3.OperationalError as error:
            print(error)


def check_load(database, log):
    if not open(log).read():
        return  # killed before the table was made
    told = last_told(log, "commit")
    connection = sqlite3.connect(database)
    assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    rows = connection.execute("select number, text from rows order by number").fetchall()
    assert told <= len(rows) <= told + 1, f"{len(rows)} rows, {told} were committed"
    for i, (number, text) in enumerate(rows, 1):
        pluses = sum(1 for twice in (2 * i, 2 * i + 1) if twice <= len(rows))
        assert number == i and text == str(i) * (i * 131 % 3000) + "+" * pluses, f"row {i}"
    print(f"   {len(rows)} rows, {told} told of")


def right_bytes(original, copy):
    """How many bytes of `copy` are those of `original`; the others must be holes: zeros, in whole."""
    assert len(copy) <= len(original), f"{len(copy)} bytes of {len(original)}"
    right = 0
    page = 4096
    for at in range(0, len(copy), page):
        found, wanted = copy[at:at + page], original[at:at + page]
        if found == wanted[:len(found)]:
            right += len(found)
        else:
            assert not any(found), f"wrong bytes at {at}"
    return right


def check_untar(original, copy, names, errors):
    """Every file that tar went on from, and said nothing ill of, is there with all that belongs to it."""
    told = [line.rstrip("/") for line in open(names).read().splitlines()]
    ill = {line.split(": ")[1] for line in open(errors) if line.startswith("tar: ")}
    whole = [name for name in told if name not in ill]
    if whole == told:
        whole = whole[:-1]  # it may have been killed in this one
    whole = set(whole)
    base = os.path.dirname(original)
    found = 0
    for name in whole:
        wanted, there = f"{base}/{name}", f"{copy}/{name}"
        a, b = os.lstat(wanted), os.lstat(there)
        assert stat.S_IFMT(a.st_mode) == stat.S_IFMT(b.st_mode), name
        if stat.S_ISLNK(a.st_mode):
            assert os.readlink(wanted) == os.readlink(there), name
        elif stat.S_ISREG(a.st_mode):
            assert contents(wanted) == contents(there), f"{name} is torn"
            assert a.st_mode == b.st_mode, f"{name}: mode {b.st_mode:o}"
            assert a.st_mtime_ns // 10**9 == b.st_mtime_ns // 10**9, f"{name}: time"
            found += 1
    extra = torn = 0
    for folder, _, files in os.walk(copy):
        for file in files:
            there = f"{folder}/{file}"
            name = os.path.relpath(there, copy)
            if name in whole or os.path.islink(there):
                continue
            extra += 1
            wanted = contents(f"{base}/{name}")
            assert wanted is not None, f"{name} was never made"
            torn += right_bytes(wanted, contents(there)) < len(wanted)
    assert extra <= 2, f"{extra} files that tar did not tell of"
    print(f"   {found} files whole, {torn} not")


def check_part(original, copy):
    there = contents(copy)
    print(0 if there is None else right_bytes(contents(original), there))


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
