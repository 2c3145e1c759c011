# SPDX-License-Identifier: MIT
"""Writes the typed arguments of hooked messages, and one side's table of hooks. A hook without a
handler is a link error."""
from emit_tables import NOTICE, hooked

C_TYPES = {"int": "int32_t ", "uint": "uint32_t ", "fixed": "int32_t ", "string": "const char *",
           "object": "struct br_object *", "new_id": "struct br_object *",
           "fd": "struct br_handle *"}
VALUES = {"int": "i", "uint": "u", "fixed": "fixed", "string": "str.ptr", "object": "object",
          "new_id": "object"}
# Names of arguments that C reserves.
RESERVED = {"interface": "interface_name", "default": "default_"}


def tag(message):
    """The message as it is named in C."""
    return f"{message.interface.name}_{message.name}"


def field(arg):
    """The member of the args struct for an argument."""
    return RESERVED.get(arg.name, arg.name)


def args_header(interfaces):
    """Text of br-hook-args.h: one struct for each hooked message, whichever side hooks it."""
    out = [NOTICE, "#ifndef BR_HOOK_ARGS_H\n#define BR_HOOK_ARGS_H\n\n",
           '#include "br-tables.h"\n#include "relay.h"\n\n']
    for message in hooked(interfaces):
        out.append(f"struct br_args_{tag(message)} {{\n")
        for arg in message.args:
            if arg.kind == "array":
                out.append(f"\tconst void *{field(arg)};\n\tuint32_t {field(arg)}_len;\n")
            else:
                out.append(f"\t{C_TYPES[arg.kind]}{field(arg)};\n")
        out.append("" if message.args else "\tchar none;\n")
        out.append("};\n\n")
    out.append("#endif\n")
    return "".join(out)


def side_header(interfaces, side, prefix):
    """Text of one side's header: its table, and the prototypes of its handlers."""
    out = [NOTICE, f"#ifndef {prefix.upper()}_HOOKS_H\n#define {prefix.upper()}_HOOKS_H\n\n",
           '#include "br-hook-args.h"\n\n',
           f"extern const br_hook_fn {prefix}_hooks[BR_HOOK_COUNT];\n\n"]
    for message in hooked(interfaces):
        if side in message.hooks:
            out.append(f"enum br_verdict {prefix}_hook_{tag(message)}(struct br_relay *relay, "
                       f"struct br_msg *msg,\n\t\tconst struct br_args_{tag(message)} *args);\n")
    out.append("\n#endif\n")
    return "".join(out)


def thunk(message, prefix):
    """The function of the table that turns a message into its args struct."""
    out = [f"static enum br_verdict call_{tag(message)}(struct br_relay *relay, "
           f"struct br_msg *msg)\n{{\n\tconst struct br_args_{tag(message)} args = {{\n"]
    for n, arg in enumerate(message.args):
        if arg.kind == "array":
            out.append(f"\t\t.{field(arg)} = msg->args[{n}].array.ptr,\n"
                       f"\t\t.{field(arg)}_len = msg->args[{n}].array.len,\n")
        elif arg.kind == "fd":
            out.append(f"\t\t.{field(arg)} = &msg->handles[msg->args[{n}].handle],\n")
        else:
            out.append(f"\t\t.{field(arg)} = msg->args[{n}].{VALUES[arg.kind]},\n")
    out.append("" if message.args else "\t\t.none = 0,\n")
    out.append(f"\t}};\n\treturn {prefix}_hook_{tag(message)}(relay, msg, &args);\n}}\n\n")
    return "".join(out)


def side_source(interfaces, side, prefix):
    """Text of one side's C file: the thunks and the table; rows of other sides stay NULL."""
    ours = [m for m in hooked(interfaces) if side in m.hooks]
    return "".join([
        NOTICE, f'#include "{prefix}-hooks.h"\n\n', *[thunk(m, prefix) for m in ours],
        f"const br_hook_fn {prefix}_hooks[BR_HOOK_COUNT] = {{\n",
        *[f"\t[BR_HOOK_{tag(m).upper()}] = call_{tag(m)},\n" for m in ours], "};\n"])
