# SPDX-License-Identifier: MIT
"""Protocols for input, windows and pictures: what a program and what the host's side are told is the same
through the bridge as directly.

Each scenario is a function that speaks to a compositor; it runs twice, and returns what is compared.
"""
import contextlib
import itertools
import tempfile
import types

import pytest

import desktops
import rig as lab
from speaker import Lost, Speaker, Window

pytestmark = pytest.mark.timeout(120)

BTN_LEFT, KEY_A = 0x110, 30
# Screenshots that have to be alike.
ALIKE = 3

# --- compositors ---

@pytest.fixture(scope="module")
def rig():
    made = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    yield made
    made.finish()


def start(rig, name):
    if name == "sway":
        return lab.Sway(rig, config="focus_on_window_activation focus\n")
    if name == "nested":
        return desktops.NestedWeston(rig, lab.Sway(rig))
    return {"labwc": desktops.Labwc, "kwin": desktops.Kwin}[name](rig)


class Stage:
    """A compositor with its devices and a bridge."""

    def __init__(self, name, rig, compositor, bridge):
        self.name, self.rig, self.compositor, self.bridge = name, rig, compositor, bridge
        # The nested one's devices are those of the outer one.
        outside = getattr(compositor, "outer", compositor)
        host = Speaker(rig.dir / outside.display)
        behind = types.SimpleNamespace(rig=rig, compositor=outside)
        self.hand = (KwinHand if name == "kwin" else WlrHand)(behind, host)
        self.watcher = Speaker(rig.dir / compositor.display)
        if self.watcher.version("zwlr_foreign_toplevel_manager_v1"):
            self.watcher.bind("zwlr_foreign_toplevel_manager_v1")

    def wait_empty(self):
        """Until the compositor has seen that its clients are gone, if it says so."""
        self.watcher.sync()

        def count(event):
            return sum(label.startswith("zwlr_foreign_toplevel_handle") and name == event
                       for label, name, _ in self.watcher.log)
        self.watcher.until(lambda: count("closed") == self.watcher.counts[
            "zwlr_foreign_toplevel_handle_v1"], "all windows to be gone")

    def picture(self, which=None):
        """A screenshot, pointer included, that stands still and of which `which` is true."""
        outside = getattr(self.compositor, "outer", self.compositor)
        run = []

        def look():
            picture = desktops.grim(self.rig, outside.display, True)
            if (run and run[-1] != picture) or (which and not which(picture)):
                run.clear()
            run.append(picture)
            return len(run) >= ALIKE and picture
        return lab.wait_until(look, lambda: f"a picture that stands still, {corner(run[-1])}")


def corner(picture):
    """The colour of a spot far from the pointer; no border is so wide."""
    return picture[2][(60 * picture[0] + 100) * 3:][:3].hex()


def top(picture):
    """The half in which the pointer is not."""
    return picture[2][:len(picture[2]) // 2]


@pytest.fixture(scope="module")
def stages(rig):
    """Compositors with their bridges, each started when it is first asked for."""
    made = {}

    def get(name):
        if name not in made:
            compositor = start(rig, name)
            bridge = rig.bridge(compositor, host_args=["--security-context", "off"])
            made[name] = Stage(name, rig, compositor, bridge)
        return made[name]
    return get




# --- input ---

class WlrHand:
    """Virtual devices of a wlroots compositor."""

    def __init__(self, stage, host):
        self.host = host
        manager = host.bind("zwlr_virtual_pointer_manager_v1", 1)
        self.pointer = manager.create_virtual_pointer(host.bind("wl_seat"))
        self.keyboard = stage.rig.virtual_input(stage.compositor.display)
        self.keyboard.ask("keyboard us", "ok")

    def point(self, x, y):
        """x, y: of 1000, in the output."""
        self.pointer.motion_absolute(0, x, y, 1000, 1000)
        self.pointer.frame()
        self.host.sync()

    def move(self, dx, dy):
        self.pointer.motion(0, dx, dy)
        self.pointer.frame()
        self.host.sync()

    def button(self, pressed):
        self.pointer.button(0, BTN_LEFT, pressed)
        self.pointer.frame()
        self.host.sync()

    def key(self, code):
        self.keyboard.ask(f"key {code}", "ok")


class KwinHand:
    """kwin's fake input."""

    def __init__(self, stage, host):
        del stage
        self.host = host
        self.fake = host.bind("org_kde_kwin_fake_input")
        self.fake.authenticate("tests", "input for tests")
        host.sync()

    def point(self, x, y):
        self.fake.pointer_motion_absolute(x * desktops.SIZE[0] / 1000, y * desktops.SIZE[1] / 1000)
        self.host.sync()

    def move(self, dx, dy):
        self.fake.pointer_motion(dx, dy)
        self.host.sync()

    def button(self, pressed):
        self.fake.button(BTN_LEFT, pressed)
        self.host.sync()

    def key(self, code):
        for state in (1, 0):
            self.fake.keyboard_key(code, state)
        self.host.sync()


class Take:
    """One of the two runs of a scenario: .talk is the client that is looked at."""

    def __init__(self, stage, display):
        self.stage, self.display = stage, display
        self.made = []
        self.talk = self.speaker()
        self.host = Speaker(stage.rig.dir / stage.compositor.display)
        self.made.append(self.host)
        self.hand = stage.hand

    def speaker(self):
        """Another client beside .talk."""
        made = Speaker(self.stage.rig.dir / self.display)
        self.made.append(made)
        return made

    def window(self, talk=None, **kwargs):
        return Window(talk or self.talk, **kwargs)

    def pointed(self, **kwargs):
        """(a window, the seat, its pointer that is over the window, the newest serial)."""
        window = self.window(**kwargs)
        seat = self.talk.bind("wl_seat")
        pointer = seat.get_pointer()
        self.talk.sync()
        self.hand.point(300, 300)
        enter = pointer.wait("enter", lambda args: args["surface"] == window.surface.label)
        self.hand.point(500, 500)
        pointer.wait("motion", lambda args: abs(args["surface_x"] - window.size[0] / 2) < 8)
        return window, seat, pointer, enter["serial"]

    def clicked(self, **kwargs):
        window, seat, pointer, _ = self.pointed(**kwargs)
        self.hand.button(1)
        serial = pointer.wait("button")["serial"]
        self.hand.button(0)
        return window, seat, pointer, serial

    def close(self):
        for talk in self.made:
            with contextlib.suppress(Lost):
                talk.close()


# --- scenarios ---

def text_input_v3(take):
    """Both ends: what the input method is told of the text, and what it types."""
    talk, host = take.talk, take.host
    method = host.bind("zwp_input_method_manager_v2").get_input_method(host.bind("wl_seat"))
    text = talk.bind("zwp_text_input_manager_v3").get_text_input(talk.bind("wl_seat"))
    window = take.window()
    text.wait("enter", lambda args: args["surface"] == window.surface.label)
    text.enable()
    text.set_surrounding_text("h\u00e9llo w\u00f6rld", 3, 7)
    text.set_text_change_cause(1)
    text.set_content_type(0x41, 5)
    text.set_cursor_rectangle(10, 20, 1, 16)
    text.commit()
    method.wait("activate")
    host.sync()
    method.set_preedit_string("pr\u00e9", 0, 4)
    method.commit_string("\u4f60\u597d")
    method.delete_surrounding_text(2, 1)
    method.commit(len(method.said("done")))
    text.wait("done")
    text.disable()
    text.commit()
    method.wait("deactivate")
    method.destroy()
    host.sync()
    return talk.heard("zwp_text_input_v3") + host.heard("zwp_input_method_v2")


def relative_pointer(take):
    talk = take.talk
    _, _, pointer, _ = take.pointed()
    relative = talk.bind("zwp_relative_pointer_manager_v1").get_relative_pointer(pointer)
    talk.sync()
    take.hand.move(7, -3)
    relative.wait("relative_motion")
    return talk.heard("zwp_relative_pointer_v1")


def locked_pointer(take):
    """A lock holds the pointer while the mouse moves on, and what is hinted is where it is afterwards."""
    talk = take.talk
    window, _, pointer, _ = take.clicked()
    constraints = talk.bind("zwp_pointer_constraints_v1")
    relative = talk.bind("zwp_relative_pointer_manager_v1").get_relative_pointer(pointer)
    lock = constraints.lock_pointer(window.surface, pointer, None, 2)
    lock.wait("locked")
    before = len(pointer.said("motion"))
    take.hand.move(40, 30)
    relative.wait("relative_motion", lambda args: args["dx"] == 40)
    lock.set_cursor_position_hint(100, 120)
    window.commit()
    moved = pointer.said("motion")[before:]
    lock.destroy()
    talk.sync()
    return [moved, talk.heard("zwp_locked_pointer_v1")]


def confined_pointer(take):
    talk = take.talk
    window, _, pointer, _ = take.clicked()
    region = window.compositor.create_region()
    region.add(0, 0, *window.size)
    confined = talk.bind("zwp_pointer_constraints_v1").confine_pointer(window.surface, pointer, region, 1)
    confined.wait("confined")
    take.hand.move(5000, 5000)
    pointer.wait("motion", lambda args: args["surface_x"] > window.size[0] - 2)
    confined.destroy()
    talk.sync()
    return talk.heard("zwp_confined_pointer_v1")


def touch(take):
    """Two fingers."""
    talk, fake = take.talk, take.hand.fake
    take.window()
    fingers = talk.bind("wl_seat").get_touch()
    talk.sync()
    for finger, x in ((0, 100), (1, 200)):
        fake.touch_down(finger, x, 80)
    fake.touch_frame()
    fake.touch_motion(1, 230.5, 90)
    fake.touch_frame()
    fake.touch_up(0)
    fake.touch_up(1)
    fake.touch_frame()
    take.host.sync()
    fingers.wait("up", lambda args: args["id"] == 1)
    talk.until(lambda: talk.heard("wl_touch")[-1][1] == "frame", "the last frame")
    return talk.heard("wl_touch")


def gestures(take):
    """No device here makes any: the objects come and go."""
    talk = take.talk
    manager = talk.bind("zwp_pointer_gestures_v1")
    pointer = talk.bind("wl_seat").get_pointer()
    for made in (manager.get_swipe_gesture(pointer), manager.get_pinch_gesture(pointer),
                 manager.get_hold_gesture(pointer)):
        made.destroy()
    manager.release()
    talk.sync()
    return [talk.error]


def tablet(take):
    """None is plugged in: the objects come and go."""
    talk = take.talk
    seat = talk.bind("zwp_tablet_manager_v2").get_tablet_seat(talk.bind("wl_seat"))
    talk.sync()
    seat.destroy()
    talk.sync()
    return [talk.error, talk.heard("zwp_tablet_seat_v2", "zwp_tablet_v2")]


def shortcuts_inhibit(take):
    talk = take.talk
    window, seat, _, _ = take.clicked()
    manager = talk.bind("zwp_keyboard_shortcuts_inhibit_manager_v1")
    inhibitor = manager.inhibit_shortcuts(window.surface, seat)
    inhibitor.wait("active")
    again = talk.failure(lambda: manager.inhibit_shortcuts(window.surface, seat))
    return [talk.heard("zwp_keyboard_shortcuts_inhibitor_v1"), again]


def idle_inhibit(take):
    """The compositor counts the user as active: what it tells others of it."""
    talk, host = take.talk, take.host
    window = take.window()
    notification = host.bind("ext_idle_notifier_v1").get_idle_notification(1, host.bind("wl_seat"))
    notification.wait("idled")
    inhibitor = talk.bind("zwp_idle_inhibit_manager_v1").create_inhibitor(window.surface)
    notification.wait("resumed")
    inhibitor.destroy()
    host.until(lambda: len(notification.said("idled")) > 1, "a second idled")
    return host.heard("ext_idle_notification_v1")[:3]


SMALL = (120, 80)


def keyed(take, talk):
    """(the window, its keyboard, its seat, the serial of a key that was pressed in it)."""
    keyboard = talk.bind("wl_seat").get_keyboard()
    window = take.window(talk, size=SMALL, title="keyed")
    keyboard.wait("enter", lambda args: args["surface"] == window.surface.label)
    take.hand.key(KEY_A)
    return window, keyboard, talk.by_label("wl_seat#1"), keyboard.wait("key")["serial"]


def activate(take, giver, receiver):
    """A program gets a token while it has the keyboard, and with the token another's window takes it."""
    other = take.window(receiver, size=SMALL, title="other")
    keyboard = receiver.bind("wl_seat").get_keyboard()
    receiver.sync()
    window, givers, seat, serial = keyed(take, giver)
    token = giver.bind("xdg_activation_v1").get_activation_token()
    token.set_serial(serial, seat)
    token.set_surface(window.surface)
    token.set_app_id("other")
    token.commit()
    text = token.wait("done")["token"]
    before = len(keyboard.said("enter"))
    receiver.bind("xdg_activation_v1").activate(text, other.surface)
    receiver.until(lambda: len(keyboard.said("enter")) > before, "the keyboard")
    givers.wait("leave")
    return [bool(text)]


def activation(take):
    return activate(take, take.talk, take.speaker())


def activation_of_host(take):
    """The guest's token is good for a program of the host's: one that opens a link there."""
    return activate(take, take.talk, take.host)


def activation_by_host(take):
    """The host's is good for a program of the guest's, which has it from XDG_ACTIVATION_TOKEN."""
    return activate(take, take.host, take.talk)


def decoration(take):
    talk = take.talk
    manager = talk.bind("zxdg_decoration_manager_v1")
    made = []

    def ask(window):
        made.append(manager.get_toplevel_decoration(window.toplevel))
        made[0].set_mode(2)
    window = take.window(size=(200, 150), before=ask)
    made[0].set_mode(1)
    window.ack()
    modes = [args["mode"] for args in made[0].said("configure")]
    made[0].destroy()
    talk.sync()
    # How often each is repeated is a matter of moments.
    return [key for key, _ in itertools.groupby(modes)]


def kde_decoration(take):
    talk = take.talk
    manager = talk.bind("org_kde_kwin_server_decoration_manager")
    window = take.window(size=(200, 150))
    made = manager.create(window.surface)
    made.wait("mode")
    made.request_mode(1)
    talk.sync()
    made.release()
    talk.sync()
    return talk.heard("org_kde_kwin_server_decoration_manager", "org_kde_kwin_server_decoration")


def toplevel_icon(take):
    talk = take.talk
    manager = talk.bind("xdg_toplevel_icon_manager_v1")
    talk.sync()
    window = take.window(size=(200, 150))
    icon = manager.create_icon()
    icon.set_name("utilities-terminal")
    icon.add_buffer(window.fill(0xffaa0000, (32, 32)), 1)
    icon.add_buffer(window.fill(0xffaa0000, (64, 64)), 2)
    manager.set_icon(window.toplevel, icon)
    window.commit()
    other = manager.create_icon()
    bad = talk.failure(lambda: other.add_buffer(window.fill(0xffaa0000, (16, 20)), 1))
    return [talk.heard("xdg_toplevel_icon_manager_v1"), bad]


def foreign(take, version, importer, exporter):
    """One exports its window, the other makes it the parent of its own; then it goes."""
    export_name = "export" if version == 1 else "export_toplevel"
    import_name = "import_" if version == 1 else "import_toplevel"
    parent = take.window(exporter, size=(300, 200), title="parent")
    exported = getattr(exporter.bind(f"zxdg_exporter_v{version}"), export_name)(
        parent.surface)
    handle = exported.wait("handle")["handle"]
    child = take.window(importer, size=(100, 100), title="child")
    imported = getattr(importer.bind(f"zxdg_importer_v{version}"), import_name)(handle)
    imported.set_parent_of(child.surface)
    importer.sync()
    lost = getattr(importer.bind(f"zxdg_importer_v{version}"), import_name)("no such handle")
    lost.wait("destroyed")
    exported.destroy()
    imported.wait("destroyed")
    return importer.heard(f"zxdg_imported_v{version}") + exporter.heard(f"zxdg_exported_v{version}")


def foreign_v1(take):
    return foreign(take, 1, take.talk, take.speaker())


def foreign_v2(take):
    return foreign(take, 2, take.talk, take.speaker())


def foreign_to_host(take):
    """As a file chooser of the host's becomes the child of a guest's window."""
    return foreign(take, 2, take.host, take.talk)


def foreign_from_host(take):
    return foreign(take, 2, take.talk, take.host)


def dialog(take):
    talk = take.talk
    parent = take.window(size=(300, 200), title="parent")
    child = take.window(size=(100, 100), title="child",
                        before=lambda window: window.toplevel.set_parent(parent.toplevel))
    manager = talk.bind("xdg_wm_dialog_v1")
    made = manager.get_xdg_dialog(child.toplevel)
    made.set_modal()
    made.unset_modal()
    talk.sync()
    twice = talk.failure(lambda: manager.get_xdg_dialog(child.toplevel))
    return [twice]


def toplevel_drag(take):
    """A tab is torn off: its new window follows the pointer until it is dropped."""
    talk = take.talk
    window, seat, pointer, _ = take.pointed()
    data = talk.bind("wl_data_device_manager")
    device = data.get_data_device(seat)
    source = data.create_data_source()
    source.offer("application/x-tab")
    source.set_actions(2)
    drag = talk.bind("xdg_toplevel_drag_manager_v1").get_xdg_toplevel_drag(source)
    take.hand.button(1)
    serial = pointer.wait("button")["serial"]
    device.start_drag(source, window.surface, None, serial)
    torn = take.window(size=(100, 100), title="torn",
                       before=lambda window: drag.attach(window.toplevel, 10, 10))
    device.wait("enter")
    take.hand.move(20, 20)
    take.hand.button(0)
    source.wait("dnd_drop_performed")
    # It is where it was held.
    enter = pointer.wait("enter", lambda args: args["surface"] == torn.surface.label)
    drag.destroy()
    talk.sync()
    return [enter["surface_x"], enter["surface_y"]]


def content_type(take):
    talk = take.talk
    window = take.window(size=(200, 150))
    manager = talk.bind("wp_content_type_manager_v1")
    made = manager.get_surface_content_type(window.surface)
    for kind in (1, 2, 3, 0):
        made.set_content_type(kind)
        window.commit()
    twice = talk.failure(lambda: manager.get_surface_content_type(window.surface))
    return [twice]


def alpha_modifier(take):
    talk = take.talk
    window = take.window()
    manager = talk.bind("wp_alpha_modifier_v1")
    made = manager.get_surface(window.surface)
    take.hand.point(990, 990)
    take.stage.picture(lambda picture: corner(picture) == "336699")
    made.set_multiplier(0x80000000)
    window.commit()
    picture = take.stage.picture(lambda picture: corner(picture) != "336699")
    twice = talk.failure(lambda: manager.get_surface(window.surface))
    return [top(picture), twice]


def single_pixel(take):
    talk = take.talk
    window = take.window()
    viewport = talk.bind("wp_viewporter").get_viewport(window.surface)
    viewport.set_destination(*window.size)
    take.hand.point(990, 990)
    take.stage.picture(lambda picture: corner(picture) == "336699")
    full = 0xffffffff
    window.commit(talk.bind("wp_single_pixel_buffer_manager_v1").create_u32_rgba_buffer(
        full, 0, full, full))
    return [top(take.stage.picture(lambda picture: corner(picture) != "336699"))]


def color_management(take):
    """What the compositor says of itself and of an output, and a surface in a space of the program's own."""
    talk = take.talk
    manager = talk.bind("wp_color_manager_v1")
    window = take.window()
    manager.wait("done")
    output = manager.get_output(talk.bind("wl_output"))
    description = output.get_image_description()
    talk.until(lambda: description.said("ready") or description.said("failed"), "the description")
    if description.said("ready"):
        description.get_information().wait("done")
    creator = manager.create_parametric_creator()
    creator.set_primaries_named(1)
    creator.set_tf_named(2)
    made = creator.create()
    talk.until(lambda: made.said("ready") or made.said("failed"), "the description")
    surface = manager.get_surface(window.surface)
    if made.said("ready"):
        surface.set_image_description(made, 0)
        window.commit()
    feedback = manager.get_surface_feedback(window.surface)
    preferred = feedback.get_preferred()
    talk.until(lambda: preferred.said("ready") or preferred.said("failed"), "the preferred one")
    return talk.heard("wp_color_manager_v1", "wp_image_description_info_v1", "wp_image_description_v1")


def pointer_shapes(take):
    """The pictures of the pointer in some shapes, and the error of one that there is not."""
    talk = take.talk
    _, _, pointer, serial = take.pointed()
    device = talk.bind("wp_cursor_shape_manager_v1", 1).get_pointer(pointer)
    pictures = []
    take.stage.picture(lambda picture: corner(picture) == "336699")
    for shape in (1, 4, 9, 16, 33):
        device.set_shape(serial, shape)
        talk.sync()
        pictures.append(take.stage.picture())
    assert len(set(pictures)) == len(pictures), "shapes look alike"
    gone = talk.bind("wl_seat").get_pointer()
    inert = talk.bind("wp_cursor_shape_manager_v1", 1).get_pointer(gone)
    gone.release()
    inert.set_shape(serial, 1)
    inert.destroy()
    talk.sync()
    return [pictures, talk.failure(lambda: device.set_shape(serial, 99))]


# scenario: the interfaces that it is about, and where it runs.
SCENARIOS = {
    text_input_v3: ("sway", "labwc"),
    relative_pointer: ("sway", "labwc", "kwin"),
    locked_pointer: ("sway", "labwc", "kwin"),
    confined_pointer: ("sway", "labwc", "kwin"),
    touch: ("kwin",),
    gestures: ("sway", "labwc", "kwin"),
    tablet: ("sway", "labwc", "kwin"),
    shortcuts_inhibit: ("sway", "kwin"),
    idle_inhibit: ("sway", "labwc"),
    activation: ("sway", "labwc", "kwin"),
    activation_of_host: ("sway", "labwc", "kwin"),
    activation_by_host: ("sway", "labwc", "kwin"),
    decoration: ("sway", "labwc", "kwin"),
    kde_decoration: ("sway", "labwc", "kwin"),
    toplevel_icon: ("kwin",),
    foreign_v1: ("sway", "labwc"),
    foreign_v2: ("sway", "labwc", "kwin"),
    foreign_to_host: ("sway", "labwc", "kwin"),
    foreign_from_host: ("sway", "labwc", "kwin"),
    dialog: ("kwin",),
    toplevel_drag: ("kwin",),
    content_type: ("sway", "kwin"),
    alpha_modifier: ("sway",),
    single_pixel: ("sway", "labwc", "nested"),
    color_management: ("kwin",),
    pointer_shapes: ("sway", "labwc"),
}
CASES = [(scenario, name) for scenario, names in SCENARIOS.items() for name in names]


def play(stage, scenario, display):
    take = Take(stage, display)
    try:
        return scenario(take)
    finally:
        take.close()
        stage.wait_empty()


@pytest.mark.parametrize("scenario, name", CASES, ids=lambda value: getattr(value, "__name__", value))
def test_same(stages, scenario, name):
    """Directly and through the bridge."""
    stage = stages(name)
    direct = play(stage, scenario, stage.compositor.display)
    assert direct, "nothing to compare"
    assert play(stage, scenario, stage.bridge.display) == direct


# --- cursors by name, of the proxy's ---

@pytest.mark.parametrize("shm", ["pass", "mirror"])
def test_cursor_shapes_of_the_proxy(stages, shm):
    """Where the host knows no cursors by name the pointer looks as it does where it knows them."""
    stage = stages("sway")
    direct = play(stage, pointer_shapes, stage.compositor.display)
    bridge = stage.rig.bridge(stage.compositor, guest_args=["--shm", shm], host_args=[
        "--security-context", "off", "--deny", "wp_cursor_shape_manager_v1"])
    assert play(stage, pointer_shapes, bridge.display) == direct


def test_cursor_shapes_on_weston(stages):
    """weston knows none; a busy pointer moves by itself, as weston's frames come."""
    stage = stages("nested")
    assert not stage.watcher.version("wp_cursor_shape_manager_v1")
    take = Take(stage, stage.bridge.display)
    _, _, pointer, serial = take.pointed()
    device = take.talk.bind("wp_cursor_shape_manager_v1").get_pointer(pointer)
    pictures = []
    for shape in (1, 4, 9):
        device.set_shape(serial, shape)
        take.talk.sync()
        pictures.append(stage.picture(lambda picture: picture not in pictures))
    device.set_shape(serial, 6)
    take.talk.sync()
    seen = set()

    def moves():
        seen.add(desktops.grim(stage.rig, stage.compositor.outer.display, True))
        return len(seen - set(pictures)) > 3
    lab.wait_until(moves, "images of a busy pointer")
    take.close()
