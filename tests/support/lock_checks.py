#!/usr/bin/env python3
"""What programs do with file locks, in two folders that show the same files.

  lock_checks.py basic A B               all kinds of locks between A and B
  lock_checks.py hold FILE KIND          takes an exclusive lock, says "held", keeps it until it is killed
  lock_checks.py try FILE KIND           ends with 0 if an exclusive lock can be had, with 1 if not
  lock_checks.py after FILE GO           takes a lock, says "held", and when GO is there what a write says
  lock_checks.py sqlite MODE N A A B B   4 processes, each counts N times in one database
  lock_checks.py spool N A A B B         4 processes, each counts N times under a lock made by link(2)

KIND is flock, posix or ofd.
"""
import errno
import fcntl
import os
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import time

OFD_GETLK, OFD_SETLK, OFD_SETLKW = 36, 37, 38
FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux
# Long enough for a busy machine; what is to happen happens in milliseconds.
DEADLINE_S = 30
# What must not happen is looked for so long.
GRACE_S = 0.3


def record(command, descriptor, kind, begin, length):
    """fcntl() with a struct flock; (type, begin, length, pid) as it comes back."""
    asked = struct.pack(FLOCK, kind, os.SEEK_SET, begin, length, 0)
    kind, _, begin, length, pid = struct.unpack(FLOCK, fcntl.fcntl(descriptor, command, asked))
    return kind, begin, length, pid


def take(descriptor, kind, waits=False, shared=False):
    if kind == "flock":
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, mode | (0 if waits else fcntl.LOCK_NB))
        return
    mode = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
    if kind == "posix":
        record(fcntl.F_SETLKW if waits else fcntl.F_SETLK, descriptor, mode, 0, 0)
    else:
        record(OFD_SETLKW if waits else OFD_SETLK, descriptor, mode, 0, 0)


class Process:
    """A process of its own that does what it is told, one call at a time: each of `calls` is a
    function of this module or of fcntl, and its descriptors are names of files it has opened."""

    def __init__(self):
        to_child, from_parent = os.pipe()
        to_parent, from_child = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(from_parent)
            os.close(to_parent)
            self.serve(os.fdopen(to_child), from_child)
            os._exit(0)
        os.close(to_child)
        os.close(from_child)
        self.commands, self.answers = os.fdopen(from_parent, "w"), os.fdopen(to_parent)

    @staticmethod
    def serve(commands, answers):
        signal.signal(signal.SIGUSR1, Process.on_signal)
        scope = {"os": os, "fcntl": fcntl, "record": record, "take": take, "open": os.open,
                 "RW": os.O_RDWR, "RO": os.O_RDONLY, "OFD_GETLK": OFD_GETLK,
                 "OFD_SETLK": OFD_SETLK, "OFD_SETLKW": OFD_SETLKW}
        for command in commands:
            try:
                exec(command, scope)  # pylint: disable=exec-used
                answer = f"ok {scope.pop('result', '')}"
            except InterruptedError:
                answer = "EINTR"
            except OSError as error:
                answer = "EDEADLK" if error.errno == errno.EDEADLK else errno.errorcode[error.errno]
            os.write(answers, f"{answer}\n".encode())

    @staticmethod
    def on_signal(*_):
        raise InterruptedError  # else Python makes the call again

    def begin(self, command):
        self.commands.write(command + "\n")
        self.commands.flush()

    def has_answered(self, seconds):
        return bool(select.select([self.answers], [], [], seconds)[0])

    def end(self, seconds=DEADLINE_S):
        if not self.has_answered(seconds):
            raise AssertionError("no answer")
        return self.answers.readline().strip()

    def do(self, command):
        self.begin(command)
        return self.end()

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def close(self):
        # Its pipes are open in later processes too: it would never see their end.
        self.begin("os._exit(0)")
        os.waitpid(self.pid, 0)


def begin(sentence):
    print(f"-- {sentence}", flush=True)


def expect(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}")


def expect_wait(process):
    if process.has_answered(GRACE_S):
        raise AssertionError(f"did not wait: {process.answers.readline()}")


def pair(first, second, name):
    """Two processes, each with the file open as `f`."""
    with open(os.path.join(first, name), "wb") as file:
        file.write(b"x" * 100)
    a, b = Process(), Process()
    expect(a.do(f"f = open({os.path.join(first, name)!r}, RW)"), "ok")
    expect(b.do(f"f = open({os.path.join(second, name)!r}, RW)"), "ok")
    return a, b


def check_kind(kind, first, second):
    a, b = pair(first, second, f"kind-{kind}")
    take_it, wait_for_it = f"take(f, {kind!r})", f"take(f, {kind!r}, waits=True)"
    release = {"flock": "fcntl.flock(f, fcntl.LOCK_UN)",
               "posix": "record(fcntl.F_SETLK, f, fcntl.F_UNLCK, 0, 0)",
               "ofd": "record(OFD_SETLK, f, fcntl.F_UNLCK, 0, 0)"}[kind]

    begin(f"{kind}: one at a time")
    expect(a.do(take_it), "ok")
    expect(b.do(take_it), "EAGAIN")
    expect(a.do(release), "ok")
    expect(b.do(take_it), "ok")
    expect(a.do(take_it), "EAGAIN")

    begin(f"{kind}: who waits gets it when it is free")
    a.begin(wait_for_it)
    expect_wait(a)
    expect(b.do(release), "ok")
    expect(a.end(), "ok")

    begin(f"{kind}: a signal ends the wait at once, and nothing is left of it")
    b.begin(wait_for_it)
    expect_wait(b)
    started = time.monotonic()
    os.kill(b.pid, signal.SIGUSR1)
    expect(b.end(), "EINTR")
    print(f"   EINTR after {1000 * (time.monotonic() - started):.1f} ms")
    expect(a.do(release), "ok")
    expect(a.do(take_it), "ok")

    begin(f"{kind}: shared locks are shared")
    expect(a.do(release), "ok")
    expect(a.do(f"take(f, {kind!r}, shared=True)"), "ok")
    expect(b.do(f"take(f, {kind!r}, shared=True)"), "ok")
    if kind == "flock":
        expect(b.do(take_it), "EAGAIN")  # and what it had is gone, as flock(2) says
        expect(a.do(take_it), "ok")
    else:
        expect(a.do(take_it), "EAGAIN")
        expect(b.do(release), "ok")
        expect(a.do(take_it), "ok")

    begin(f"{kind}: closing the file drops it")
    b.begin(wait_for_it)
    expect_wait(b)
    expect(a.do("os.close(f)"), "ok")
    expect(b.end(), "ok")

    begin(f"{kind}: so does the end of the program, however it ends")
    c = Process()
    expect(c.do(f"f = open({os.path.join(first, f'kind-{kind}')!r}, RW)"), "ok")
    c.begin(wait_for_it)
    expect_wait(c)
    b.kill()
    expect(c.end(), "ok")

    begin(f"{kind}: a program that is killed while it waits leaves nothing behind")
    d, e = Process(), Process()
    for process, folder in ((d, second), (e, second)):
        expect(process.do(f"f = open({os.path.join(folder, f'kind-{kind}')!r}, RW)"), "ok")
    d.begin(wait_for_it)
    expect_wait(d)
    d.kill()
    expect(c.do(release), "ok")
    expect(e.do(take_it), "ok")
    for process in (a, c, e):
        process.close()


def check_ranges(first, second):
    a, b = pair(first, second, "ranges")
    lock = "record(fcntl.F_SETLK, f, fcntl.F_WRLCK, {}, {})"

    begin("Ranges of one file are locked apart")
    expect(a.do(lock.format(0, 10)), "ok")
    expect(b.do(lock.format(10, 10)), "ok")
    expect(b.do(lock.format(9, 1)), "EAGAIN")
    expect(a.do(lock.format(19, 100)), "EAGAIN")
    expect(a.do(lock.format(20, 0)), "ok")
    expect(b.do(lock.format(1 << 40, 1)), "EAGAIN")

    begin("A part of a lock can be given back")
    expect(a.do("record(fcntl.F_SETLK, f, fcntl.F_UNLCK, 30, 10)"), "ok")
    expect(b.do(lock.format(30, 10)), "ok")
    expect(b.do(lock.format(40, 1)), "EAGAIN")
    expect(b.do(lock.format(29, 1)), "EAGAIN")

    begin("F_GETLK names the lock in the way, and its process where it is one of this mount")
    answer = "result = record(fcntl.F_GETLK, f, fcntl.F_WRLCK, {}, {})"
    expect(b.do(answer.format(0, 5)), f"ok {(fcntl.F_WRLCK, 0, 10, 0)}")
    expect(b.do(answer.format(45, 5)), f"ok {(fcntl.F_WRLCK, 40, 0, 0)}")
    expect(b.do(answer.format(10, 10)), f"ok {(fcntl.F_UNLCK, 10, 10, 0)}")
    c = Process()
    expect(c.do(f"f = open({os.path.join(first, 'ranges')!r}, RW)"), "ok")
    expect(c.do(answer.format(0, 5)), f"ok {(fcntl.F_WRLCK, 0, 10, a.pid)}")
    expect(a.do("record(fcntl.F_SETLK, f, fcntl.F_UNLCK, 50, 5)"), "ok")
    expect(a.do("record(OFD_SETLK, f, fcntl.F_WRLCK, 50, 5)"), "ok")
    expect(c.do(answer.format(50, 1)), f"ok {(fcntl.F_WRLCK, 50, 5, a.pid)}")  # not -1
    expect(a.do("record(OFD_SETLK, f, fcntl.F_UNLCK, 50, 5)"), "ok")
    expect(a.do(lock.format(50, 5)), "ok")
    c.close()

    begin("Any close of the file by the process drops its locks of it, but not those of the open file")
    path = os.path.join(first, "ranges")
    expect(a.do("record(OFD_SETLK, f, fcntl.F_WRLCK, 50, 5)"), "EAGAIN")  # it is another owner
    expect(a.do("record(fcntl.F_SETLK, f, fcntl.F_UNLCK, 50, 5)"), "ok")
    expect(a.do("record(OFD_SETLK, f, fcntl.F_WRLCK, 50, 5)"), "ok")
    expect(a.do(f"os.close(open({path!r}, RO))"), "ok")
    expect(b.do(lock.format(0, 10)), "ok")
    expect(b.do(lock.format(50, 5)), "EAGAIN")
    expect(a.do("os.close(f)"), "ok")
    expect(b.do("record(fcntl.F_SETLKW, f, fcntl.F_WRLCK, 50, 5)"), "ok")
    a.close()
    b.close()


def check_deadlock(first, second):
    begin("Two that would wait for each other: the second hears EDEADLK")
    a, b = pair(first, second, "deadlock")
    expect(a.do("record(fcntl.F_SETLK, f, fcntl.F_WRLCK, 0, 1)"), "ok")
    expect(b.do("record(fcntl.F_SETLK, f, fcntl.F_WRLCK, 1, 1)"), "ok")
    a.begin("record(fcntl.F_SETLKW, f, fcntl.F_WRLCK, 1, 1)")
    expect_wait(a)
    expect(b.do("record(fcntl.F_SETLKW, f, fcntl.F_WRLCK, 0, 1)"), "EDEADLK")
    expect(b.do("record(fcntl.F_SETLK, f, fcntl.F_UNLCK, 1, 1)"), "ok")
    expect(a.end(), "ok")
    a.close()
    b.close()


def check_data(first, second):
    begin("What was written under a lock is read under the next one: 200 turns")
    a, b = pair(first, second, "data")
    step = ("take(f, 'posix', waits=True); n = int(os.pread(f, 12, 0)); "
            "os.pwrite(f, b'%012d' % (n + 1), 0); record(fcntl.F_SETLK, f, fcntl.F_UNLCK, 0, 0)")
    expect(a.do("os.pwrite(f, b'%012d' % 0, 0)"), "ok")
    for _ in range(100):
        expect(a.do(step), "ok")
        expect(b.do(step), "ok")
    expect(a.do("result = int(os.pread(f, 12, 0))"), "ok 200")
    many = f"for i in range(100): {step}".replace("; ", "\n  ").replace("100): ", "100):\n  ")
    many = f"exec({many!r})"
    a.begin(many)
    b.begin(many)
    expect(a.end(120), "ok")
    expect(b.end(120), "ok")
    expect(a.do("result = int(os.pread(f, 12, 0))"), "ok 400")
    a.close()
    b.close()


def basic(first, second):
    for kind in ("flock", "posix", "ofd"):
        check_kind(kind, first, second)
        check_kind(kind, first, first)
    check_ranges(first, second)
    check_deadlock(first, second)
    check_data(first, second)


def hold(path, kind):
    descriptor = os.open(path, os.O_RDWR)
    take(descriptor, kind, waits=True)
    print("held", flush=True)
    signal.pause()


def try_it(path, kind):
    descriptor = os.open(path, os.O_RDWR)
    try:
        take(descriptor, kind)
    except BlockingIOError:
        sys.exit(1)


def after(path, go):
    descriptor = os.open(path, os.O_RDWR)
    take(descriptor, "posix", waits=True)
    print("held", flush=True)
    while not os.path.exists(go):
        time.sleep(0.02)
    try:
        os.pwrite(descriptor, b"?", 0)
        print("ok", flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)


def count_in_database(folder, count, mode):
    base = sqlite3.connect(os.path.join(folder, "count.db"), timeout=120, isolation_level=None)
    base.execute("PRAGMA busy_timeout=120000")
    expect(base.execute("PRAGMA journal_mode").fetchone()[0], mode)
    for _ in range(count):
        base.execute("BEGIN IMMEDIATE")
        value = base.execute("SELECT value FROM counter").fetchone()[0]
        base.execute("UPDATE counter SET value = ?", (value + 1,))
        base.execute("INSERT INTO history VALUES (?, ?)", (os.getpid(), value + 1))
        base.execute("COMMIT")
    base.close()


def in_processes(work, folders):
    """Runs work(folder) in a process for each of `folders`."""
    pids = []
    for folder in folders:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work(folder)
                status = 0
            except BaseException as error:  # pylint: disable=broad-except
                print(f"{folder}: {error!r}", file=sys.stderr, flush=True)
            os._exit(status)
        pids.append(pid)
    expect([os.waitpid(pid, 0)[1] for pid in pids], [0] * len(pids))


def make_database(path, mode):
    for end in ("", "-journal", "-wal", "-shm"):
        if os.path.exists(path + end):
            os.unlink(path + end)
    base = sqlite3.connect(path, isolation_level=None)
    base.execute(f"PRAGMA journal_mode={mode}")
    base.execute("CREATE TABLE counter (value INTEGER)")
    base.execute("INSERT INTO counter VALUES (0)")
    base.execute("CREATE TABLE history (pid INTEGER, value INTEGER)")
    return base


def sqlite(mode, count, folders):
    count = int(count)
    make_database(os.path.join(folders[0], "count.db"), mode).close()
    started = time.monotonic()
    in_processes(lambda folder: count_in_database(folder, count, mode), folders)
    seconds = time.monotonic() - started
    for folder in sorted(set(folders)):
        base = sqlite3.connect(os.path.join(folder, "count.db"))
        expect(base.execute("PRAGMA integrity_check").fetchone()[0], "ok")
        expect(base.execute("SELECT value FROM counter").fetchone()[0], len(folders) * count)
        expect(base.execute("SELECT count(DISTINCT value) FROM history").fetchone()[0],
               len(folders) * count)
        base.close()
    total = len(folders) * count
    print(f"   {mode}: {total} transactions, {total / seconds:.0f}/s")


def is_elsewhere(error):
    """What SQLite says of a write-ahead log that another mount uses."""
    return "locked" in str(error) or "locking protocol" in str(error)


def count_by_turns(folder, count):
    """Counts with a connection for each transaction; the others' turn ends within their own."""
    path, done, end = os.path.join(folder, "count.db"), 0, time.monotonic() + DEADLINE_S * 4
    while done < count:
        if time.monotonic() > end:
            raise AssertionError(f"only {done} transactions")
        base = sqlite3.connect(path, timeout=5, isolation_level=None)
        try:
            base.execute("BEGIN IMMEDIATE")
            value = base.execute("SELECT value FROM counter").fetchone()[0]
            base.execute("UPDATE counter SET value = ?", (value + 1,))
            base.execute("COMMIT")
            done += 1
        except sqlite3.OperationalError as error:
            if not is_elsewhere(error):
                raise
        finally:
            base.close()


def wal_by_turns(count, *folders):
    """A database with a write-ahead log in several mounts: used by one at a time, nothing lost."""
    count = int(count)
    path = os.path.join(folders[0], "count.db")
    base = make_database(path, "wal")
    expect(base.execute("SELECT value FROM counter").fetchone()[0], 0)
    other = sqlite3.connect(os.path.join(folders[1], "count.db"), timeout=1)
    try:
        other.execute("UPDATE counter SET value = 1000")
        raise AssertionError("used by two mounts at once")
    except sqlite3.OperationalError as error:
        expect(is_elsewhere(error), True)
    other.close()
    base.execute("UPDATE counter SET value = value")
    base.close()
    in_processes(lambda folder: count_by_turns(folder, count), folders)
    for folder in sorted(set(folders)):
        base = sqlite3.connect(os.path.join(folder, "count.db"))
        expect(base.execute("PRAGMA integrity_check").fetchone()[0], "ok")
        expect(base.execute("SELECT value FROM counter").fetchone()[0], len(folders) * count)
        base.close()


def count_in_spool(folder, count):
    """As mail programs lock a mailbox: a file of one's own, linked to the name of the lock."""
    own = os.path.join(folder, f"own.{os.getpid()}")
    lock, mailbox = os.path.join(folder, "mailbox.lock"), os.path.join(folder, "mailbox")
    with open(own, "wb") as file:
        file.write(str(os.getpid()).encode())
    for _ in range(count):
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                os.link(own, lock)
            except FileExistsError:
                pass
            if os.stat(own).st_nlink == 2:
                break
            if time.monotonic() > end:
                raise AssertionError("the lock is never free")
            time.sleep(0.001)
        with open(mailbox, "rb") as file:
            value = int(file.read())
        with open(mailbox, "wb") as file:
            file.write(b"%d" % (value + 1))
        os.unlink(lock)
    os.unlink(own)


def spool(count, folders):
    count = int(count)
    with open(os.path.join(folders[0], "mailbox"), "wb") as file:
        file.write(b"0")
    in_processes(lambda folder: count_in_spool(folder, count), folders)
    with open(os.path.join(folders[-1], "mailbox"), "rb") as file:
        expect(int(file.read()), len(folders) * count)


def main():
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "basic":
        basic(*arguments)
    elif what == "hold":
        hold(*arguments)
    elif what == "try":
        try_it(*arguments)
    elif what == "after":
        after(*arguments)
    elif what == "sqlite":
        sqlite(arguments[0], arguments[1], arguments[2:])
    elif what == "wal-by-turns":
        wal_by_turns(*arguments)
    elif what == "spool":
        spool(arguments[0], arguments[1:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
