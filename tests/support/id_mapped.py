#!/usr/bin/env python3
"""id_mapped.py SOURCE TARGET: bind-mounts SOURCE on TARGET in a mount namespace of its own, with the ids
mapped by 100000, and checks owners both ways. Says so and ends well where the kernel cannot do it."""
import ctypes
import os
import struct
import sys

SHIFT = 100000
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
AT_EMPTY_PATH, AT_FDCWD = 0x1000, -100
IDMAP = 0x100000
libc = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def namespace_of_users():
    """A descriptor of a user namespace in which our ids are shifted."""
    ready, is_ready = os.pipe()
    may_end, ends = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ends)
        status = libc.unshare(CLONE_NEWUSER)
        os.write(is_ready, b"y" if status == 0 else b"n")
        os.read(may_end, 1)
        os._exit(0)
    assert os.read(ready, 1) == b"y", "no user namespaces"
    for kind in ("uid", "gid"):
        with open(f"/proc/{child}/{kind}_map", "w") as file:
            file.write(f"0 {SHIFT} 1000")
    descriptor = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    os.close(ends)
    os.waitpid(child, 0)
    return descriptor


source, target = sys.argv[1:]
assert libc.unshare(CLONE_NEWNS) == 0
call(165, b"none", b"/", None, 0x4000 | 0x40000, None)  # mount: MS_REC | MS_PRIVATE
users = namespace_of_users()
tree = call(OPEN_TREE, AT_FDCWD, source.encode(), 1)  # OPEN_TREE_CLONE
attributes = struct.pack("=QQQQ", IDMAP, 0, 0, users)
try:
    call(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, attributes, len(attributes))
except OSError as error:
    if tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 12):
        raise
    print(f"skipped: {error}")
    sys.exit(0)
call(MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), 4)  # MOVE_MOUNT_F_EMPTY_PATH
own = os.stat(source)
shown = os.stat(target)
assert (shown.st_uid, shown.st_gid) == (own.st_uid + SHIFT, own.st_gid + SHIFT), shown
made = "made"
child = os.fork()
if child == 0:
    os.chdir(target)  # folders on the way are root's
    os.setgroups([])
    os.setresgid(SHIFT, SHIFT, SHIFT)
    os.setresuid(SHIFT, SHIFT, SHIFT)
    with open(made, "w") as file:
        file.write("text")
    os.mkdir(made + ".d")
    os.rename(made, made + ".d/moved")
    assert os.stat(made + ".d/moved").st_uid == SHIFT
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0, "whom the mapping makes the owner could not use it"
found = os.stat(os.path.join(source, "made.d", "moved"))
assert (found.st_uid, found.st_gid) == (own.st_uid, own.st_gid), found
