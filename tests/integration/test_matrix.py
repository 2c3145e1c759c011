# SPDX-License-Identifier: MIT
"""Programs that people use, driven by a keyboard and a pointer: README.md has the table.

test_pixels.py compares pictures of programs that stand still; here they are used.
"""
import re
import tempfile

import pytest
from PIL import Image

import hand
import rig as lab
import stage
from pixels import Client
from test_pixels import GTK, SDL, SDL_TESTS, foot_config, gtk_settings

pytestmark = pytest.mark.timeout(240)

SOFTWARE = {"LIBGL_ALWAYS_SOFTWARE": "1",
            "VK_DRIVER_FILES": "/usr/share/vulkan/icd.d/lvp_icd.json"}


@pytest.fixture(scope="module")
def desks():
    """One pair of compositors for all programs: each leaves them empty."""
    rig = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    made = []
    try:
        made += [stage.Desk(rig, False), stage.Desk(rig, True)]
        yield made
    finally:
        rig.finish()


@pytest.fixture
def pair(desks):
    yield desks
    finish(desks)


@pytest.fixture
def bridged(desks):
    """For programs that never look the same twice."""
    yield desks[1:]
    finish(desks)


def finish(desks):
    for desk in desks:
        if desk.process:
            desk.process.kill()
        lab.wait_until(lambda desk=desk: not desk.node(), "the window to go")
        for program in desk.bridge.processes() if desk.bridge else []:
            assert program.running(), program.errors[-10:]


def shell(home):
    """What is typed goes into a file, and on the screen by the terminal itself."""
    foot_config(home)
    script = home / "shell"
    script.write_text("#!/bin/sh\nexec cat > typed\n")


def test_foot(pair):
    on = stage.Stage(pair, Client("foot", ["foot", "--config=@HOME@/foot.ini", "@HOME@/shell"],
                                  prepare=shell))
    on.window("foot", "foot")
    on.look("shown")
    on.each(lambda desk: desk.hand.type("Hello, foot (1 + 1)!\n"))
    on.file("typed", "Hello, foot (1 + 1)!\n")
    on.look("typed")
    # A word by a double click, which is the primary selection as well.
    on.each(lambda desk: (desk.hand.click(12, 10), desk.hand.click(12, 10)))
    on.look("selected")
    on.host_gets("Hello", "--primary")
    on.each(lambda desk: desk.hand.keys(hand.CTRL, hand.SHIFT, *hand.CODES["c"]))
    on.host_gets("Hello")
    on.each(lambda desk: desk.hand.click(12, 10, hand.MIDDLE_BUTTON))
    on.each(lambda desk: desk.hand.keys(hand.ENTER))
    on.file("typed", "Hello, foot (1 + 1)!\nHello\n")
    on.each(lambda desk: desk.host_copies("from the host: Grüße"))
    on.each(lambda desk: desk.hand.keys(hand.CTRL, hand.SHIFT, *hand.CODES["v"]))
    on.each(lambda desk: desk.hand.keys(hand.ENTER))
    on.file("typed", "Hello, foot (1 + 1)!\nHello\nfrom the host: Grüße\n")
    on.look("pasted")
    on.resize(603, 407)
    on.fullscreen()
    on.close(status=1)


def test_gtk4_demo(pair):
    on = stage.Stage(pair, Client("gtk4-demo", ["gtk4-demo"], env=GTK, prepare=gtk_settings))
    on.window("gtk4-demo", "GTK Demo")
    on.look("shown")
    on.each(lambda desk: desk.hand.click(953, 22))
    on.look("menu")
    on.each(lambda desk: desk.hand.keys(hand.ESCAPE))
    on.look("menu closed")
    on.each(lambda desk: desk.hand.keys(hand.CTRL, *hand.CODES["f"]))
    on.look("search")
    on.each(lambda desk: desk.hand.type("clip"))
    on.title("Clipboard")
    on.look("typed")
    on.each(lambda desk: desk.hand.click(280, 110))
    on.resize(700, 500)
    on.fullscreen()
    on.close()


def test_gtk4_drag(pair):
    """Within a window, but by the compositor's drag-and-drop: the bridge has both ends."""
    on = stage.Stage(pair, Client("gtk4-dnd", ["gtk4-demo", "--run=dnd"], env=GTK,
                                  prepare=gtk_settings))
    on.window("gtk4-demo", "Drag-and-Drop")
    on.look("shown")
    on.each(lambda desk: desk.hand.pull((230, 165), (700, 500)))
    on.look("dragged")
    on.each(lambda desk: desk.hand.drop())
    on.look("dropped")
    on.each(lambda desk: desk.hand.pull((24, 755), (382, 265)))
    on.look("color dragged")
    on.each(lambda desk: desk.hand.drop())
    on.look("color dropped")
    on.close()


def gtk3_settings(home):
    """Nothing that moves by itself."""
    folder = home / ".config" / "gtk-3.0"
    folder.mkdir()
    (folder / "settings.ini").write_text(
        "[Settings]\ngtk-enable-animations=0\ngtk-cursor-blink=0\n")


FACTORIES = {
    "gtk4-widget-factory": (Client("gtk4-widget-factory", ["gtk4-widget-factory"], env=GTK,
                                   prepare=gtk_settings), "GTK Widget Factory", (63, 335)),
    "gtk3-widget-factory": (Client("gtk3-widget-factory", ["gtk3-widget-factory"],
                                   env={"GDK_BACKEND": "wayland"}, prepare=gtk3_settings),
                            "gtk3-widget-factory", (63, 292)),
}


@pytest.mark.parametrize("name", FACTORIES)
def test_gtk_widgets(pair, name):
    client, title, choice = FACTORIES[name]
    # Beside it progress bars pulse.
    on = stage.Stage(pair, client, area=(0, 0, 270, 768))
    on.window(name, title)
    on.look("shown")
    on.each(lambda desk: desk.hand.click(190, 249))
    on.each(lambda desk: desk.hand.keys(hand.CTRL, *hand.CODES["a"]))
    on.each(lambda desk: desk.hand.type("Some text"))
    on.look("typed")
    on.each(lambda desk: desk.hand.keys(hand.CTRL, *hand.CODES["a"]))
    on.each(lambda desk: desk.hand.keys(hand.CTRL, *hand.CODES["c"]))
    on.host_gets("Some text")
    on.each(lambda desk: desk.host_copies("from the host"))
    on.each(lambda desk: desk.hand.keys(hand.CTRL, *hand.CODES["v"]))
    on.look("pasted")
    on.each(lambda desk: desk.hand.click(*choice))
    on.look("menu")
    on.each(lambda desk: desk.hand.keys(hand.DOWN))
    on.each(lambda desk: desk.hand.keys(hand.ENTER))
    on.look("chosen")
    on.resize(1000, 700)
    on.fullscreen()
    on.close()


def test_featherpad(pair):
    def prepare(home):
        (home / "text.txt").write_text("A line.\n")
    on = stage.Stage(pair, Client("featherpad", ["featherpad", "--standalone", "@HOME@/text.txt"],
                                  env={"QT_QPA_PLATFORM": "wayland"}, prepare=prepare), alike=1)
    on.window("featherpad", "text.txt")
    on.look("shown")
    on.each(lambda desk: desk.hand.type("Typed. "))
    on.each(lambda desk: desk.hand.keys(hand.CTRL, *hand.CODES["s"]))
    on.file("text.txt", "Typed. A line.\n")
    on.look("typed")
    on.each(lambda desk: desk.hand.keys(hand.ALT, *hand.CODES["f"]))
    on.look("menu")
    on.each(lambda desk: desk.hand.keys(hand.ESCAPE))
    on.each(lambda desk: desk.hand.keys(hand.CTRL, *hand.CODES["a"]))
    on.each(lambda desk: desk.hand.keys(hand.CTRL, *hand.CODES["c"]))
    on.host_gets("Typed. A line.\n")
    on.each(lambda desk: desk.host_copies("from the host: Grüße"))
    on.each(lambda desk: desk.hand.keys(hand.CTRL, *hand.CODES["v"]))
    on.each(lambda desk: desk.hand.keys(hand.CTRL, *hand.CODES["s"]))
    on.file("text.txt", "from the host: Grüße\n")
    on.look("pasted")
    on.resize(700, 500)
    on.fullscreen(hand.F11)
    on.close()


def picture(home):
    """Something with edges and colors."""
    image = Image.radial_gradient("L").resize((320, 180))
    Image.merge("RGB", (image, image.rotate(180), image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                        .point(lambda value: value // 40 * 40))).save(home / "picture.png")


@pytest.mark.parametrize("how", ["--vo=wlshm", "--vo=gpu --gpu-context=wayland"])
def test_mpv(pair, how):
    on = stage.Stage(pair, Client("mpv", ["mpv", "--no-config", "--osc=no", "--osd-level=0",
                                          "--cursor-autohide=no", "--profile=fast",
                                          "--image-display-duration=inf", "--force-window=yes",
                                          *how.split(), "picture.png"], env=SOFTWARE,
                                  prepare=picture))
    on.window("mpv", "picture.png - mpv")
    on.look("shown")
    on.resize(512, 288)
    on.fullscreen(*hand.CODES["f"])
    on.close()


def test_sdl3(pair):
    """Keys and text, as a game gets them; full screen as games do it."""
    on = stage.Stage(pair, Client("sdl3-checkkeys", [SDL_TESTS + "checkkeys"], env=SDL))
    on.window("checkkeys", "CheckKeys Test")
    on.look("shown")
    on.each(lambda desk: desk.hand.type("Text!"))
    for desk in on.desks:
        desk.process.expect_error('INPUT Text .*"!"')
    on.look("typed")
    on.close()
    on = stage.Stage(pair, Client("sdl3-testwm", [SDL_TESTS + "testwm", "--resizable",
                                                  "--title", "SDL"], env=SDL))
    on.window("testwm", "SDL")
    on.look("shown")
    on.each(lambda desk: desk.hand.keys(hand.ALT, hand.ENTER))
    on.wait(lambda desk: desk.node()["fullscreen_mode"] == 1, "full screen")
    on.look("full screen")
    on.close()


def test_glmark2(bridged):
    on = stage.Stage(bridged, Client("glmark2", ["glmark2-es2-wayland", "-b", "build:duration=1",
                                                 "-b", "texture:duration=0.5"], env=SOFTWARE))
    on.window("com.github.glmark2.glmark2", "glmark2")
    on.show()
    on.desk.process.expect(r" *glmark2 Score: \d+ *")
    assert on.desk.process.wait() == 0


def test_vkcube(bridged):
    on = stage.Stage(bridged, Client("vkcube", ["vkcube", "--wsi", "wayland"], env=SOFTWARE))
    on.window(None, "vkcube")
    on.show()
    on.resize(500, 400, look=False)
    on.show()
    on.fullscreen()
    on.close()


# What is done to it is the page's title, which is the window's.
PAGE = """<!doctype html><meta charset=utf-8><title>ready</title>
<style>body { margin: 0; font-size: 20px } #from, #to { width: 200px; height: 80px; background: #8cf }
#to { background: #fc8 } textarea { width: 400px; height: 60px; display: block }
select { font-size: 20px; display: block }</style>
<textarea id=text autofocus></textarea><button id=button>Button</button>
<select id=choice><option>one<option>two<option>three</select>
<div id=from draggable=true>drag me</div><div id=to>here</div>
<script>
const say = (text) => { document.title = text };
text.oninput = () => say("typed " + text.value);
text.onpaste = (event) => say("pasted " + event.clipboardData.getData("text"));
button.onclick = () => say("clicked");
choice.onchange = () => say("chosen " + choice.value);
from.ondragstart = (event) => event.dataTransfer.setData("text/plain", "cargo");
to.ondragover = (event) => { event.preventDefault(); say("over") };
to.ondrop = (event) => {
  event.preventDefault();
  say("dropped " + event.dataTransfer.getData("text"));
};
onresize = () => say("size " + innerWidth + " " + screen.width);
onwheel = () => say("wheel");
onload = () => say("loaded");
// Asked with F2: the window has its size then. First where the pointer is.
let pointer = [0, 0];
onmousemove = (event) => { pointer = [event.clientX, event.clientY] };
const middle = (one) => {
  const box = one.getBoundingClientRect();
  return Math.round(box.x + box.width / 2) + "," + Math.round(box.y + box.height / 2);
};
onkeydown = (event) => {
  if (event.key === "F2") {
    say("at " + pointer + " " + [text, button, choice, from, to].map(middle).join(" "));
  }
};
</script>"""


def firefox_profile(home):
    (home / "page.html").write_text(PAGE)
    (home / "profile").mkdir()
    settings = {"browser.shell.checkDefaultBrowser": "false", "browser.aboutwelcome.enabled": "false",
                "datareporting.policy.dataSubmissionEnabled": "false",
                "browser.startup.homepage_override.mstone": '"ignore"',
                "full-screen-api.warning.timeout": "0", "app.update.enabled": "false"}
    (home / "profile" / "user.js").write_text(
        "".join(f'user_pref("{name}", {value});\n' for name, value in settings.items()))


def chromium_page(home):
    (home / "page.html").write_text(PAGE)


BROWSERS = {
    "firefox": (Client("firefox", ["firefox-esr", "--no-remote", "--profile", "@HOME@/profile",
                                   "file://@HOME@/page.html"], env=SOFTWARE,
                       prepare=firefox_profile), "firefox-esr"),
    "chromium": (Client("chromium", ["chromium", "--ozone-platform=wayland", "--no-sandbox",
                                     "--test-type", "--no-first-run", "--disable-gpu",
                                     "--disable-background-networking",
                                     "--user-data-dir=@HOME@/profile",
                                     "file://@HOME@/page.html"], env=SOFTWARE,
                        prepare=chromium_page), "chromium"),
}


@pytest.mark.parametrize("name", BROWSERS)
def test_browser(bridged, name):
    client, app_id = BROWSERS[name]
    on = stage.Stage(bridged, client, seconds=3 * lab.DEADLINE)
    on.window(app_id, "loaded")
    on.show()
    desk, person = on.desk, on.desk.hand
    person.move(600, 500)
    person.wait_still()
    person.keys(hand.F2)
    on.title("at ")
    spots = re.search("at ([0-9, ]+)", desk.node()["name"])[1].split()
    spots = [tuple(map(int, spot.split(","))) for spot in spots]
    # What is above the page is the browser's.
    left, top = 600 - spots[0][0], 500 - spots[0][1]
    text, button, choice, source, target = ((x + left, y + top) for x, y in spots[1:])
    person.click(*text)
    person.type("Some text: (1 + 1)!")
    on.title("typed Some text: (1 + 1)!")
    person.keys(hand.CTRL, *hand.CODES["a"])
    person.keys(hand.CTRL, *hand.CODES["c"])
    on.host_gets("Some text: (1 + 1)!")
    desk.host_copies("from the host: Grüße")
    person.keys(hand.CTRL, *hand.CODES["v"])
    on.title("typed from the host: Grüße")
    person.click(*button)
    on.title("clicked")
    # A menu is a window of its own: it covers what is below.
    on.area = (choice[0] - 20, choice[1] + 25, choice[0] + 20, choice[1] + 50)
    on.look("page")
    person.click(*choice)
    on.look("menu")
    person.keys(hand.DOWN)
    person.keys(hand.ENTER)
    on.title("chosen two")
    on.look("menu gone")
    on.area = None
    person.pull(source, target)
    on.title("over")
    # The target has to have said yes before the drop counts as one.
    person.move(target[0] + 5, target[1])
    person.wait_still()
    person.drop()
    on.title("dropped cargo")
    person.move(600, 500)
    person.scroll(1)
    on.title("wheel")
    on.fullscreen(hand.F11)
    on.resize(700, 500, look=False)
    on.title("size 1024 1024")
    on.close()


# X11 programs: behind the bridge only, as our sway has no Xwayland

def x11(bridged, name, argv, prepare=None, **env):
    client = Client(name, argv, env=dict(SOFTWARE, DISPLAY=bridged[0].x11(), **env),
                    prepare=prepare)
    return stage.Stage(bridged, client)


def test_xterm(bridged):
    on = x11(bridged, "xterm", ["xterm", "-T", "Terminal", "-e", "cat > typed"])
    on.window("XTerm", "Terminal")
    on.look("shown")
    person = on.desk.hand
    person.type("Hello, xterm (1 + 1)!\n")
    on.file("typed", "Hello, xterm (1 + 1)!\n")
    on.look("typed")
    person.click(12, 10)
    person.click(12, 10)
    on.host_gets("Hello", "--primary")
    # What is selected is pasted by the middle button.
    person.click(12, 10, hand.MIDDLE_BUTTON)
    person.keys(hand.ENTER)
    on.file("typed", "Hello, xterm (1 + 1)!\nHello\n")
    on.resize(600, 400, look=False)
    on.fullscreen()
    on.close()


def test_xclock(bridged):
    on = x11(bridged, "xclock", ["xclock"])
    on.window("XClock", "xclock")
    on.show()
    on.resize(400, 400, look=False)
    on.close()


def test_xeyes(bridged):
    """They follow the pointer over the window."""
    on = x11(bridged, "xeyes", ["xeyes"])
    on.window("XEyes", "xeyes")
    on.show(colors=1)
    on.desk.hand.move(100, 100)
    on.look("shown")
    on.desk.hand.move(900, 700)
    on.look("pointed")
    on.close()


def test_glxgears(bridged):
    on = x11(bridged, "glxgears", ["glxgears"])
    on.window(None, "glxgears")
    on.show()
    on.resize(400, 300, look=False)
    on.show()
    # It knows no way to be told, so its connection is cut.
    on.close(status=1)


def test_gtk3_x11(bridged):
    client, title, choice = FACTORIES["gtk3-widget-factory"]
    on = x11(bridged, "gtk3-x11", client.argv, gtk3_settings, GDK_BACKEND="x11")
    on.area = (0, 0, 270, 768)
    on.window("Gtk3-widget-factory", title)
    on.look("shown")
    desk, person = on.desk, on.desk.hand
    person.click(190, 251)
    person.keys(hand.CTRL, *hand.CODES["a"])
    person.type("Some text")
    person.keys(hand.CTRL, *hand.CODES["a"])
    on.look("typed")
    person.keys(hand.CTRL, *hand.CODES["c"])
    on.host_gets("Some text")
    desk.host_copies("from the host: Grüße")
    person.keys(hand.CTRL, *hand.CODES["v"])
    on.look("pasted")
    person.keys(hand.CTRL, *hand.CODES["a"])
    person.keys(hand.CTRL, *hand.CODES["x"])
    on.host_gets("from the host: Grüße")
    on.look("cut")
    # A menu, which no window manager has a hand in.
    person.click(*choice)
    on.look("menu")
    person.keys(hand.DOWN)
    person.keys(hand.ENTER)
    on.look("chosen")
    on.resize(1000, 700, look=False)
    on.fullscreen()
    on.close()


TK = """
import tkinter
root = tkinter.Tk(className="Matrix")
root.title("ready")
text = tkinter.StringVar()
text.trace_add("write", lambda *_: root.title("typed " + text.get()))
entry = tkinter.Entry(root, textvariable=text, insertofftime=0)
entry.pack()
entry.focus_set()
bar, menu = tkinter.Menu(root), tkinter.Menu(root, tearoff=0)
for name in "First", "Second":
    menu.add_command(label=name, command=lambda name=name: root.title("chosen " + name))
bar.add_cascade(label="Menu", menu=menu)
root.config(menu=bar)
root.mainloop()
"""


def test_tk(bridged):
    on = x11(bridged, "tk", ["python3", "-c", TK])
    on.window("Matrix", "ready")
    on.look("shown")
    desk, person = on.desk, on.desk.hand
    person.type("Some text: (1 + 1)!")
    on.title("typed Some text: (1 + 1)!")
    person.keys(hand.CTRL, *hand.CODES["/"])
    person.keys(hand.CTRL, *hand.CODES["c"])
    on.host_gets("Some text: (1 + 1)!")
    desk.host_copies("from the host: Grüße")
    person.keys(hand.CTRL, *hand.CODES["v"])
    on.title("from the host: Grüße")
    on.look("pasted")
    on.area = (0, 30, 60, 60)
    on.look("page")
    person.click(20, 12)
    on.look("menu")
    person.keys(hand.DOWN)
    person.keys(hand.ENTER)
    on.title("chosen Second")
    on.resize(400, 300, look=False)
    on.close()
