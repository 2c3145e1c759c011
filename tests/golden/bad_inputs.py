# SPDX-License-Identifier: MIT
"""Inputs that the scanner must refuse. The line which the error must name starts with '@'."""

GOOD = """\
<protocol name="p">
<interface name="a" version="3">
<request name="destroy" type="destructor"/>
<request name="send"><arg name="fd" type="fd"/></request>
<request name="make"><arg name="id" type="new_id" interface="b"/></request>
</interface>
<interface name="b" version="3">
<event name="done"><arg name="x" type="int"/></event>
</interface>
</protocol>
"""
GOOD_POLICY = "a.send fd file\n"


class Case:
    """Files by name, and the error: its file, line and text."""

    def __init__(self, name, error, files):
        """files: name to text; one line of one file starts with '@'."""
        self.name, self.error, self.files = name, error, {}
        marked = []
        for file, text in files.items():
            lines = text.splitlines(True)
            marked += [(file, n) for n, line in enumerate(lines, 1) if line.startswith("@")]
            self.files[file] = "".join(line.removeprefix("@") for line in lines)
        (self.file, self.line), = marked


def xml(name, error, text, policy=GOOD_POLICY):
    """A bad interface, appended to good ones."""
    good = GOOD.removesuffix("</protocol>\n")
    return Case(name, error, {"p.xml": good + text + "</protocol>\n", "policy.txt": policy})


def message(name, error, text):
    """A bad request or event of an interface of version 3."""
    return xml(name, error, f'<interface name="c" version="3">\n{text}\n</interface>\n')


def whole(name, error, text, policy=""):
    """A bad file that holds nothing else."""
    return Case(name, error, {"p.xml": text, "policy.txt": policy})


def policy(name, error, line):
    """A bad line behind a comment and a good line."""
    return Case(name, error, {"p.xml": GOOD, "policy.txt": f"# text\n{GOOD_POLICY}\n@{line}\n"})


def args(count, kind):
    """Arguments x0, x1 and so on, all of one kind."""
    return "".join(f'<arg name="x{n}" type="{kind}"/>' for n in range(count))


TWICE = """\
<protocol name="p">
<interface name="a" version="1">
<request name="go"/>
</interface>
</protocol>
"""

XML = [
    message("unknown argument type", "argument x has the unknown type 'double'",
            '<request name="m">\n@<arg name="x" type="double"/>\n</request>'),
    message("argument without a type", "argument x has the unknown type None",
            '<request name="m">\n@<arg name="x"/>\n</request>'),
    message("argument without a name", "arg without a name",
            '<event name="m">\n@<arg type="int"/>\n</event>'),
    message("request without a name", "request without a name", '@<request/>'),
    message("event with an empty name", "event without a name", '@<event name=""/>'),
    message("since above the version", "since is above the interface's version 3",
            '@<request name="m" since="4"/>'),
    message("since 0", "since '0' is not a number from 1 to 255", '@<event name="m" since="0"/>'),
    message("since that is no number", "since 'two' is not a number from 1 to 255",
            '@<event name="m" since="two"/>'),
    message("since that is a digit but no number", "since '²' is not a number from 1 to 255",
            '@<event name="m" since="²"/>'),
    message("nullable int", "argument x of type int can't be null",
            '<request name="m">\n@<arg name="x" type="int" allow-null="true"/>\n</request>'),
    message("nullable new_id", "argument x of type new_id can't be null",
            '<request name="m">\n'
            '@<arg name="x" type="new_id" interface="b" allow-null="true"/>\n</request>'),
    message("allow-null that is no truth value", "allow-null 'yes' is neither true nor false",
            '<request name="m">\n@<arg name="x" type="string" allow-null="yes"/>\n</request>'),
    message("untyped new_id in a request", "c.m: untyped new_id",
            '@<request name="m">\n<arg name="x" type="new_id"/>\n</request>'),
    message("untyped new_id in an event", "c.m: untyped new_id",
            '@<event name="m">\n<arg name="x" type="new_id"/>\n</event>'),
    message("new_id of an unknown interface", "c.m: makes a nowhere, which is not in the tables",
            '@<request name="m"><arg name="x" type="new_id" interface="nowhere"/></request>'),
    message("too many arguments", "c.m: more than 16 arguments",
            f'@<request name="m">{args(17, "int")}</request>'),
    message("too many fds", "c.m: more than 2 fds",
            f'@<request name="m">{args(3, "fd")}</request>'),
    message("fd in a request without a policy",
            "c.m: carries an fd, but the policy does not say of what kind",
            '<request name="first"/>\n@<request name="m"><arg name="x" type="fd"/></request>'),
    message("fd in an event without a policy",
            "c.m: carries an fd, but the policy does not say of what kind",
            '@<event name="m">\n<arg name="x" type="fd"/>\n</event>'),
    message("unknown type of a message", "request m has the unknown type 'destroyer'",
            '@<request name="m" type="destroyer"/>'),
    message("two requests of one name", "c.m: two requests of this name",
            '<request name="m"/>\n@<request name="m"/>'),
    message("two events of one name", "c.m: two events of this name",
            '<event name="m"/>\n<event name="n"/>\n@<event name="m"/>'),
    message("requests that differ in case only", "c.Go: its name in C is that of c.go",
            '<request name="go"/>\n@<request name="Go"/>'),
    xml("interfaces that differ in case only", "B: its name in C is that of b",
        '@<interface name="B" version="1">\n</interface>\n'),
    xml("messages of two interfaces with one name in C", "c.d_e: its name in C is that of c_d.e",
        '<interface name="c_d" version="1">\n<event name="e"/>\n</interface>\n'
        '<interface name="c" version="1">\n@<event name="d_e"/>\n</interface>\n'),
    xml("interface without a name", "interface without a name",
        '@<interface version="1">\n</interface>\n'),
    xml("interface without a version", "attribute version is missing",
        '@<interface name="c">\n</interface>\n'),
    xml("version 300", "version '300' is not a number from 1 to 255",
        '\n@<interface name="c" version="300">\n</interface>\n'),
    xml("version 0", "version '0' is not a number from 1 to 255",
        '@<interface name="c" version="0">\n</interface>\n'),
    xml("negative version", "version '-1' is not a number from 1 to 255",
        '@<interface name="c" version="-1">\n</interface>\n'),
    xml("name that C can't have", "'c\"; int x' is not a name",
        '@<interface name="c&quot;; int x" version="1">\n</interface>\n'),
    xml("no version that can be carried", "c: no version of it can be carried: mark it hidden",
        '@<interface name="c" version="1">\n<request name="m"><arg name="x" type="fd"/></request>\n'
        '</interface>\n', GOOD_POLICY + 'c.m deny "no"\n'),
    whole("request outside an interface", "request outside an interface",
          '<protocol name="p">\n@<request name="m"/>\n</protocol>\n'),
    whole("argument outside a message", "arg outside a message",
          '<protocol name="p">\n<interface name="a" version="1">\n@<arg name="x" type="int"/>\n'
          '</interface>\n</protocol>\n'),
    whole("tags that do not match", "mismatched tag",
          '<protocol name="p">\n<interface name="a" version="1">\n@</protocol>\n'),
    whole("file that ends early", "no element found",
          '<protocol name="p">\n<interface name="a" version="1">\n@'),
    whole("text that is not XML", "syntax error", '\n@int main(void) {}\n'),
    Case("interface defined twice differently", "a is defined differently in FOLDER/p.xml",
         {"p.xml": TWICE, "q.xml": TWICE.replace('<request name="go"/>', '<event name="go"/>')
          .replace("<interface", "@<interface"), "policy.txt": ""}),
    Case("interface defined twice in two versions", "a is defined differently in FOLDER/p.xml",
         {"p.xml": TWICE, "q.xml": TWICE.replace('version="1"', 'version="2"')
          .replace("<interface", "@<interface"), "policy.txt": ""}),
]

KINDS = "file, shm, dmabuf, pipe-write"
POLICY = [
    policy("interface that is not there", "c matches nothing", 'c hidden "reason"'),
    policy("message that is not there", "a.nothing matches nothing", "a.nothing hook guest"),
    policy("message of an interface that is not there", "c.send matches nothing", "c.send fd file"),
    policy("unknown fd kind", f"fd kinds are {KINDS}", "a.send fd socket"),
    policy("no fd kind", f"fd kinds are {KINDS}", "a.send fd"),
    policy("fd of a message without one", "b.done carries no fd", "b.done fd file"),
    policy("fd given twice", "a.send has an fd kind already", "a.send fd shm"),
    policy("hook of an unknown side", "hooks are for guest, host, both", "a.make hook middle"),
    policy("hook of no side", "hooks are for guest, host, both", "a.make hook"),
    policy("deny without a reason", "deny needs a reason", "b.done deny"),
    policy("deny with an empty reason", "deny needs a reason", 'b.done deny ""'),
    policy("privileged without a reason", "privileged needs a reason", "a privileged"),
    policy("offered without a reason", "offered needs a reason", "a offered"),
    Case("two reasons", "a has a reason already",
         {"p.xml": GOOD, "policy.txt": f'{GOOD_POLICY}a hidden "one"\n@a offered "two"\n'}),
    Case("global without a reason",
         "a is a global: the policy has to say offered, privileged or hidden, and why",
         {"p.xml": GOOD.replace("<interface", "@<interface", 1), "policy.txt": GOOD_POLICY}),
    policy("hidden without a reason", "hidden needs a reason", "a hidden"),
    policy("unknown word for a message", "unknown word 'allow' for a message", "a.make allow"),
    policy("unknown word for an interface", "unknown word 'deny' for an interface", 'a deny "no"'),
    policy("unknown kind of keeping", "keep is none or each", "a.make keep some"),
    policy("no kind of keeping", "keep is none or each", "a.make keep"),
    policy("replaced message that is not there", "replaces needs a request",
           "a.make replaces done"),
    policy("event of what ends that is not there", "survives takes an event", "b survives destroy"),
    policy("interface without a word", "a: what about it?", "a"),
    policy("words too many", "nothing may follow: 'host'", "a.make hook guest host"),
    policy("reason without quotes", "nothing may follow: 'long'", "a hidden too long"),
    policy("destructor with more", "nothing may follow: 'now'", "b.done destructor now"),
    policy("quotes that do not end", "No closing quotation", 'a hidden "reason'),
    Case("optional does not excuse a known message", "unknown word 'allow' for a message",
         {"p.xml": GOOD, "policy.txt": f"{GOOD_POLICY}optional\nc hidden x\n@a.make allow\n"}),
    Case("optional does not excuse an unknown message of a known interface",
         "a.gone matches nothing",
         {"p.xml": GOOD, "policy.txt": f"{GOOD_POLICY}optional\nc.gone hook host\n"
          "@a.gone hook host\n"}),
    Case("hooks of a request and an event of one name",
         "c.m: a request and an event of one name can't both have a hook",
         {"p.xml": TWICE.replace('"a"', '"c"').replace(
             '<request name="go"/>', '<request name="m"/>\n@<event name="m"/>'),
          "policy.txt": "c.m hook host\n"}),
]

CASES = XML + POLICY
