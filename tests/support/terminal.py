#!/usr/bin/env python3
"""Runs a command in a terminal of its own and checks what it draws there.

  terminal.py COLUMNS ROWS SECONDS OUTPUT COMMAND...

Ends the command with SIGINT after SECONDS, if it has not ended by itself (0: never), and writes to
OUTPUT what the terminal has got. Fails when a line is wider than the terminal, when there are other
control characters than the ends of lines and those by which what was drawn is drawn over, or when
lines are drawn over that were not the command's. Prints how many lines were drawn, and how many of
these over others. With COLUMNS 0 there is a pipe instead, and no control character but the ends of
lines.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unicodedata

TOKEN = re.compile(r"\x1b\[(\d+)A\r\x1b\[J|\r?\n|[^\r\n\x1b]+|.", re.DOTALL)


def width(text):
    columns = 0
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs"):
            sys.exit(f"a control character: {text!r}")
        if unicodedata.category(character) in ("Mn", "Me", "Cf"):
            continue
        columns += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return columns


def check(text, columns, rows):
    drawn = over = above = at = 0
    for token in TOKEN.finditer(text):
        piece = token.group()
        if token.group(1):
            lines = int(token.group(1))
            if at != 0 or lines > above or lines >= rows or not columns:
                sys.exit(f"{lines} lines are drawn over, {above} are there, in column {at}")
            above -= lines
            over += lines
        elif piece.endswith("\n"):
            drawn, above, at = drawn + 1, above + 1, 0
        else:
            at += width(piece)
            if columns and at > columns:
                sys.exit(f"{at} columns of {columns}: {piece!r}")
    print(drawn, over)


def run(command, columns, rows, seconds):
    if columns:
        reader, writer = pty.openpty()
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    else:
        reader, writer = os.pipe()
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writer, start_new_session=True)
    os.close(writer)
    end = time.monotonic() + seconds if seconds else float("inf")
    output = b""
    while True:
        if time.monotonic() > end:
            program.send_signal(signal.SIGINT)
            end = float("inf")
        if select.select([reader], [], [], 0.05)[0]:
            try:
                data = os.read(reader, 65536)
            except OSError:  # how the end of a terminal is told
                data = b""
            if not data:
                break
            output += data
    program.wait()
    return output


def main():
    columns, rows, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    output = run(sys.argv[5:], columns, rows, seconds)
    with open(sys.argv[4], "wb") as file:
        file.write(output)
    check(output.decode(), columns, rows)  # what is no UTF-8 is an error as well


main()
