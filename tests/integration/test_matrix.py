# SPDX-License-Identifier: MIT
"""Programs that people use, driven by a keyboard and a pointer: README.md has the table.

test_pixels.py compares pictures of programs that stand still; here they are used.
"""
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
                                  env={"QT_QPA_PLATFORM": "wayland"}, prepare=prepare))
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
