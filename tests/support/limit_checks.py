#!/usr/bin/env python3
"""What bites at the limits: very many open files, huge folders, deep paths, odd names, sparse files.

Usage: limit_checks.py CHECK FOLDER... [NUMBER...]; the checks are the functions named check_*. Each
says how long its steps took, and ends with status 1 and a reason at the first thing that is wrong.
"""
import ctypes
import errno
import os
import random
import resource
import subprocess
import sys
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
GIB = 1 << 30


def wanted(is_right, what):
    if not is_right:
        sys.exit(f"FAIL: {what}")


class Timed:
    """with Timed("what"): says how long it took."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        self.begin = time.monotonic()

    def __exit__(self, *_):
        print(f"   {self.what}: {time.monotonic() - self.begin:.2f} s", flush=True)


def fails_with(number, what, call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except OSError as error:
        wanted(error.errno == number, f"{what}: {error}, not {errno.errorcode[number]}")
        return
    sys.exit(f"FAIL: {what}: no {errno.errorcode[number]}")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


# ---- open files -------------------------------------------------------------------------------


def check_open_files(folder, count, client, server):
    """`count` files open at once, written and read through all, also without their names."""
    count = int(count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    before = descriptors(client)
    text = lambda i, turn: f"file {i}, turn {turn}\n".encode() * (1 + i % 7)
    path = lambda i: f"{folder}/file{i}"
    with Timed(f"{count} files made and kept open"):
        fds = [os.open(path(i), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644) for i in range(count)]
    with Timed("written through all"):
        for i, fd in enumerate(fds):
            os.write(fd, text(i, 1))
    with Timed("read through all"):
        for i, fd in enumerate(fds):
            wanted(os.pread(fd, 1000, 0) == text(i, 1), f"file {i} reads as something else")
    # A quarter of 20,000 is what the server may keep open for files, at most 4,096.
    client_fds, server_fds = descriptors(client), descriptors(server)
    print(f"   descriptors: {client_fds} of the mount (before: {before}), {server_fds} of the server")
    wanted(client_fds <= before + 20, f"the mount has {client_fds} descriptors, had {before}")
    wanted(server_fds <= 4096 + 200, f"the server has {server_fds} descriptors")
    with Timed("removed while they are open"):
        for i in range(count):
            os.unlink(path(i))
    order = random.Random(1).sample(range(count), count)
    with Timed("written and read without names, in random order"):
        for i in order:
            os.pwrite(fds[i], text(i, 2), 0)
        for i in reversed(order):
            wanted(os.pread(fds[i], 1000, 0) == text(i, 2), f"the nameless file {i} lost its data")
    wanted(os.fstat(fds[0]).st_nlink == 0, "a removed file has a name")
    wanted(descriptors(server) <= 4096 + 200, f"the server has {descriptors(server)} descriptors")
    with Timed("closed"):
        for fd in fds:
            os.close(fd)
    wanted(os.listdir(folder) == [], "names are left")


# ---- a large folder ---------------------------------------------------------------------------


class Dirent(ctypes.Structure):
    _fields_ = [("inode", ctypes.c_uint64), ("offset", ctypes.c_int64), ("length", ctypes.c_uint16),
                ("kind", ctypes.c_uint8), ("name", ctypes.c_char * 256)]


LIBC.opendir.restype = ctypes.c_void_p
LIBC.readdir.restype = ctypes.POINTER(Dirent)
LIBC.readdir.argtypes = LIBC.telldir.argtypes = [ctypes.c_void_p]
LIBC.rewinddir.argtypes = LIBC.closedir.argtypes = [ctypes.c_void_p]
LIBC.telldir.restype = ctypes.c_long
LIBC.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


class Listing:
    """opendir(3) and its friends, of which Python knows no telldir."""

    def __init__(self, path):
        self.stream = LIBC.opendir(os.fsencode(path))
        wanted(self.stream, f"opendir {path}: errno {ctypes.get_errno()}")

    def next(self):
        entry = LIBC.readdir(self.stream)
        return entry.contents.name if entry else None

    def rest(self):
        names = []
        while (name := self.next()) is not None:
            if name not in (b".", b".."):
                names.append(name)
        return names

    def tell(self):
        return LIBC.telldir(self.stream)

    def seek(self, place):
        LIBC.seekdir(self.stream, place)

    def rewind(self):
        LIBC.rewinddir(self.stream)

    def close(self):
        LIBC.closedir(self.stream)


class Churn(threading.Thread):
    """Makes, renames and removes names in a folder until it is told to stop."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.stopping, self.changes = folder, threading.Event(), 0

    def run(self):
        numbers = random.Random(2)
        there = []
        while not self.stopping.is_set():
            if len(there) > 50 and numbers.random() < 0.6:
                name = there.pop(numbers.randrange(len(there)))
                if numbers.random() < 0.5:
                    os.unlink(name)
                else:
                    there.append(f"{self.folder}/moved{self.changes}")
                    os.rename(name, there[-1])
            else:
                there.append(f"{self.folder}/other{self.changes}")
                os.mknod(there[-1])
            self.changes += 1
        for name in there:
            os.unlink(name)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()


def check_places(folder, names):
    """telldir() and seekdir() lead back to the same names, also a long way."""
    listing = Listing(folder)
    places = {}
    order = []
    while True:
        place = listing.tell()
        name = listing.next()
        if name is None:
            break
        places[name] = place
        order.append(name)
    wanted(sorted(n for n in order if not n.startswith(b".")) == sorted(names), "names are missing")
    numbers = random.Random(3)
    for _ in range(50):
        at = numbers.randrange(len(order))
        listing.seek(places[order[at]])
        for k in range(at, min(at + 5, len(order))):
            found = listing.next()
            wanted(found == order[k], f"seekdir to {order[at]} leads to {found}, not {order[k]}")
    os.mknod(folder + "/late")
    listing.rewind()
    wanted(b"late" in listing.rest(), "rewinddir() shows what was there before")
    os.unlink(folder + "/late")
    listing.close()


def check_large_folder(folder, count, churned):
    """`count` entries; `churned`: the same folder, where others change it, perhaps another mount."""
    count = int(count)
    os.mkdir(folder)
    names = [b"entry%d" % i for i in range(count)]
    with Timed(f"{count} entries made"):
        at = os.open(folder, os.O_RDONLY)
        for name in names:
            os.mknod(name, dir_fd=at)
        os.close(at)
    with Timed("listed"):
        wanted(sorted(os.listdir(os.fsencode(folder))) == sorted(names), "the listing is not what was made")
    with Timed("telldir, seekdir, rewinddir"):
        check_places(folder, names)
    rounds = 5
    with Timed(f"listed {rounds} times while it changes"), Churn(churned) as churn:
        listing = Listing(folder)
        for turn in range(rounds):
            listing.rewind()
            found = listing.rest()
            stable = [n for n in found if n.startswith(b"entry")]
            wanted(len(stable) == len(set(stable)), f"turn {turn}: an entry appears twice")
            wanted(len(stable) == count, f"turn {turn}: {len(stable)} of the {count} entries")
            wanted(len(found) == len(set(found)), f"turn {turn}: a name appears twice")
        listing.close()
        before = churn.changes
        while churn.changes == before:  # it is still at work
            time.sleep(0.01)
    print(f"   {churn.changes} changes meanwhile")
    with Timed("ls -l"):
        lines = subprocess.run(["ls", "-l", folder], check=True, capture_output=True).stdout.count(b"\n")
        wanted(lines == count + 1, f"ls -l shows {lines - 1} entries")
    with Timed("rm -rf"):
        subprocess.run(["rm", "-rf", folder], check=True)
    wanted(not os.path.lexists(folder), "the folder is still there")


# ---- links ------------------------------------------------------------------------------------


def check_links(folder, path, reference):
    """link(2) until EMLINK; `reference`: the limit of the disk below, and the same error there."""
    os.makedirs(folder, exist_ok=True)
    first = os.stat(path).st_nlink
    made = 0
    with Timed("links made until it says no"):
        while True:
            try:
                os.link(path, f"{folder}/link{made}")
            except OSError as error:
                wanted(error.errno == errno.EMLINK, f"after {first + made} links: {error}")
                break
            made += 1
    links = os.stat(path).st_nlink
    print(f"   {links} links")
    wanted(links == first + made == int(reference), f"{links} links, not {reference}")
    fails_with(errno.EMLINK, "link again", os.link, path, f"{folder}/more")
    wanted(not os.path.lexists(f"{folder}/more"), "a link that failed is there")
    # The server may need one link for itself, to find a file whose name here was removed.
    os.unlink(f"{folder}/link0")
    os.unlink(f"{folder}/link1")
    os.link(path, f"{folder}/link0")
    wanted(os.stat(f"{folder}/link0").st_ino == os.stat(path).st_ino, "not the same file")
    with Timed("removed"):
        subprocess.run(["rm", "-rf", folder], check=True)
    wanted(os.stat(path).st_nlink == first, "the count of links is wrong")


# ---- deep paths -------------------------------------------------------------------------------


def check_deep(folder, depth, restart=None):
    """A path far longer than PATH_MAX, by *at calls; `restart`: where to ask for one of the server."""
    depth, part = int(depth), "deep" * 30
    at = os.open(folder, os.O_RDONLY)
    with Timed(f"{depth} folders of {len(part)} bytes, each in the one before"):
        for _ in range(depth):
            os.mkdir(part, dir_fd=at)
            below = os.open(part, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
    def there(path, flags):
        return os.open(path, flags, 0o644, dir_fd=at)
    with open("bottom", "w", opener=there) as file:
        file.write("at the bottom")
    fails_with(errno.ENAMETOOLONG, "the whole path", os.stat, folder + "/" + "/".join([part] * depth))
    if restart:
        with Timed("the server restarted, and used again"):
            open(restart + "/restart", "w").close()
            while not os.path.exists(restart + "/restarted"):
                time.sleep(0.05)
            with open("after", "w", opener=there) as file:
                file.write("after")
    with open("bottom", opener=there) as file:
        wanted(file.read() == "at the bottom", "the file at the bottom reads as something else")
    os.rename("bottom", "renamed", src_dir_fd=at, dst_dir_fd=at)
    os.symlink("renamed", "link", dir_fd=at)
    wanted(os.stat("link", dir_fd=at).st_size == len("at the bottom"), "the link leads elsewhere")
    # Up to the top and down again, as a walk does.
    up = 0
    with Timed("up by .."):
        here = os.dup(at)
        top = os.stat(folder)
        while not os.path.samestat(os.fstat(here), top):
            above = os.open("..", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here, up = above, up + 1
        os.close(here)
    wanted(up == depth, f"{up} folders up, not {depth}")
    os.close(at)
    with Timed("rm -rf"):
        subprocess.run(["rm", "-rf", f"{folder}/{part}"], check=True)
    wanted(os.listdir(folder) == [], "something is left")


# ---- names ------------------------------------------------------------------------------------


def check_names(folder):
    """Names are bytes: any but / and NUL, up to 255 of them."""
    base = os.fsencode(folder)
    numbers = random.Random(4)
    letters = [b for b in range(1, 256) if b != ord("/")]
    names = {bytes(letters[:255]).ljust(255, b"x"), b"\xff" * 255, b"\xc3\x28" * 127, b"...", b"-rf",
             b"\n" * 255, b" ", b"\\", b"*", "\u00e4".encode() * 127}
    names |= {bytes(numbers.choices(letters, k=255)) for _ in range(200)}
    for name in names:
        with open(base + b"/" + name, "wb") as file:
            file.write(name)
    wanted(set(os.listdir(base)) == names, "the listing does not show the names that were made")
    for name in names:
        with open(base + b"/" + name, "rb") as file:
            wanted(file.read() == name, f"{name!r} is another file")
    one = b"\xfe" * 255
    os.rename(base + b"/" + b"\xff" * 255, base + b"/" + one)
    os.symlink(one, base + b"/" + b"\xfd" * 255)
    wanted(os.readlink(base + b"/" + b"\xfd" * 255) == one, "the symlink's target is another")
    os.mkdir(base + b"/" + b"\xfc" * 255)
    long = base + b"/" + b"n" * 256
    short = base + b"/" + one
    for what, call in [("open", lambda: os.open(long, os.O_CREAT | os.O_WRONLY)),
                       ("mkdir", lambda: os.mkdir(long)), ("stat", lambda: os.stat(long)),
                       ("symlink", lambda: os.symlink("x", long)), ("link", lambda: os.link(short, long)),
                       ("rename", lambda: os.rename(short, long)), ("rename of it", lambda: os.rename(long, short)),
                       ("unlink", lambda: os.unlink(long)), ("rmdir", lambda: os.rmdir(long)),
                       ("mkfifo", lambda: os.mkfifo(long)), ("readlink", lambda: os.readlink(long))]:
        fails_with(errno.ENAMETOOLONG, f"{what} with 256 bytes", call)
    os.symlink(b"t" * 4095, base + b"/target")
    wanted(os.readlink(base + b"/target") == b"t" * 4095, "a target of 4,095 bytes")
    subprocess.run(["rm", "-rf", folder], check=True)
    wanted(not os.path.lexists(folder), "something is left")


# ---- sizes ------------------------------------------------------------------------------------


def sparse_facts(path, far):
    """What a sparse file looks like; the same on every file system with holes."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    facts = []
    os.pwrite(fd, b"begin", 0)
    os.pwrite(fd, b"middle", far // 2)
    os.pwrite(fd, b"end", far)
    os.fsync(fd)
    found = os.fstat(fd)
    facts.append(("size", found.st_size, "holes", found.st_blocks * 512 < 1 << 20))
    for place in (0, 1, 4096, far // 2 - 1, far // 2, far // 2 + 5, far // 2 + 70000, far, far + 2, far + 3):
        for whence in (os.SEEK_DATA, os.SEEK_HOLE):
            try:
                facts.append((place, whence, os.lseek(fd, place, whence)))
            except OSError as error:
                facts.append((place, whence, errno.errorcode[error.errno]))
    for place in (0, 3, 5 << 20, far // 2 - 3, far - 10, far, far + 3):
        facts.append((place, os.pread(fd, 20, place)))
    for size in (far + 100, far // 2 + 3, 2, far, far // 2 + 100):
        os.ftruncate(fd, size)
        facts.append((size, os.fstat(fd).st_size, os.pread(fd, 10, far // 2), os.pread(fd, 10, max(0, size - 5))))
    facts.append(("few blocks", os.fstat(fd).st_blocks * 512 < 1 << 20))
    os.close(fd)
    return facts


def check_sparse(folder, local, gib):
    far = int(gib) * GIB + 12345
    with Timed(f"a file of {gib} GiB, nearly all holes"):
        ours, theirs = sparse_facts(f"{folder}/sparse", far), sparse_facts(f"{local}/sparse", far)
    for one, two in zip(ours, theirs):
        wanted(one == two, f"the mount says {one}, the local disk {two}")
    fails_with(errno.EINVAL, "a write past what an offset can be", write_far, f"{folder}/sparse")
    fails_with(errno.EINVAL, "a negative size", os.truncate, f"{folder}/sparse", -1)
    os.unlink(f"{folder}/sparse")
    os.unlink(f"{local}/sparse")


def write_far(path):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(fd, b"x", (1 << 63) - 1)
    finally:
        os.close(fd)


def check_cut_under_writers(folder, seconds):
    """Writers of whole blocks, while the file is cut and grown: no byte that nobody wrote."""
    path, block, writers = f"{folder}/cut", 64 * 1024, 3
    end = time.monotonic() + float(seconds)
    os.close(os.open(path, os.O_CREAT, 0o644))

    def write(number):
        rand = random.Random(number)
        fd = os.open(path, os.O_WRONLY)
        while time.monotonic() < end:
            os.pwrite(fd, bytes([number]) * block, rand.randrange(32) * block)
        os.close(fd)

    threads = [threading.Thread(target=write, args=(n + 1,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    rand, fd, cuts = random.Random(99), os.open(path, os.O_RDWR), 0
    while time.monotonic() < end:
        size = rand.randrange(33) * block + rand.choice([0, 1, 4095, 5000])
        os.ftruncate(fd, size)
        data = os.pread(fd, block, rand.randrange(32) * block)
        wanted(set(data) <= set(range(writers + 1)), "a byte that nobody wrote")
        cuts += 1
    for thread in threads:
        thread.join()
    os.ftruncate(fd, 100)
    os.ftruncate(fd, 200000)
    wanted(os.pread(fd, 200000, 0)[100:] == bytes(199900), "what was cut off is back")
    print(f"   {cuts} changes of size")
    os.close(fd)
    os.unlink(path)


def check_direct(folder, rounds):
    """O_DIRECT with any offset and length, beside an ordinary descriptor of the same file."""
    path, numbers = f"{folder}/direct", random.Random(5)
    model = bytearray()
    direct = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)
    plain = os.open(path, os.O_RDWR)
    lengths = [1, 3, 511, 512, 513, 4095, 4096, 4097, 65535, 65536, 65537, 131073, 1048576, 1100001]
    with Timed(f"{rounds} reads and writes of odd sizes"):
        for turn in range(int(rounds)):
            fd = numbers.choice([direct, direct, plain])
            offset = numbers.choice([0, 1, 511, 512, 4096, 4097, 65536, 70001, numbers.randrange(2000000)])
            length = numbers.choice(lengths)
            if numbers.random() < 0.5:
                data = numbers.randbytes(length)
                wanted(os.pwrite(fd, data, offset) == length, f"turn {turn}: a short write")
                model.extend(bytes(max(0, offset + length - len(model))))
                model[offset:offset + length] = data
            elif numbers.random() < 0.1:
                os.ftruncate(fd, offset)
                del model[offset:]
                model.extend(bytes(offset - len(model)))
            else:
                found = os.pread(fd, length, offset)
                wanted(found == model[offset:offset + length], f"turn {turn}: {length} bytes at {offset} differ")
    os.close(direct)
    os.close(plain)
    with open(path, "rb") as file:
        wanted(file.read() == model, "the file is not what was written")
    os.unlink(path)


if __name__ == "__main__":
    globals()["check_" + sys.argv[1]](*sys.argv[2:])
