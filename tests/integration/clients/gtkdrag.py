#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A GTK 3 window, all of which can be dragged as text and takes text. Says what happens to it, a line each.

By ctypes: the environment has the library, but neither its headers nor its bindings.
"""
import ctypes

PTR = ctypes.c_void_p
UINT = ctypes.c_uint
gtk = ctypes.CDLL("libgtk-3.so.0")
gobject = ctypes.CDLL("libgobject-2.0.so.0")
kept = []  # callbacks


def declare(name, result, *args):
    function = getattr(gtk, name)
    function.restype, function.argtypes = result, args
    return function


window_new = declare("gtk_window_new", PTR, ctypes.c_int)
event_box_new = declare("gtk_event_box_new", PTR)
set_title = declare("gtk_window_set_title", None, PTR, ctypes.c_char_p)
add = declare("gtk_container_add", None, PTR, PTR)
show_all = declare("gtk_widget_show_all", None, PTR)
source_set = declare("gtk_drag_source_set", None, PTR, UINT, PTR, ctypes.c_int, UINT)
source_text = declare("gtk_drag_source_add_text_targets", None, PTR)
dest_set = declare("gtk_drag_dest_set", None, PTR, UINT, PTR, ctypes.c_int, UINT)
dest_text = declare("gtk_drag_dest_add_text_targets", None, PTR)
set_text = declare("gtk_selection_data_set_text", ctypes.c_int, PTR, ctypes.c_char_p, ctypes.c_int)
get_text = declare("gtk_selection_data_get_text", PTR, PTR)
gobject.g_signal_connect_data.argtypes = [PTR, ctypes.c_char_p, PTR, PTR, PTR, ctypes.c_int]


def connect(widget, signal, function, *types, result=None):
    callback = ctypes.CFUNCTYPE(result, *types)(function)
    kept.append(callback)
    gobject.g_signal_connect_data(widget, signal, ctypes.cast(callback, PTR), None, None, 0)


def say(*words):
    print(*words, flush=True)


def tell(text, answer=None):
    def handle(*_):
        say(text)
        return answer
    return handle


def received(_widget, _context, _x, _y, data, _info, _time, _user):
    text = get_text(data)
    say("received", ctypes.string_at(text).decode() if text else "-")


def main():
    gtk.gtk_init(None, None)
    window, box = window_new(0), event_box_new()
    set_title(window, b"gtk")
    add(window, box)
    source_set(box, 0x100, None, 0, 1)  # button 1, copy
    source_text(box)
    dest_set(box, 7, None, 0, 1)  # all that GTK does by itself
    dest_text(box)
    connect(box, b"enter-notify-event", tell("enter", 0), PTR, PTR, PTR, result=ctypes.c_int)
    connect(box, b"drag-begin", tell("drag-begin"), PTR, PTR, PTR)
    connect(box, b"drag-end", tell("drag-end"), PTR, PTR, PTR)
    connect(box, b"drag-motion", tell("drag-motion", 0), PTR, PTR, ctypes.c_int, ctypes.c_int, UINT,
            PTR, result=ctypes.c_int)
    connect(box, b"drag-data-get",
            lambda _widget, _context, data, *_: set_text(data, b"hello from gtk", -1) and None,
            PTR, PTR, PTR, UINT, UINT, PTR)
    connect(box, b"drag-data-received", received, PTR, PTR, ctypes.c_int, ctypes.c_int, PTR, UINT,
            UINT, PTR)
    show_all(window)
    gtk.gtk_main()


main()
