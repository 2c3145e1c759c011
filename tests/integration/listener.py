# SPDX-License-Identifier: MIT
"""A compositor that has every protocol and does nothing: it keeps what it is asked, and says what a test wants."""
import itertools
import socket
import threading

import rig as lab
from speaker import Lost, Object, Peer, interfaces

FIRST_SERVER_ID = 0xff000000


class Caller(Peer):
    """A client's connection."""

    def __init__(self, sock, names):
        super().__init__(sock)
        self.names = names
        self.server_ids = itertools.count(FIRST_SERVER_ID)
        self.sending = threading.Lock()
        Object(self, "wl_display", 1, 1)

    def incoming(self, target):
        return target.interface.requests

    def event(self, target, name, *values):
        """Say something; returns the object that the event has made."""
        opcode = next(i for i, event in enumerate(target.interface.events) if event.name == name)
        message = target.interface.events[opcode]
        values, filled, made = list(values), [], None
        for arg in message.args:
            if arg.kind == "new_id":
                made = Object(self, arg.interface, next(self.server_ids), target.version)
            filled.append(made if arg.kind == "new_id" else values.pop(0))
        with self.sending:
            self.message(target, opcode, message, filled)
        return made

    def react(self, target, message, args):
        if target.label == "wl_display#1" and message.name == "get_registry":
            registry = self.by_label(args["registry"])
            for number, name in enumerate(self.names, 1):
                self.event(registry, "global", number, name, interfaces()[name].version)
        elif target.label == "wl_display#1" and message.name == "sync":
            callback = self.by_label(args["callback"])
            self.event(callback, "done", 0)
            self.event(self.by_label("wl_display#1"), "delete_id", callback.number)
        elif message.destructor and target.number < FIRST_SERVER_ID:
            self.event(self.by_label("wl_display#1"), "delete_id", target.number)


class Listener:
    """The socket. .callers are the connections, oldest first."""

    def __init__(self, rig, names):
        self.names = names
        self.display = f"listener-{rig.number()}"
        self.callers = []
        self.failures = []
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(rig.dir / self.display))
        self.sock.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            caller = Caller(sock, self.names)
            self.callers.append(caller)
            threading.Thread(target=self.serve, args=(caller,), daemon=True).start()

    def serve(self, caller):
        try:
            while True:
                caller.read(lab.DEADLINE)
        except (Lost, OSError, ValueError):
            pass
        except Exception as error:
            self.failures.append(repr(error))
            caller.close()

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        for caller in self.callers:
            caller.sock.shutdown(socket.SHUT_RDWR)
