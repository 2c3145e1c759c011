# SPDX-License-Identifier: MIT
"""A person at a sway's seat: types, points, clicks and drags."""
import string

import rig as lab

# Linux key codes (linux/input-event-codes.h) of a US keyboard.
CTRL, SHIFT, ALT, ENTER, ESCAPE, TAB, SPACE, BACKSPACE = 29, 42, 56, 28, 1, 15, 57, 14
DOWN, UP, F2, F5, F10, F11 = 108, 103, 60, 63, 68, 87
ROWS = {2: "1234567890-=", 16: "qwertyuiop[]", 30: "asdfghjkl;'`", 43: "\\zxcvbnm,./"}
SHIFTED = {2: "!@#$%^&*()_+", 16: "QWERTYUIOP{}", 30: 'ASDFGHJKL:"~', 43: "|ZXCVBNM<>?"}
CODES = {" ": (SPACE,), "\n": (ENTER,)}
for rows, held in ((ROWS, ()), (SHIFTED, (SHIFT,))):
    for first, row in rows.items():
        CODES.update({char: (*held, first + index) for index, char in enumerate(row)})
assert set(string.ascii_letters + string.digits) <= set(CODES)
RIGHT_BUTTON, MIDDLE_BUTTON = 0x111, 0x112


class Hand:
    """A virtual keyboard and pointer. area: the size of all outputs together."""

    def __init__(self, rig, sway, area=None):
        self.sway = sway
        self.area = area or sway.size
        self.device = rig.virtual_input(sway.display)
        self.device.ask("keyboard us", "ok")

    def keys(self, *codes):
        """Press them in order, release them in reverse: a shortcut."""
        self.device.ask("key " + " ".join(map(str, codes)), "ok")

    def type(self, text):
        for char in text:
            self.keys(*CODES[char])

    def wait_still(self, alike=4):
        """Until the program has dealt with what came before: its picture stays the same."""
        seen = []

        def look():
            seen.append(self.sway.screenshot())
            return len(seen) >= alike and all(one == seen[-1] for one in seen[-alike:])
        lab.wait_until(look, "the picture to stand still")

    def wait_change(self, do):
        """Until what is done shows, and all of it."""
        before = self.sway.screenshot()
        do()
        lab.wait_until(lambda: self.sway.screenshot() != before, "the picture to change")
        self.wait_still()

    def move(self, x, y):
        self.device.ask(f"move {int(x)} {int(y)} {self.area[0]} {self.area[1]}", "ok")

    def click(self, x, y, button=""):
        # A program takes where it is from the motion.
        self.move(x - 1, y)
        self.move(x, y)
        self.device.ask(f"press {button}", "ok")
        self.device.ask(f"release {button}", "ok")

    def pull(self, start, end, steps=4):
        """With the left button, which stays down; the program sees each step before the next, or it
        would take it for a click."""
        self.move(*start)
        self.wait_still()
        self.device.ask("press", "ok")
        for step in range(1, steps + 1):
            self.wait_still()
            self.move(*(a + (b - a) * step / steps for a, b in zip(start, end)))
        self.wait_still()

    def drop(self):
        self.device.ask("release", "ok")

    def scroll(self, steps):
        self.device.ask(f"scroll {steps}", "ok")
