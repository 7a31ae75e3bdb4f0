#!/usr/bin/env python3
"""Makes the test vectors of the protocol, from the tables of protocol/PROTOCOL.md alone.

It knows nothing of the C++ code: where the two disagree, a test fails. What it makes is committed:
protocol/vectors/*.txt, and the first inputs of the fuzzers, tests/fuzz/corpus/{codec,name}/vector-*.
tests/lint/protocol_vectors.sh checks that the committed files are what it makes.
"""
import argparse
import base64
import hashlib
import hmac
import json
import pathlib
import re
import struct

DOCUMENT = pathlib.Path(__file__).resolve().parents[1] / "protocol" / "PROTOCOL.md"
INTEGERS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8, "node": 8, "inode": 8}
BLOCK_BYTES = 65536


# ---- The document -------------------------------------------------------------------------------

def read_tables():
    """(section, title) -> rows of the first table below that heading, as lists of cells."""
    tables = {}
    section = title = None
    in_table = False
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        heading = re.match(r"(##+) (.*)", line)
        if heading:
            title = heading.group(2)
            section = title if heading.group(1) == "##" else section
            tables[section, title] = []
            in_table = True
        elif line.startswith("|") and in_table:
            tables[section, title].append([cell.strip() for cell in line.strip("|").split("|")])
        elif tables.get((section, title)):
            in_table = False
    return tables


class Document:
    """Structures (name -> fields), enumerations (name -> highest value), operations, statuses."""

    def __init__(self):
        tables = read_tables()
        self.structures, self.enumerations, self.messages = {}, {}, []
        for (section, title), rows in tables.items():
            if section not in ("Encoding", "Messages") or title == section:
                continue
            if rows and rows[0][0] == "value":
                self.enumerations[title] = max(int(row[0]) for row in rows[2:])
                continue
            fields = [(row[0], row[1]) for row in rows[2:]]
            if title == "Introductions" or not rows or rows[0][0] == "field":
                self.structures[title] = fields
            if section == "Messages":
                self.messages.append(title)
        self.structures["timestamp"] = [("seconds", "i64"), ("nanoseconds", "nanoseconds")]
        operations = tables["Operations", "Operations"][2:]
        self.operations = [int(row[0]) for row in operations]
        statuses = tables["Status codes", "Status codes"][2:]
        self.statuses = [int(row[0]) for row in statuses]


# ---- Values -------------------------------------------------------------------------------------

class Leaf:
    """One value on the wire: where it is, what it is, and its bytes."""

    def __init__(self, path, kind, text, offset, size):
        self.path, self.kind, self.text, self.offset, self.size = path, kind, text, offset, size


class Maker:
    """Fills in a message with values of a style: zero, max or mixed."""

    def __init__(self, document, style, seed):
        self.document, self.style, self.seed = document, style, seed
        self.leaves, self.data = [], b""

    def random(self, path, bits):
        digest = hashlib.sha256(f"{self.seed}.{path}".encode()).digest()
        return int.from_bytes(digest[:8], "little") & ((1 << bits) - 1)

    def put(self, path, kind, text, data):
        self.leaves.append(Leaf(path, kind, text, len(self.data), len(data)))
        self.data += data

    def number(self, path, kind):
        bits = 8 * INTEGERS[kind]
        value = {"zero": 0, "max": (1 << bits) - 1, "mixed": self.random(path, bits)}[self.style]
        data = value.to_bytes(bits // 8, "little")
        if kind == "i64":
            value = struct.unpack("<q", data)[0]
        self.put(path, kind, str(value), data)

    def choice(self, path, kind, highest):
        value = {"zero": 0, "max": highest, "mixed": self.random(path, 16) % (highest + 1)}
        self.put(path, kind, str(value[self.style]), bytes([value[self.style]]))
        return value[self.style]

    def string(self, path):
        text = {"zero": b"", "max": b"\0/\x7f\x80\xff\xc3\xbc",
                "mixed": hashlib.sha256(path.encode()).digest()[:1 + self.random(path, 4)]}
        data = text[self.style]
        self.put(path, "string16", data.hex() or "-", struct.pack("<H", len(data)) + data)

    def make(self, path, kind):
        if kind in INTEGERS:
            self.number(path, kind)
        elif kind == "nanoseconds":
            value = {"zero": 0, "max": 999_999_999, "mixed": self.random(path, 32) % 10**9}
            self.put(path, "u32", str(value[self.style]), struct.pack("<I", value[self.style]))
        elif kind == "bool":
            self.choice(path, "bool", 1)
        elif kind == "string16":
            self.string(path)
        elif kind == "digest":
            data = {"zero": bytes(16), "max": b"\xff" * 16, "mixed": hashlib.md5(path.encode()).digest()}
            self.put(path, "digest", data[self.style].hex(), data[self.style])
        elif kind in self.document.enumerations:
            self.choice(path, "enum", self.document.enumerations[kind])
        elif kind.startswith("list32 "):
            count = {"zero": 0, "max": 1, "mixed": 2}[self.style]
            self.put(path, "count", str(count), struct.pack("<I", count))
            for i in range(count):
                self.make(f"{path}[{i}]", kind.removeprefix("list32 "))
        elif kind.startswith("optional "):
            if self.choice(path, "present", 1):
                self.make(path, kind.removeprefix("optional "))
        else:
            for field, field_kind in self.document.structures[kind]:
                self.make(f"{path}.{field}" if path else field, field_kind)


def made(document, name, style, seed=""):
    maker = Maker(document, style, name + seed)
    maker.make("", name)
    return maker


def refusals(document, name):
    """(why, bytes) of things that are no `name`: each kind of bad field once, and cut short."""
    result, seen = [], set()
    good = made(document, name, "max")
    for leaf in good.leaves:
        bad = {"bool": b"\x02", "present": b"\xff", "count": b"\xff\xff\xff\xff"}.get(leaf.kind)
        if leaf.kind == "enum":
            bad = bytes([int(leaf.text) + 1])
        if leaf.path.endswith("nanoseconds"):
            bad = struct.pack("<I", 10**9)
        if leaf.kind == "string16":  # longer than any may be, and all there
            bad = struct.pack("<H", 4096) + b"x" * 4096
        what = "nanoseconds" if leaf.path.endswith("nanoseconds") else leaf.kind
        if bad is None or what in seen or (leaf.kind == "string16" and name != "TargetReply"):
            continue
        seen.add(what)
        end = leaf.offset + leaf.size
        result.append((leaf.path, good.data[:leaf.offset] + bad + good.data[end:]))
    if good.data:
        result.append(("cut-short", good.data[:-1]))
        result.append(("nothing", b""))
    return result


# ---- The files ----------------------------------------------------------------------------------

def hexadecimal(data):
    return data.hex() or "-"


def message_vectors(document):
    lines = ["# Messages: `message NAME STYLE`, values as `PATH TYPE VALUE`, `encoded HEX`.",
             "# `refused NAME WHY HEX` is not a message of that name."]
    for name in document.messages:
        for style in ("zero", "max", "mixed"):
            maker = made(document, name, style)
            lines.append(f"message {name} {style}")
            lines += [f"  {leaf.path} {leaf.kind} {leaf.text}" for leaf in maker.leaves]
            lines.append(f"encoded {hexadecimal(maker.data)}")
        lines += [f"refused {name} {why} {hexadecimal(data)}"
                  for why, data in refusals(document, name)]
    return lines


def header(body_bytes=0, op=7, kind=1, flags=0, tag=1, status=700, reserved=0, seq=0, seq_done=0):
    fields = (body_bytes, op, kind, flags, tag, status, reserved, seq, seq_done)
    return fields, struct.pack("<IHBBIHHQQ", *fields)


def frame_vectors(document):
    body_max = 1024 * 1024 + 4096
    good = [dict(op=op, kind=3 if op >= 90 else 1, tag=op) for op in document.operations]
    good += [dict(op=20, kind=2, tag=2**32 - 1, status=status, seq=2**64 - 1)
             for status in document.statuses]
    good += [dict(op=72, body_bytes=body_max, tag=0x01020304, seq_done=2**64 - 1),
             dict(op=91, kind=4, tag=0), dict(op=20, seq=0x0102030405060708, seq_done=3)]
    bad = [("too-long", dict(body_bytes=body_max + 1)), ("too-long", dict(body_bytes=2**32 - 1)),
           ("kind", dict(kind=0)), ("kind", dict(kind=5)), ("kind", dict(kind=255)),
           ("flags", dict(flags=1)), ("flags", dict(flags=128)),
           ("reserved", dict(reserved=1)), ("reserved", dict(reserved=0x8000))]
    bad += [("op", dict(op=op)) for op in (0, 8, 19, 36, 61, 74, 89, 95, 65535)]
    bad += [("status", dict(status=status)) for status in (0, 699, 706, 759, 794, 812, 65535)]
    lines = ["# Frame headers: `header BODY_BYTES OP KIND FLAGS TAG STATUS RESERVED SEQ SEQ_DONE HEX`,",
             "# `refused WHY HEX`."]
    for fields in good:
        values, data = header(**fields)
        lines.append("header " + " ".join(map(str, values)) + " " + data.hex())
    return lines + [f"refused {why} {header(**fields)[1].hex()}" for why, fields in bad]


NAMES = [b"a", b" ", b"...", b".a", b"a.", b"-rf", b"a\\b", b"a\nb", b"\x01", b"\xff\xfe",
         "Übung.txt".encode(), "\u202etxt.exe".encode(), "\U0001f4c1".encode(), b"con", b"x" * 255,
         b"\xc3\xa9" * 127]
BAD_NAMES = [(768, b""), (768, b"."), (768, b".."), (768, b"/"), (768, b"a/b"), (768, b"/a"),
             (768, b"a/"), (768, b"../a"), (768, b"\0"), (768, b"a\0"), (767, b"x" * 256),
             (767, b"\xc3\xa9" * 128), (767, b"/" * 300)]


def name_vectors():
    return (["# Names: `name HEX` is one; `refused STATUS HEX` is none, and answered so."] +
            [f"name {hexadecimal(name)}" for name in NAMES] +
            [f"refused {status} {hexadecimal(name)}" for status, name in BAD_NAMES])


def test_data(length):
    return bytes((i * 31 + (i >> 8) * 7) & 0xff for i in range(length))


def piece_vectors():
    lines = ["# Pieces: `pieces FILE_OFFSET LENGTH MD5...` of the data whose byte i is",
             "# (31 * i + 7 * (i >> 8)) mod 256; `md5 HEX MD5` of the bytes."]
    for text in (b"", b"a", b"abc", b"message digest", b"1234567890" * 8):
        lines.append(f"md5 {hexadecimal(text)} {hashlib.md5(text).hexdigest()}")
    for offset, length in ((0, 0), (7, 0), (0, 1), (0, 65535), (0, 65536), (0, 65537), (1, 65535),
                           (1, 65536), (65535, 1), (65535, 2), (123456789, 200000),
                           (2**40 + 5, 1048576), (2**63 - 1 - 100000, 100000)):
        data, digests, at = test_data(length), [], 0
        while at < length:
            count = min(BLOCK_BYTES - (offset + at) % BLOCK_BYTES, length - at)
            digests.append(hashlib.md5(data[at:at + count]).hexdigest())
            at += count
        lines.append(" ".join(["pieces", str(offset), str(length)] + digests))
    return lines


# ---- Login --------------------------------------------------------------------------------------

def hmac_sha256(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def scram(user, password, salt, iterations, client_nonce, server_nonce, gs2, binding):
    """The four messages of an exchange and the verifier, as texts."""
    def to64(data):
        return base64.b64encode(data).decode()
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac_sha256(salted, b"Client Key")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac_sha256(salted, b"Server Key")
    bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={client_nonce}"
    server_first = f"r={client_nonce}{server_nonce},s={to64(salt)},i={iterations}"
    without_proof = f"c={to64(gs2.encode() + binding)},r={client_nonce}{server_nonce}"
    auth_message = f"{bare},{server_first},{without_proof}".encode()
    signature = hmac_sha256(stored_key, auth_message)
    proof = bytes(a ^ b for a, b in zip(client_key, signature))
    return {"client_first": gs2 + bare, "server_first": server_first,
            "client_final": f"{without_proof},p={to64(proof)}",
            "server_final": f"v={to64(hmac_sha256(server_key, auth_message))}",
            "auth_message": auth_message.decode(),
            "verifier": f"SCRAM-SHA-256${iterations}:{to64(salt)}${to64(stored_key)}:{to64(server_key)}"}


def check_against_rfc7677():
    """The example of RFC 7677 section 3, which has no channel binding."""
    messages = scram("user", "pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096,
                     "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "n,,", b"")
    assert messages["client_final"].endswith("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    assert messages["server_final"] == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def scram_vectors():
    check_against_rfc7677()
    binding = hashlib.sha256(b"a channel binding").digest()
    cases = [("user", "pencil", bytes(range(16)), 4096, "no"),
             ("a,b=c", "correct horse battery staple", b"\xff" * 16, 10000, "no"),
             ("alice", "pässwörd €", b"s", 4096, "no"),
             ("bob", hashlib.md5(b"secret").hexdigest(), b"salt" * 16, 5000, "secret")]
    lines = ["# SCRAM-SHA-256-PLUS: each `scram` is followed by what goes in and comes out, as",
             "# hexadecimal; `prehashed` is the password whose MD5 stands in, or none."]
    for i, (user, password, salt, iterations, original) in enumerate(cases):
        nonces = f"Client+Nonce/{i}=0123456789", f"Server.Nonce.{i}.abcdefghijk"
        messages = scram(user, password, salt, iterations, *nonces, "p=tls-exporter,,", binding)
        lines += [f"scram {iterations}", f"  user {user.encode().hex()}",
                  f"  password {password.encode().hex()}",
                  f"  prehashed {original.encode().hex() if original != 'no' else '-'}",
                  f"  salt {salt.hex()}", f"  binding {binding.hex()}",
                  f"  client_nonce {nonces[0].encode().hex()}",
                  f"  server_nonce {nonces[1].encode().hex()}"]
        lines += [f"  {key} {text.encode().hex()}" for key, text in messages.items()]
    lines.append("# `resume KIND SECRET BINDING PROOF`")
    secret = hashlib.sha256(b"a session's secret").digest()
    for kind in ("control", "bulk"):
        proof = hmac_sha256(secret, binding + kind.encode())
        lines.append(f"resume {kind} {secret.hex()} {binding.hex()} {proof.hex()}")
    return lines


def login_vectors():
    """JSON bodies: sorted keys and no blanks, so that there is one text for each."""
    digest = base64.b64encode(bytes(range(32))).decode()
    home = {"root_inode": 2**64 - 1, "uid": 0, "gid": 65534}
    good = [
        ("Hello", {"version_min": 1, "version_max": 7, "software": "homefs 0.1.0",
                   "mechanisms": ["SCRAM-SHA-256-PLUS"]}),
        ("HelloReply", {"version": 1, "software": "", "mechanisms": ["SCRAM-SHA-256-PLUS", "X"]}),
        ("AuthStart", {"user": "alice", "scram": "p=tls-exporter,,n=alice,r=abc"}),
        ("AuthStart", {"user": "Älice", "token": "t1", "scram": "x"}),
        ("AuthStartReply", {"scram": "r=1,s=2,i=3"}),
        ("AuthStartReply", {"scram": "r=1,s=2,i=3", "prehashed": True}),
        ("AuthFinish", {"scram": "c=1", "client": "c1"}),
        ("AuthFinish", {"scram": "c=1", "client": "c1", "device": "laptop \"7\"",
                        "wants_token": True, "subdir": "a/b", "new_verifier": "SCRAM-SHA-256$"}),
        ("AuthFinishReply", {"scram": "v=1", "session": "000102030405060708090a0b0c0d0e0f",
                             "secret": digest, "incarnation": 2**64 - 1, "keepalive_s": 10,
                             "linger_s": 600, "bulk_connections": 4, "home": home}),
        ("AuthFinishReply", {"scram": "v=1", "session": "ff" * 16, "secret": digest,
                             "incarnation": 1, "keepalive_s": 1, "linger_s": 2**32 - 1,
                             "bulk_connections": 0, "token": {"id": "t1", "secret": "s"},
                             "home": home | {"preserves_owners": True, "read_only": True,
                                             "quota_bytes": 2**63, "quota_files": 1}}),
        ("Resume", {"session": "ff" * 16, "proof": digest, "kind": "control", "seq_done": 2**64 - 1}),
        ("Resume", {"session": "00" * 16, "proof": digest, "kind": "bulk", "place": 2}),
        ("ResumeReply", {"incarnation": 9, "seq_applied": 4711}),
        ("ResumeReply", {"incarnation": 9, "missed_events": True, "order": 2**64 - 1}),
        ("TokenRequest", {"action": "make", "name": "laptop"}),
        ("TokenRequest", {"action": "revoke", "id": "t1"}),
        ("TokenRequest", {"action": "list"}),
        ("TokenReply", {}),
        ("TokenReply", {"made": {"id": "t1", "secret": "s"}}),
        ("TokenReply", {"tokens": [{"id": "t1", "name": "laptop", "created": 1},
                                   {"id": "t2", "name": "", "created": 0, "last_used": 2}]}),
        ("Refusal", {"text": "no\nmore", "retry_after_s": 60}),
        ("Refusal", {})]
    bad = [("Hello", '{}'), ("Hello", ''), ("Hello", '[]'), ("Hello", '{"version_min":1}'),
           ("Refusal", '{"text":1}'), ("Refusal", '{"text":"' + "x" * 513 + '"}'),
           ("Refusal", '{"retry_after_s":-1}'), ("Refusal", '{"retry_after_s":4294967296}'),
           ("Refusal", '{"retry_after_s":1.5}'), ("Refusal", '{} {}'), ("Refusal", '{"text":"a"'),
           ("Refusal", '{"x":' + "[" * 9 + "]" * 9 + '}'), ("TokenRequest", '{"action":"steal"}'),
           ("AuthStart", '{"user":"' + "x" * 65 + '","scram":""}'),
           ("Resume", '{"session":"00","proof":"","kind":"bulk"}')]
    lines = ["# Login: `json NAME HEX` (of the text: keys sorted, no blanks); `refused NAME HEX` is none."]
    for name, value in good:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        lines += [f"# {text}", f"json {name} {text.encode().hex()}"]
    return lines + [f"refused {name} {hexadecimal(text.encode())}" for name, text in bad]


# ---- Writing ------------------------------------------------------------------------------------

def write_corpus(root, document):
    """One small input for each message (its place in the list, and its bytes), and the names."""
    codec, names = root / "tests/fuzz/corpus/codec", root / "tests/fuzz/corpus/name"
    for folder in (codec, names):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("vector-*"):
            old.unlink()
    for index, name in enumerate(document.messages):
        data = made(document, name, "mixed").data
        (codec / f"vector-{name}").write_bytes(bytes([index]) + data)
    for index, name in enumerate(NAMES + [name for _, name in BAD_NAMES]):
        (names / f"vector-{index:02}").write_bytes(name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", nargs="?", type=pathlib.Path, default=DOCUMENT.parents[1],
                        help="the folder to write below; the repository when not given")
    root = parser.parse_args().root
    document = Document()
    files = {"messages": message_vectors(document), "frames": frame_vectors(document),
             "names": name_vectors(), "pieces": piece_vectors(), "scram": scram_vectors(),
             "login": login_vectors()}
    folder = root / "protocol/vectors"
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_corpus(root, document)


if __name__ == "__main__":
    main()
