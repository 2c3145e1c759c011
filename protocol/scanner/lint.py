# SPDX-License-Identifier: MIT
"""Rules that every interface must keep; a violation fails the build with file and line."""
from model import ScanError

MAX_ARGS = 16  # BR_MAX_ARGS
MAX_FDS = 2    # BR_MAX_MSG_FDS


def check_message(message, known):
    """Rules about one message alone. known: the names of all interfaces."""
    def fail(text):
        """Refuse the message at its place in the XML."""
        raise ScanError(*message.where, f"{message.key}: {text}")

    carried = message.interface.flag != "hidden" and message.denied is None
    if len(message.args) > MAX_ARGS:
        fail(f"more than {MAX_ARGS} arguments")
    if message.n_fds > MAX_FDS:
        fail(f"more than {MAX_FDS} fds")
    if message.n_fds and carried and message.fd_kind is None:
        fail("carries an fd, but the policy does not say of what kind")
    for arg in message.args:
        if arg.kind == "new_id" and arg.interface is None and message.key != "wl_registry.bind":
            fail("untyped new_id")
        if arg.interface is not None and arg.kind == "new_id" and arg.interface not in known:
            fail(f"makes a {arg.interface}, which is not in the tables")


def safe_version(interface):
    """The highest version whose fd-carrying messages can all be carried."""
    blocked = [m.since for m in interface.messages()
               if m.n_fds and (m.fd_kind is None or m.denied is not None)]
    return min([interface.version] + [since - 1 for since in blocked])


def check_names(interfaces):
    """Two things of one kind may not get the same name in C, where case and dots are lost."""
    taken = {}
    for interface in interfaces:
        things = [("interface", interface.name, interface)]
        things += [(m.direction, f"{interface.name}_{m.name}", m) for m in interface.messages()]
        for kind, name, thing in things:
            other = taken.setdefault((kind, name.upper()), thing)
            if other is not thing:
                raise ScanError(*thing.where, f"{thing.key}: its name in C is that of {other.key}")


def check_reasons(interfaces):
    """What a guest is offered is a decision, so each global's line in the policy gives its reason."""
    for interface in interfaces:
        if interface.is_global and not interface.reason:
            raise ScanError(*interface.where, f"{interface.name} is a global: the policy has to say "
                            "offered, privileged or hidden, and why")


def check(interfaces):
    """Run all rules."""
    known = {interface.name for interface in interfaces}
    for interface in interfaces:
        hooked, seen = {}, set()
        for message in interface.messages():
            if (message.direction, message.name) in seen:
                raise ScanError(*message.where,
                                f"{message.key}: two {message.direction}s of this name")
            seen.add((message.direction, message.name))
            check_message(message, known)
            if message.hooks and hooked.setdefault(message.name, message) is not message:
                raise ScanError(*message.where, f"{message.key}: a request and an event of one "
                                "name can't both have a hook")
        if interface.flag != "hidden" and safe_version(interface) < 1:
            raise ScanError(*interface.where, f"{interface.name}: no version of it can be carried: "
                            "mark it hidden")
    check_names(interfaces)
    check_reasons(interfaces)
