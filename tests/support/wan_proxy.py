#!/usr/bin/env python3
"""A bad network in between: forwards TCP connections to a server, and does to them what it is told.

Usage: wan_proxy.py TARGET_PORT CONTROL_SOCKET [COMMAND...]
Prints the port it listens on (127.0.0.1), then obeys commands, one a line, on the UNIX socket; each
is answered with a line. `wan_proxy.py --tell CONTROL_SOCKET COMMAND...` sends them.

  delay MS [CONNECTION]  one way, of all connections or of one (its number from 1): so they are reordered
  rate BYTES             a second, each way, of each connection; 0: no limit
  buffer BYTES           so much of one way of a connection is on its way at most; then its sender waits
  cut                    all connections, now, with a reset
  cut-after BYTES [TIMES [SEED]]
                         from now, in both directions of all together, then as cut: at the byte, once,
                         or so often, each time after 1 to BYTES
  cut-control | cut-bulk [BYTES]
                         of one client: its oldest connection, or all others; now, or within the BYTES that
                         they move from now on together
  flip BYTES             a bit of the byte so far from now, on the way to the server
  hold | release         nothing moves, connections stay: a black hole
  strand                 as hold, for good, of the connections that are there; new ones work
  refuse | accept        new connections
  count                  CONNECTIONS SO FAR, OPEN, BYTES UP, BYTES DOWN, CUTS

A byte leaves `delay` after it came, however busy the machine is before that: the time counts from the
arrival and not from the turn of the loop, and what is late is not made later.
"""
import collections
import errno
import os
import random
import selectors
import socket
import struct
import sys
import time

QUEUE_BYTES_MAX = 64 << 20  # one way of a connection: more than bandwidth x delay of any test
READ_BYTES = 256 << 10


class Way:
    """One direction of a connection: what was read and is not due yet."""

    def __init__(self, source, target):
        self.source, self.target = source, target
        self.queue = collections.deque()  # (due, bytes)
        self.queued = 0
        self.free_at = 0.0  # when the line has sent what is before
        self.has_ended = self.is_shut = False

    def put(self, data, now, delay, rate):
        start = max(now, self.free_at)
        self.free_at = start + (len(data) / rate if rate else 0.0)
        self.queue.append((self.free_at + delay, data))
        self.queued += len(data)


class Connection:
    def __init__(self, number, client, server):
        self.number, self.client, self.server = number, client, server
        self.up, self.down = Way(client, server), Way(server, client)
        self.is_stranded = False


class Proxy:
    def __init__(self, target_port, control_path):
        self.target_port = target_port
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ, ("listener", None))
        self.control = socket.socket(socket.AF_UNIX)
        self.control.bind(control_path)
        self.control.listen(4)
        self.control.setblocking(False)
        self.selector.register(self.control, selectors.EVENT_READ, ("control", None))
        self.connections = []
        self.delay, self.delays, self.rate = 0.0, {}, 0
        self.queue_bytes_max = QUEUE_BYTES_MAX
        self.is_held = self.is_refusing = False
        self.cut_left = self.flip_left = None
        self.lane_left, self.lane = None, None  # of cut-control and cut-bulk
        self.cut_again, self.cut_bytes, self.random = 0, 0, random.Random()
        self.made = self.cuts = self.bytes_up = self.bytes_down = 0

    # ---- connections ----

    def accept(self):
        client, _ = self.listener.accept()
        if self.is_refusing:
            self.reset(client)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.target_port))
        except ConnectionRefusedError:
            self.reset(client)
            return
        for one in (client, server):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.made += 1
        made = Connection(self.made, client, server)
        self.connections.append(made)
        self.watch(made)

    def is_holding(self, connection):
        return self.is_held or connection.is_stranded

    def watch(self, connection):
        """Waits for what can go on; what is merely not due yet is the loop's timeout."""
        for way, back in ((connection.up, connection.down), (connection.down, connection.up)):
            events = 0
            is_moving = not self.is_holding(connection)
            if is_moving and not way.has_ended and way.queued < self.queue_bytes_max:
                events |= selectors.EVENT_READ
            if is_moving and back.queue and back.queue[0][0] <= time.monotonic():
                events |= selectors.EVENT_WRITE
            key = self.selector.get_map().get(way.source.fileno())
            if key is None and events:
                self.selector.register(way.source, events, ("socket", connection))
            elif key is not None and not events:
                self.selector.unregister(way.source)
            elif key is not None and key.events != events:
                self.selector.modify(way.source, events, ("socket", connection))

    @staticmethod
    def reset(one):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()

    def drop(self, connection):
        for one in (connection.client, connection.server):
            if one.fileno() in self.selector.get_map():
                self.selector.unregister(one)
            self.reset(one)
        self.connections.remove(connection)

    def cut(self):
        self.cuts += 1
        for connection in list(self.connections):
            self.drop(connection)

    def in_lane(self, connection):
        return (connection is self.connections[0]) == (self.lane == "control")

    def cut_lane(self):
        self.cuts += 1
        for connection in [c for c in self.connections if self.in_lane(c)]:
            self.drop(connection)

    # ---- bytes ----

    def receive(self, connection, way):
        try:
            data = way.source.recv(READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            way.has_ended = True
            return
        if self.flip_left is not None and way is connection.up:
            if self.flip_left < len(data):
                data = bytearray(data)
                data[self.flip_left] ^= 0x10
                data, self.flip_left = bytes(data), None
            else:
                self.flip_left -= len(data)
        delay = self.delays.get(connection.number, self.delay)
        if self.cut_left is not None and len(data) >= self.cut_left:
            # Up to the very byte: it goes out, and then the line is cut.
            way.put(data[:self.cut_left], time.monotonic(), 0.0, 0)
            self.send(way, everything=True)
            self.cut_left = None
            self.cut()
            if self.cut_again:
                self.cut_again -= 1
                self.cut_left = self.random.randint(1, self.cut_bytes)
            return
        if self.cut_left is not None:
            self.cut_left -= len(data)
        if self.lane_left is not None and self.in_lane(connection):
            if len(data) >= self.lane_left:
                way.put(data[:self.lane_left], time.monotonic(), 0.0, 0)
                self.send(way, everything=True)
                self.lane_left = None
                self.cut_lane()
                return
            self.lane_left -= len(data)
        if way is connection.up:
            self.bytes_up += len(data)
        else:
            self.bytes_down += len(data)
        way.put(data, time.monotonic(), delay, self.rate)

    @staticmethod
    def send(way, everything=False):
        while way.queue and (everything or way.queue[0][0] <= time.monotonic()):
            due, data = way.queue[0]
            try:
                sent = way.target.send(data)
            except BlockingIOError:
                return
            way.queued -= sent
            if sent < len(data):
                way.queue[0] = (due, data[sent:])
                return
            way.queue.popleft()
        if way.has_ended and not way.queue and not way.is_shut:
            way.is_shut = True
            way.target.shutdown(socket.SHUT_WR)

    def turn(self, connection):
        """Moves what can be moved."""
        try:
            for way in (connection.up, connection.down):
                if connection not in self.connections or self.is_holding(connection):
                    return
                if not way.has_ended and way.queued < self.queue_bytes_max:
                    self.receive(connection, way)
                if connection in self.connections:
                    self.send(way)
        except OSError as error:
            if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
                raise
            if connection in self.connections:
                self.drop(connection)
        if connection in self.connections and connection.up.is_shut and connection.down.is_shut:
            self.drop(connection)

    # ---- commands ----

    def obey(self, words):
        name, numbers = words[0], [float(w) for w in words[1:]]
        if name == "delay" and len(numbers) == 2:
            self.delays[int(numbers[1])] = numbers[0] / 1000
        elif name == "delay":
            self.delay, self.delays = numbers[0] / 1000, {}
        elif name == "rate":
            self.rate = numbers[0]
        elif name == "buffer":
            self.queue_bytes_max = int(numbers[0])
            for one in [self.listener] + [c.client for c in self.connections]:  # whom accept(2) hands it on
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.queue_bytes_max)
        elif name == "cut":
            self.cut()
        elif name in ("cut-control", "cut-bulk"):
            self.lane = name[4:]
            self.lane_left = int(numbers[0]) if numbers else None
            if not numbers:
                self.cut_lane()
        elif name == "cut-after":
            self.cut_bytes = self.cut_left = int(numbers[0])
            if len(numbers) > 1:
                self.random = random.Random(numbers[2] if len(numbers) > 2 else None)
                self.cut_again = int(numbers[1]) - 1
                self.cut_left = self.random.randint(1, self.cut_bytes)
        elif name == "flip":
            self.flip_left = int(numbers[0])
        elif name in ("hold", "release"):
            self.is_held = name == "hold"
        elif name == "strand":
            for connection in self.connections:
                connection.is_stranded = True
        elif name in ("refuse", "accept"):
            self.is_refusing = name == "refuse"
        elif name == "count":
            return f"{self.made} {len(self.connections)} {self.bytes_up} {self.bytes_down} {self.cuts}"
        else:
            return f"unknown: {name}"
        return "ok"

    def answer(self):
        asker, _ = self.control.accept()
        with asker, asker.makefile("rw") as lines:
            for line in lines:
                if line.split():
                    lines.write(self.obey(line.split()) + "\n")
                    lines.flush()

    # ---- the loop ----

    def timeout(self):
        moving = [c for c in self.connections if not self.is_holding(c)]
        dues = [way.queue[0][0] for c in moving for way in (c.up, c.down) if way.queue]
        if not dues:
            return None
        return max(0.0, min(dues) - time.monotonic())

    def run(self):
        while True:
            for connection in self.connections:
                self.watch(connection)
            for key, _ in self.selector.select(self.timeout()):
                if key.data[0] == "listener":
                    self.accept()
                elif key.data[0] == "control":
                    self.answer()
            for connection in list(self.connections):
                self.turn(connection)


def tell(path, commands):
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(path)
        with control.makefile("rw") as lines:
            for command in commands:
                lines.write(command + "\n")
                lines.flush()
                answer = lines.readline().strip()
                if answer != "ok":
                    print(answer)


def main():
    if sys.argv[1] == "--tell":
        tell(sys.argv[2], [" ".join(sys.argv[3:])])
        return
    proxy = Proxy(int(sys.argv[1]), sys.argv[2])
    if sys.argv[3:]:
        proxy.obey(sys.argv[3:])
    print(proxy.listener.getsockname()[1], flush=True)
    try:
        proxy.run()
    finally:
        os.unlink(sys.argv[2])


main()
