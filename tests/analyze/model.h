/* SPDX-License-Identifier: MIT
 *
 * Included ahead of each source by tests/analyze.sh: what the analysers cannot know of functions outside
 * the program. Never compiled into anything.
 */
#ifndef MODEL_H
#define MODEL_H

#include <wayland-util.h>

/* To an analyser wl_list_remove(first) leaves list->next as it was, since it can't tell that the list is
 * what first->prev is: a loop that frees the first until the list is empty would free it twice. Who asks
 * may get a new list. */
int model_list_empty(struct wl_list *list);
#define wl_list_empty(list) model_list_empty((struct wl_list *)(list))

#endif
