/* SPDX-License-Identifier: MIT
 *
 * Pixel formats, as both ends have to know them: by their numbers in wl_shm, which are those of DRM but for
 * two.
 */
#ifndef BR_FORMAT_H
#define BR_FORMAT_H

#include <stdint.h>

/** Modifiers of an image whose rows follow one another, and of one that says nothing. Source: drm_fourcc.h. */
#define BR_MODIFIER_LINEAR 0ull
#define BR_MODIFIER_INVALID 0x00ffffffffffffffull

/** Bytes per pixel of a wl_shm format with a single plane of whole pixels; 0 for all others. Source:
 * wl_shm.format, drm_fourcc.h. */
uint32_t br_format_bytes(uint32_t format);

/** The number in wl_shm of a DRM format, and the other way round. Source: wayland.xml, wl_shm.format. */
uint32_t br_format_from_drm(uint32_t fourcc);
uint32_t br_format_to_drm(uint32_t format);

/** A DRM format with alpha if another has it, and else without. Source: drm_fourcc.h. */
uint32_t br_format_with_alpha_of(uint32_t fourcc, uint32_t other);

#endif
