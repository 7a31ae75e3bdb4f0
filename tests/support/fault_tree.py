"""Programs of the fault harness that know everything of their files: a tree of one's own with a model
beside it, and `homefs put` and `get` beside the mounts. See fault_program.py."""
import errno
import os
import subprocess
import time

from fault_program import Program, pattern


class Node:
    """A file, as it has to be. `data` is what was written; `is_synced` whether close(2) or fsync(2) said so."""

    def __init__(self):
        self.data = bytearray()
        self.xattrs = {}
        self.mode = 0o644
        self.links = 0


class Tree(Program):
    """Random operations in a folder of its own, each answer compared with a model. The model stands in
    `model` at its end for those who look at the server's disk and through other mounts; a program whose
    mount was killed begins a new folder, as what was unsynced is not known."""

    kind = "tree"

    def begin(self):
        self.round = getattr(self, "round", 0) + 1
        self.top = f"tree{self.index}.{self.round}"
        self.folders = {self.top: set()}  # path: names
        self.files = {}  # path: Node
        self.open_files = []  # (fd, node)
        self.serial = 0
        self.call(os.mkdir, self.top)
        self.call(os.mkdir, f"{self.top}/d0")
        self.folders[self.top].add("d0")
        self.folders[f"{self.top}/d0"] = set()

    # ---- the model ----

    def add(self, path, node=None):
        folder, name = path.rsplit("/", 1)
        self.folders[folder].add(name)
        if node is None:
            self.folders[path] = set()
        else:
            self.files[path] = node
            node.links += 1

    def drop(self, path):
        folder, name = path.rsplit("/", 1)
        self.folders[folder].discard(name)
        if path in self.files:
            self.files.pop(path).links -= 1
        else:
            del self.folders[path]

    def new_path(self):
        self.serial += 1
        return f"{self.random.choice(sorted(self.folders))}/n{self.serial}"

    def some_file(self):
        return self.random.choice(sorted(self.files)) if self.files else None

    # ---- operations ----

    def step(self):
        operation = self.random.choice(self.OPERATIONS)
        if len(self.files) > 60:
            operation = Tree.unlink
        operation(self)
        if self.random.random() < 0.15:
            self.look_at(self.some_file())

    def create(self):
        path = self.new_path()
        node = Node()
        fd = self.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        if fd < 0:
            return
        self.add(path, node)
        self.write_some(fd, node)
        self.end_with(fd, node)

    def end_with(self, fd, node):
        if len(self.open_files) < 6 and self.random.random() < 0.3:
            self.open_files.append((fd, node))
        else:
            self.call(os.close, fd)

    def write_some(self, fd, node):
        self.serial += 1
        offset = self.random.choice((0, len(node.data), self.random.randrange(20000)))
        data = pattern(self.index, self.serial, self.random.choice((1, 100, 5000, 40000)))
        if self.call(os.pwrite, fd, data, offset) != len(data):
            return self.violation("short", program=self.name)
        if offset > len(node.data):
            node.data.extend(bytes(offset - len(node.data)))
        node.data[offset:offset + len(data)] = data
        if self.random.random() < 0.2:
            self.call(os.fsync, fd)

    def change(self):
        path = self.some_file()
        if path is None:
            return
        fd = self.open(path, os.O_RDWR)
        if fd >= 0:
            self.write_some(fd, self.files[path])
            self.end_with(fd, self.files[path])

    def append(self):
        path = self.some_file()
        if path is None:
            return
        fd = self.open(path, os.O_WRONLY | os.O_APPEND)
        if fd < 0:
            return
        for _ in range(self.random.randrange(1, 5)):
            self.serial += 1
            data = pattern(self.index, self.serial, self.random.randrange(1, 300))
            if self.call(os.write, fd, data) == len(data):
                self.files[path].data.extend(data)
        self.call(os.close, fd)

    def truncate(self):
        path = self.some_file()
        if path is None:
            return
        size = self.random.choice((0, 10, 5000, 60000))
        if self.call(os.truncate, path, size) is None:
            data = self.files[path].data
            del data[size:]
            data.extend(bytes(size - len(data)))

    def work_on_open_file(self):
        if not self.open_files:
            return
        fd, node = self.open_files.pop(self.random.randrange(len(self.open_files)))
        self.check(fd, node, "an open file")
        self.write_some(fd, node)
        self.check(fd, node, "an open file")
        self.end_with(fd, node)

    def check(self, fd, node, what):
        stat = self.call(os.fstat, fd)
        flags = self.call(os.open, f"/proc/self/fd/{fd}", os.O_RDONLY) if node.links else -1
        data = self.call(os.pread, flags if flags >= 0 else fd, len(node.data) + 100, 0, allowed=(errno.EBADF,))
        if flags >= 0:
            self.call(os.close, flags)
        if not isinstance(stat, int) and (stat.st_size, stat.st_nlink) != (len(node.data), node.links):
            self.violation("wrong attributes", of=what, seen=(stat.st_size, stat.st_nlink),
                           wanted=(len(node.data), node.links))
        if not isinstance(data, int) and data != node.data:
            self.violation("wrong data", of=what, size=len(data), wanted=len(node.data), at=first_difference(data, node.data))

    def look_at(self, path):
        if path is None:
            return
        node = self.files[path]
        fd = self.open(path, os.O_RDONLY)
        if fd < 0:
            return
        self.check(fd, node, path)
        self.call(os.close, fd)

    def unlink(self):
        path = self.some_file()
        if path is not None and self.call(os.unlink, path) is None:
            self.drop(path)

    def link(self):
        path, new = self.some_file(), self.new_path()
        if path is not None and self.call(os.link, path, new) is None:
            self.add(new, self.files[path])

    def dance(self):
        """One of several links gets another name, and goes; the file has to be found by those that stay."""
        linked = sorted(path for path, node in self.files.items() if node.links > 1)
        if not linked:
            return self.link()
        path, new = self.random.choice(linked), self.new_path()
        node = self.files[path]
        if self.call(os.rename, path, new) is None:
            self.drop(path)
            self.add(new, node)
            if self.call(os.unlink, new) is None:
                self.drop(new)
        return self.look_at(next(path for path, other in self.files.items() if other is node))

    def rename(self):
        path = self.some_file()
        if path is None:
            return
        target = self.some_file() if self.random.random() < 0.4 else self.new_path()
        if self.call(os.rename, path, target) is not None:
            return
        if target in self.files and self.files[target] is self.files[path]:
            return  # two links of one file: nothing happens
        node = self.files[path]
        if target in self.files:
            self.drop(target)
        self.drop(path)
        self.add(target, node)

    def rename_folder(self):
        folders = sorted(f for f in self.folders if f != self.top)
        path = self.random.choice(folders)
        parents = [f for f in self.folders if f != path and not f.startswith(path + "/")]
        self.serial += 1
        target = f"{self.random.choice(sorted(parents))}/m{self.serial}"
        if self.call(os.rename, path, target) is not None:
            return
        parent, name = path.rsplit("/", 1)
        self.folders[parent].discard(name)
        parent, name = target.rsplit("/", 1)
        self.folders[parent].add(name)
        for table in (self.folders, self.files):
            for old in [p for p in table if p == path or p.startswith(path + "/")]:
                table[target + old[len(path):]] = table.pop(old)

    def mkdir(self):
        path = self.new_path()
        if self.call(os.mkdir, path) is None:
            self.add(path)

    def rmdir(self):
        folders = [f for f in self.folders if f.count("/") > 0]
        if len(folders) < 2:
            return
        path = self.random.choice(sorted(folders))
        wanted = -errno.ENOTEMPTY if self.folders[path] else None
        seen = self.call(os.rmdir, path, allowed=(errno.ENOTEMPTY,))
        if seen != wanted:
            self.violation("wrong answer", call="rmdir", seen=seen, wanted=wanted, path=path)
        if seen is None and path in self.folders:
            self.drop(path)

    def chmod(self):
        path = self.some_file()
        if path is None:
            return
        mode = self.random.choice((0o600, 0o644, 0o755))
        if self.call(os.chmod, path, mode) is None:
            self.files[path].mode = mode

    def set_xattr(self):
        path = self.some_file()
        if path is None:
            return
        name = f"user.x{self.random.randrange(3)}"
        xattrs = self.files[path].xattrs
        if name in xattrs and self.random.random() < 0.4:
            if self.call(os.removexattr, path, name) is None:
                del xattrs[name]
            return
        value = b"%d" % self.serial
        if self.call(os.setxattr, path, name, value) is None:
            xattrs[name] = value
        if self.call(os.getxattr, path, name) != value:
            self.violation("wrong xattr", name=name)

    def list_folder(self):
        path = self.random.choice(sorted(self.folders))
        seen = self.call(os.listdir, path)
        if not isinstance(seen, int) and set(seen) != self.folders[path]:
            self.violation("wrong listing", path=path, missing=sorted(self.folders[path] - set(seen)),
                           more=sorted(set(seen) - self.folders[path]))

    OPERATIONS = (create, create, create, change, change, append, append, truncate, work_on_open_file,
                  work_on_open_file, unlink, link, link, dance, dance, rename, rename, rename_folder, mkdir, rmdir, chmod, set_xattr,
                  list_folder)

    # ---- the end ----

    def finish(self):
        while self.open_files:
            fd, node = self.open_files.pop()
            self.check(fd, node, "an open file at the end")
            self.call(os.close, fd)
        self.tell(self.place)

    def tell(self, place):
        """Path by path what has to be there, for fault_checks.py."""
        lines = [f"d {path}" for path in sorted(self.folders)]
        for path, node in sorted(self.files.items()):
            xattrs = ",".join(f"{name}={value.decode()}" for name, value in sorted(node.xattrs.items()))
            lines.append(f"f {path} {node.mode:o} {node.links} {len(node.data)} {digest(node.data)} {xattrs}")
        with open(f"{place}/model.{self.name}", "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")

    def forget(self):
        self.close_quietly(*(fd for fd, _ in self.open_files))
        self.open_files = []


def digest(data):
    import hashlib  # noqa: PLC0415
    return hashlib.md5(bytes(data)).hexdigest()


def first_difference(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


class PutGet(Program):
    """`homefs put` and `get` beside the mounts. Its working directory is no mount's. Journal: `put N`."""

    kind = "put"

    def enter(self):
        os.chdir(f"{self.place}/scratch")
        return True

    def homefs(self, command, *arguments):
        cell = self.shared.call_cell(self.index)
        self.shared.put(cell, -1)  # it may take its time: it has to end when the faults do
        done = subprocess.run([self.homefs_bin, command, "-q", *self.login, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, env=self.environment)
        self.shared.put(cell, 0)
        return done

    def step(self):
        number = self.count + 1
        length = self.random.choice((0, 100, 100_000, 3_000_000, 12_000_000))
        local, back = f"local{self.index}", f"back{self.index}"
        with open(local, "wb") as file:
            file.write(pattern(self.index, number, length))
        name = f"put{self.index}.{number % 3}"
        self.note("try", number, name)
        put = self.homefs("put", local, f"/{name}")
        if put.returncode != 0:
            # A command that cannot connect says so, as promised.
            if put.returncode != 5:
                self.violation("put failed", status=put.returncode, text=put.stderr[-300:])
            return time.sleep(0.2)
        self.note("put", number, name, length)
        get = self.homefs("get", f"/{name}", back)
        if get.returncode != 0:
            if get.returncode != 5:
                self.violation("get failed", status=get.returncode, text=get.stderr[-300:])
            return time.sleep(0.2)
        with open(back, "rb") as file:
            if file.read() != pattern(self.index, number, length):
                self.violation("wrong data", of="what was put and got", length=length)
        os.unlink(back)
        return None
