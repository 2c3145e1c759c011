/* SPDX-License-Identifier: MIT */
#include <drm_fourcc.h>

#include "format.h"
#include "test.h"

TEST(numbers_of_wl_shm)
{
	CHECK_INT(br_format_from_drm(DRM_FORMAT_ARGB8888), 0);
	CHECK_INT(br_format_from_drm(DRM_FORMAT_XRGB8888), 1);
	CHECK_INT(br_format_to_drm(1), DRM_FORMAT_XRGB8888);
	CHECK_INT(br_format_from_drm(DRM_FORMAT_ABGR8888), DRM_FORMAT_ABGR8888);
	CHECK_INT(br_format_bytes(0), 4);
	CHECK_INT(br_format_bytes(DRM_FORMAT_RGB565), 2);
	CHECK_INT(br_format_bytes(DRM_FORMAT_NV12), 0);
}

TEST(alpha_as_another_has_it)
{
	static const struct {
		uint32_t fourcc, other, want;
	} cases[] = {
		{DRM_FORMAT_ABGR8888, DRM_FORMAT_XRGB8888, DRM_FORMAT_XBGR8888},
		{DRM_FORMAT_ABGR8888, DRM_FORMAT_ARGB8888, DRM_FORMAT_ABGR8888},
		{DRM_FORMAT_XBGR2101010, DRM_FORMAT_ARGB2101010, DRM_FORMAT_ABGR2101010},
		{DRM_FORMAT_RGBX8888, DRM_FORMAT_ARGB8888, DRM_FORMAT_RGBA8888},
		{DRM_FORMAT_ARGB8888, DRM_FORMAT_BGRX8888, DRM_FORMAT_XRGB8888},
		{DRM_FORMAT_RGB565, DRM_FORMAT_ARGB8888, DRM_FORMAT_RGB565},
		{DRM_FORMAT_ARGB8888, DRM_FORMAT_RGB565, DRM_FORMAT_ARGB8888},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_INT(br_format_with_alpha_of(cases[i].fourcc, cases[i].other), cases[i].want);
	}
}
