#!/usr/bin/env python3
"""Programs that force what they do to the disk, and a check that it got there.

  durable_work.py run FOLDER LOGS SEED    works in FOLDER until LOGS/stop is there
  durable_work.py check FOLDER LOGS       compares FOLDER with what the logs in LOGS say

Each program notes (in a file of LOGS that has nothing to do with FOLDER) what it is about to do, and
what fsync(2), an O_SYNC write or a commit has confirmed. What was confirmed must be there, exactly;
of what was only tried any part may be. A program that is told of an error forgets what it had not
confirmed, opens its files anew and goes on.

While LOGS/pause is there the programs rest; LOGS/paused says that all do. At the end `run` prints what
was confirmed and which errors were told. It ends with 1 when something was lost that it had confirmed.

A note is [what, key, value]; a key is KIND:PATH or KIND:PATH#NUMBER. Values of the kinds:
  whole  [version, size] of a file with contents made of them; null: no such name
  cell   version of 512 bytes of a file
  name   "folder", "link TARGET", "empty" or null: no such name
  record number of what is at that place of a file
  row    of an SQLite database: its length, or null
A try of "*" stands for anything.
"""
import collections
import errno
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time

CELL = 512
CELLS = 256
RECORD = 300
ANY = "*"


def whole_content(path, version, size):
    return random.Random(f"{path} {version}").randbytes(size)


def cell_content(path, number, version):
    text = f"{path}#{number}:{version};".encode()
    return bytes(CELL) if version == 0 else (text * CELL)[:CELL]


def record_content(path, number):
    text = f"{path} {number} ".encode()
    return (text * RECORD)[: RECORD - 1] + b"\n"


def row_content(number, length):
    return random.Random(number).randbytes(length // 2).hex()


class Log:
    """The notes of one program."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.confirmed = 0

    def write(self, *note):
        os.write(self.fd, json.dumps(note).encode() + b"\n")

    def trying(self, key, value):
        self.write("try", key, value)

    def sure(self, key, value):
        self.confirmed += 1
        self.write("sure", key, value)


class Work:
    """What the logs say may be there: for each key what was confirmed last, and tried since."""

    def __init__(self, logs):
        self.sure = {}
        self.tried = collections.defaultdict(list)
        for name in sorted(os.listdir(logs)):
            if not name.endswith(".notes"):
                continue
            with open(os.path.join(logs, name), encoding="utf-8") as notes:
                for line in notes:
                    what, key, value = json.loads(line)
                    if what == "try":
                        self.tried[key].append(value)
                    else:
                        self.sure[key] = value
                        self.tried.pop(key, None)

    def keys(self):
        return self.sure.keys() | self.tried.keys()

    def allowed(self, key):
        return [self.sure.get(key)] + self.tried.get(key, [])


# --- the programs ------------------------------------------------------------------------------


class Program(threading.Thread):
    """One of the programs: step() until told to stop, begin() first and after each error."""

    def __init__(self, folder, logs, seed, control):
        super().__init__(name=type(self).__name__.lower(), daemon=True)
        self.random = random.Random(f"{seed} {self.name}")
        self.top = folder
        self.dir = self.name
        self.log = Log(os.path.join(logs, self.name + ".notes"))
        self.control = control
        self.errors = collections.Counter()
        self.fds = []
        self.version = 0
        self.failure = None

    def at(self, path):
        return os.path.join(self.top, path)

    def open(self, path, flags, mode=0o644):
        fd = os.open(self.at(path), flags, mode)
        self.fds.append(fd)
        return fd

    def close(self, fd):
        self.fds.remove(fd)
        os.close(fd)

    def sync(self, fd):
        (os.fsync if self.random.random() < 0.7 else os.fdatasync)(fd)

    def sync_folder(self, path):
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        self.close(fd)

    def linger(self):
        """So that some of the cuts come between writing and syncing."""
        if self.random.random() < 0.3:
            time.sleep(self.random.random() * 0.3)

    def write_all(self, fd, data, offset=None):
        at = 0
        while at < len(data):
            piece = data[at : at + self.random.choice((4096, 65536, 300000))]
            at += os.write(fd, piece) if offset is None else os.pwrite(fd, piece, offset + at)

    def run(self):
        is_ready = False
        while not self.control.rest():
            try:
                if not is_ready:
                    self.begin()
                    is_ready = True
                self.step()
            except (OSError, sqlite3.Error) as error:
                is_ready = False
                number = getattr(error, "errno", None)
                name = errno.errorcode[number] if number else str(error)
                self.errors[name] += 1
                self.give_up()
                time.sleep(0.05)
            except Exception as error:  # pylint: disable=broad-except
                self.failure = repr(error)
                break
        self.give_up()
        self.control.ended()

    def give_up(self):
        for fd in self.fds:
            try:
                os.close(fd)
            except OSError as error:
                self.errors["close: " + errno.errorcode[error.errno]] += 1
        self.fds = []

    def begin(self):
        os.makedirs(self.at(self.dir), exist_ok=True)
        self.sync_folder(".")

    def lost(self, text):
        raise AssertionError("LOST: " + text)


class Create(Program):
    """New files, each synced; of a third the last sync is after a close, through another open."""

    def step(self):
        self.version += 1
        path = f"{self.dir}/file{self.version}"
        key, size = "whole:" + path, self.random.choice((10, 4096, 70000, 900000))
        self.log.trying(key, ANY)
        fd = self.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self.write_all(fd, whole_content(path, self.version, size))
        if self.random.random() < 0.3:
            self.close(fd)
            self.linger()
            fd = self.open(path, os.O_RDONLY)
        else:
            self.linger()
        self.sync(fd)
        self.log.sure(key, [self.version, size])
        self.close(fd)
        if self.version > 12 and self.random.random() < 0.8:
            self.remove(f"{self.dir}/file{self.random.randrange(1, self.version - 10)}")

    def remove(self, path):
        if not os.path.exists(self.at(path)):
            return
        self.log.trying("whole:" + path, None)
        os.unlink(self.at(path))
        self.sync_folder(self.dir)
        self.log.sure("whole:" + path, None)


class Replace(Program):
    """A file that is replaced as editors do it: the new one is synced, renamed, and the folder."""

    def step(self):
        self.version += 1
        path, new = f"{self.dir}/file{self.random.randrange(4)}", f"{self.dir}/new"
        size = self.random.choice((0, 100, 5000, 300000))
        self.log.trying("whole:" + new, ANY)
        fd = self.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.write_all(fd, whole_content(path, self.version, size))
        self.sync(fd)
        self.close(fd)
        self.log.trying("whole:" + path, [self.version, size])
        self.log.trying("whole:" + new, None)
        os.rename(self.at(new), self.at(path))
        self.linger()
        self.sync_folder(self.dir)
        self.log.sure("whole:" + path, [self.version, size])
        self.log.sure("whole:" + new, None)


class Overwrite(Program):
    """Parts of one file, synced after some of them."""

    flags = 0

    def begin(self):
        super().begin()
        self.pending = {}
        self.path = self.dir + "/file"
        self.log.trying("whole:" + self.path, ANY)
        self.fd = self.open(self.path, os.O_RDWR | os.O_CREAT | self.flags)
        if os.fstat(self.fd).st_size < CELL * CELLS:
            os.ftruncate(self.fd, CELL * CELLS)
        os.fsync(self.fd)
        if self.version == 0:
            self.log.sure("whole:" + self.path, ANY)
            for cell in range(CELLS):
                self.log.sure(f"cell:{self.path}#{cell}", 0)

    def overwrite(self):
        first = self.random.randrange(CELLS)
        end = min(CELLS, first + self.random.choice((1, 3, 8, 100)))
        self.version += 1
        cells = {f"cell:{self.path}#{i}": self.version for i in range(first, end)}
        for key, version in cells.items():
            self.log.trying(key, version)
        data = [cell_content(self.path, i, self.version) for i in range(first, end)]
        os.pwrite(self.fd, b"".join(data), first * CELL)
        self.pending.update(cells)

    def settle(self):
        for key, version in self.pending.items():
            self.log.sure(key, version)
        self.pending = {}

    def step(self):
        self.overwrite()
        self.linger()
        if self.random.random() < 0.5:
            self.sync(self.fd)
            self.settle()


class Osync(Overwrite):
    """The same with O_SYNC: each write is durable when it returns."""

    flags = os.O_SYNC

    def step(self):
        self.overwrite()
        self.settle()
        self.linger()


class Append(Program):
    """Records behind each other. What of them is there after an error is cut to what is whole."""

    def begin(self):
        super().begin()
        if not hasattr(self, "durable"):
            self.durable = []
        self.path = self.dir + "/file"
        self.key = "whole:" + self.path
        self.log.trying(self.key, ANY)
        fd = self.open(self.path, os.O_RDWR | os.O_CREAT)
        expected = b"".join(record_content(self.path, n) for n in self.durable)
        if os.pread(fd, len(expected), 0) != expected:
            self.lost(f"{self.path}: {len(expected)} bytes were confirmed")
        os.ftruncate(fd, len(expected))
        os.fsync(fd)
        self.log.sure(self.key, ANY)
        self.close(fd)
        self.fd = self.open(self.path, os.O_WRONLY | os.O_APPEND)
        self.pending = []

    def step(self):
        for _ in range(self.random.choice((1, 5, 60))):
            self.version += 1
            os.write(self.fd, record_content(self.path, self.version))
            self.pending.append(self.version)
        self.linger()
        self.sync(self.fd)
        for number in self.pending:
            self.log.sure(f"record:{self.path}#{len(self.durable)}", number)
            self.durable.append(number)
        self.pending = []


class Names(Program):
    """Folders, links, empty files, renames, removals; the folder is synced after some of them."""

    def begin(self):
        super().begin()
        self.pending = {}

    def step(self):
        for _ in range(self.random.choice((1, 1, 4))):
            self.change(f"{self.dir}/{self.random.choice('abcdefgh')}")
        self.linger()
        self.sync_folder(self.dir)
        for path, value in self.pending.items():
            self.log.sure("name:" + path, value)
        self.pending = {}

    def will(self, path, value):
        self.log.trying("name:" + path, value)
        self.pending[path] = value

    def change(self, path):
        value = name_value(self.at(path))
        if value is None:
            value = self.random.choice(("folder", "empty", f"link {self.random.randrange(10**6)}"))
            self.will(path, value)
            if value == "folder":
                os.mkdir(self.at(path))
            elif value == "empty":
                self.close(self.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            else:
                os.symlink(value[5:], self.at(path))
            return
        other = f"{self.dir}/{self.random.choice('ijklmnop')}"
        if self.random.random() < 0.5 and name_value(self.at(other)) is None:
            self.will(path, None)
            self.will(other, value)
            os.rename(self.at(path), self.at(other))
        else:
            path = other if name_value(self.at(other)) is not None else path
            value = name_value(self.at(path))
            self.will(path, None)
            (os.rmdir if value == "folder" else os.unlink)(self.at(path))


class Sqlite(Program):
    """Transactions of a database, in rollback mode. Their end is the removal of a journal, which only
    synchronous=extra syncs, on any file system."""

    pragmas = ("journal_mode=delete", "synchronous=extra")
    database = None

    def begin(self):
        super().begin()
        self.path = self.dir + "/database"
        self.log.trying("whole:" + self.path, ANY)
        # The lock of a connection that was lost is not waited for.
        self.database = sqlite3.connect(self.at(self.path), isolation_level=None, timeout=0.5)
        for pragma in self.pragmas:
            self.database.execute("pragma " + pragma)
        self.database.execute("create table if not exists rows (number integer primary key, text)")

    def give_up(self):
        super().give_up()
        if self.database is not None:
            self.database.close()
            self.database = None

    def step(self):
        rows = {}
        self.database.execute("begin immediate")
        for _ in range(self.random.choice((1, 3))):
            self.version += 1
            rows[self.version] = self.random.choice((20, 3000, 20000))
            self.log.trying(f"row:{self.path}#{self.version}", rows[self.version])
            text = row_content(self.version, rows[self.version])
            self.database.execute("insert into rows values (?, ?)", (self.version, text))
        self.database.execute("commit")
        for number, length in rows.items():
            self.log.sure(f"row:{self.path}#{number}", length)
        self.linger()


class Wal(Sqlite):
    """Transactions with a write-ahead log. Not through a mapping, as its pages are lost with the locks
    (SIGBUS)."""

    pragmas = ("locking_mode=exclusive", "journal_mode=wal", "synchronous=full")


PROGRAMS = (Create, Replace, Overwrite, Osync, Append, Names, Sqlite, Wal)


class Control:
    """Pause and stop, told by files, for all programs."""

    def __init__(self, logs):
        self.logs = logs
        self.changed = threading.Condition()
        self.resting = 0
        self.is_paused = False
        self.is_stopped = False

    def rest(self):
        with self.changed:
            self.resting += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.is_stopped or not self.is_paused)
            self.resting -= 1
            return self.is_stopped

    def ended(self):
        with self.changed:
            self.resting += 1

    def watch(self):
        paused = os.path.join(self.logs, "paused")
        while not self.is_stopped:
            time.sleep(0.02)
            with self.changed:
                self.is_stopped = os.path.exists(os.path.join(self.logs, "stop"))
                self.is_paused = os.path.exists(os.path.join(self.logs, "pause"))
                self.changed.notify_all()
                is_quiet = self.is_paused and self.resting == len(PROGRAMS)
            if is_quiet != os.path.exists(paused):
                if is_quiet:
                    os.close(os.open(paused, os.O_CREAT))
                else:
                    os.unlink(paused)


def run(folder, logs, seed):
    control = Control(logs)
    programs = [kind(folder, logs, seed, control) for kind in PROGRAMS]
    for program in programs:
        program.start()
    control.watch()
    for program in programs:
        program.join()
        told = ", ".join(f"{count} {name}" for name, count in sorted(program.errors.items()))
        print(f"{program.name}: {program.log.confirmed} confirmed; told of: {told or 'nothing'}")
    failures = [f"{p.name}: {p.failure}" for p in programs if p.failure]
    print("\n".join(failures))
    return 1 if failures else 0


# --- the check ---------------------------------------------------------------------------------


def name_value(path):
    if os.path.islink(path):
        return "link " + os.readlink(path)
    if os.path.isdir(path):
        return "folder"
    return "empty" if os.path.exists(path) else None


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def is_whole(path, data, value):
    if value is None or data is None:
        return value is None and data is None
    return len(data) == value[1] and data == whole_content(path, *value)


def read_rows(folder, path, findings):
    """The rows of a copy of the database, after its own recovery."""
    with tempfile.TemporaryDirectory() as copy:
        for suffix in ("", "-journal", "-wal"):
            if os.path.exists(os.path.join(folder, path + suffix)):
                shutil.copyfile(os.path.join(folder, path + suffix), f"{copy}/database{suffix}")
        database = sqlite3.connect(copy + "/database")
        verdict = database.execute("pragma integrity_check").fetchone()[0]
        if verdict != "ok":
            findings.append(f"{path}: {verdict}")
        has_rows = database.execute("select 1 from sqlite_master where name = 'rows'").fetchone()
        rows = dict(database.execute("select number, text from rows")) if has_rows else {}
        database.close()
        return rows


def holds(folder, key, allowed, contents, findings):
    """Whether one of the allowed values is what is there."""
    kind, _, rest = key.partition(":")
    path, _, number = rest.partition("#")
    if path not in contents:
        if kind == "row":
            contents[path] = read_rows(folder, path, findings)
        else:
            contents[path] = read(os.path.join(folder, path)) if kind != "name" else None
    data = contents[path]
    if kind == "name":
        return name_value(os.path.join(folder, path)) in allowed
    if kind == "whole":
        return any(is_whole(path, data, value) for value in allowed)
    if data is None:
        return False
    if kind == "row":
        text = data.get(int(number))
        values = [None if v is None else row_content(int(number), v) for v in allowed]
        return text in values
    size = CELL if kind == "cell" else RECORD
    part = data[int(number) * size : (int(number) + 1) * size]
    if kind == "record":
        return any(part == record_content(path, value) for value in allowed)
    return any(part == cell_content(path, int(number), value) for value in allowed)


def check(folder, logs):
    work = Work(logs)
    findings, contents, confirmed = [], {}, 0
    for key in sorted(work.keys(), key=lambda key: not key.startswith("row:")):
        allowed = work.allowed(key)
        confirmed += key in work.sure
        if ANY in allowed and not (key in work.sure and work.sure[key] == ANY):
            continue
        if ANY in allowed:
            if not os.path.exists(os.path.join(folder, key.partition(":")[2])):
                findings.append(f"{key} is not there")
        elif not holds(folder, key, allowed, contents, findings):
            findings.append(f"{key}: allowed is {allowed}, confirmed {key in work.sure}")
    known = {key.partition(":")[2].partition("#")[0] for key in work.keys()}
    for place, _, files in os.walk(folder):
        for name in files:
            path = os.path.relpath(os.path.join(place, name), folder)
            if path not in known and not path.endswith(("-journal", "-wal", "-shm")):
                findings.append(f"{path}: nobody made this")
    print(f"{confirmed} confirmed things, {len(findings)} are not as they were")
    print("\n".join(findings[:20]))
    return 1 if findings else 0


def main():
    if sys.argv[1] == "run":
        return run(sys.argv[2], sys.argv[3], sys.argv[4])
    return check(sys.argv[2], sys.argv[3])


if __name__ == "__main__":
    sys.exit(main())
